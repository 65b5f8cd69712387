import type { Message } from '../../src/model/message.ts';
import { MemoryStore } from '../support/memory-store.ts';
import { Exchange, QUALITIES } from './bus.ts';
import { Poller, Streamer, type Beginning } from './clients.ts';
import { Instance, type Make } from './instance.ts';
import { POISON, Publishing, type PublicationOptions } from './publisher.ts';
import type { Deeds, Run, Stored } from './record.ts';
import { ALL_TOPICS, type Command, type From, type Schedule } from './schedule.ts';
import { Troubles } from './trouble.ts';
import { World } from './world.ts';

/** At most so many clients: what is asked for beyond is left out. */
const CLIENTS_MAX = 150;
/**
 * From the end of all troubles until the last messages are published, and from then until everybody must have everything. Milliseconds. The first is
 * longer than the longest trouble: an answer that it held back comes when the trouble would have been over, and only then is the question put again.
 */
const HEAL_MS = 6_000;
const SETTLE_MS = 8_000;
/** How long messages are kept: longer than a run, also when what is believed of a wrong clock catches up; and no longer than the furthest wrong clocks are ahead. Milliseconds. */
const RETENTION_MS = 100 * 3_600_000;
/** What a write to a socket costs at most once nothing is wrong any more: heartbeats for all clients must leave an instance time for everything else. Milliseconds. */
const HEALED_WRITE_MS = 0.2;

/** One run of the spine of some instances, on a store, a bus, sockets and a clock that a schedule and its chance drive. */
class Simulation {
  readonly world: World;
  readonly #schedule: Schedule;
  readonly #make: Make;
  /** On its way an answer takes its time already. */
  readonly #log = new MemoryStore({ turn: () => Promise.resolve() });
  readonly #troubles: Troubles;
  readonly #exchange: Exchange;
  /** By number; what was killed stays in its place until the next one has begun. */
  readonly #instances: Instance[] = [];
  readonly #draining = new Set<Instance>();
  readonly #clients: (Streamer | Poller)[] = [];
  /** By name. */
  readonly #publications = new Map<string, Publishing>();
  readonly #deeds: Deeds;

  constructor(schedule: Schedule) {
    this.#schedule = schedule;
    // Without a wrong clock retention would have nothing to do, and its looks would shift everything that is left to chance.
    const hasWrongClock = schedule.commands.some((command) => command.do === 'clock');
    this.#make = { tailBytes: schedule.tailBytes, writeMs: schedule.writeMs, clockMs: 0, level: 1, retentionMs: hasWrongClock ? RETENTION_MS : 0 };
    this.world = new World(schedule.chance);
    this.#troubles = new Troubles(this.world);
    this.#exchange = new Exchange(this.world, this.#troubles, QUALITIES[schedule.bus]);
    this.#log.poison = POISON;
    this.#deeds = { instances: schedule.instances, trimmedTo: 0, restores: [] };
  }

  async run(): Promise<Run> {
    for (let number = 0; number < this.#schedule.instances; number++) this.#start(number);
    await this.world.run(50);
    for (const command of this.#schedule.commands) {
      await this.world.run(this.world.now + command.wait);
      await this.#do(command);
    }
    this.#heal();
    await this.world.run(this.world.now + HEAL_MS);
    for (const topic of ALL_TOPICS) this.#publish(`last ${topic}`.replace(/[ .]/g, '-'), { topic, messages: 1, hasKey: true, isFleeting: false, isPoison: false, padding: 0 });
    await this.world.run(this.world.now + SETTLE_MS);
    return {
      publications: [...this.#publications.values()].map(({ record }) => record),
      clients: this.#clients.map(({ record }) => record),
      history: await this.#readAll(),
      deeds: this.#deeds,
      crashes: this.world.crashes,
    };
  }

  #start(number: number): void {
    const instance = new Instance(number, { world: this.world, log: this.#log, troubles: this.#troubles, exchange: this.#exchange, make: this.#make });
    this.#instances[number] = instance;
    this.world.after(0, instance, () => void instance.boot());
  }

  #balance = (chance: string): Instance | undefined => {
    const there = this.#instances.filter((instance) => !instance.isGone && !this.#draining.has(instance));
    const drawn = this.world.chance(`balance ${chance}`).next();
    return there[Math.floor(drawn * there.length)];
  };

  #publish(name: string, options: PublicationOptions): void {
    // Two that were drawn the same name would be one.
    if (this.#publications.has(name)) return;
    const publishing = new Publishing(name, { world: this.world, balance: this.#balance, ...options });
    this.#publications.set(name, publishing);
    publishing.begin();
  }

  async #do(command: Command): Promise<void> {
    switch (command.do) {
      case 'publish':
        for (let time = 0; time < command.times; time++) {
          const { topic, messages, padding, kind } = command;
          this.#publish(`${command.name}-${time}`, { topic, messages, padding, hasKey: kind === 'key', isFleeting: kind === 'ttl', isPoison: kind === 'poison' });
        }
        return;
      case 'stream':
      case 'poll':
        this.#open(command);
        return;
      case 'cut':
        this.#client(command.client)?.cut(command.isHalfOpen);
        return;
      case 'change':
        this.#client(command.client)?.change(command.wants);
        return;
      case 'cut all':
        for (const client of this.#clients) client.cut(false);
        return;
      case 'stick': {
        const client = this.#client(command.client);
        client?.stick(true);
        this.world.after(command.milliseconds, undefined, () => client?.stick(false));
        return;
      }
      case 'kill':
        this.#kill(this.#instances[command.instance % this.#instances.length]!, command.milliseconds);
        return;
      case 'drain':
        this.#drain(this.#instances[command.instance % this.#instances.length]!, command.milliseconds);
        return;
      case 'freeze': {
        const instance = this.#instances[command.instance % this.#instances.length]!;
        instance.freeze();
        this.world.after(command.milliseconds, undefined, () => instance.thaw());
        return;
      }
      case 'store':
      case 'bus':
        this.#troubles.begin(command.trouble, command.instance, command.milliseconds);
        return;
      case 'trim': {
        const { log, messages } = await this.#log.trim({ maxAge: 0, maxBytes: 1, rows: command.messages });
        if (messages > 0) this.#deeds.trimmedTo = Math.max(this.#deeds.trimmedTo, log.oldest - 1);
        return;
      }
      case 'restore': {
        const kept = this.#end(command.lost);
        await this.#replace(() => this.#log.restore(kept));
        return;
      }
      case 'lose epochs': {
        const { lineage: { epochs }, oldest } = this.#log.log();
        // What was deleted is deleted in the copy too, which holds something all the same.
        const count = Math.min(command.epochs, epochs.filter(({ first }) => first > oldest).length);
        if (count > 0) await this.#replace(() => this.#log.loseEpochs(count));
        return;
      }
      case 'raise level':
        this.#make.level++;
        return;
      case 'epoch':
        await this.#log.open();
        return;
      case 'clock':
        this.#make.clockMs = command.hours * 3_600_000;
        return;
    }
  }

  /** An older copy takes the place of the log. */
  async #replace(exchange: () => Promise<void>): Promise<void> {
    const before = this.#log.log().lineage.epochs;
    await exchange();
    const after = this.#log.log().lineage.epochs;
    const { epoch, first } = after.at(-1)!;
    const lost = before.filter((one) => !after.some((other) => other.epoch === one.epoch))
      .map((one) => ({ epoch: one.epoch, parent: before.findLast((other) => other.first < one.first)?.epoch }));
    this.#deeds.restores.push({ kept: first - 1, epoch, lost });
  }

  #client(number: number): Streamer | Poller | undefined {
    return this.#clients[number % this.#clients.length];
  }

  #open(command: Command & { readonly do: 'stream' | 'poll' }): void {
    const times = command.do === 'stream' ? command.times : 1;
    for (let time = 0; time < times && this.#clients.length < CLIENTS_MAX; time++) {
      const name = `${command.do} ${command.name}-${time}`;
      const options = { world: this.world, balance: this.#balance, wants: command.wants, beginning: this.#beginning(command.from) };
      const client = command.do === 'stream' ? new Streamer(name, { ...options, capacity: command.capacity }) : new Poller(name, options);
      this.#clients.push(client);
      client.begin();
    }
  }

  #beginning(from: From): Beginning {
    if (typeof from === 'string') return { kind: from };
    if ('last' in from) return { kind: 'last', count: from.last };
    const ids = [...this.#publications.values()].flatMap(({ record }) => record.answers.flatMap((answer) => answer.ids));
    const id = ids.at(-1 - from.ago);
    return id === undefined ? { kind: 'start' } : { kind: 'after', id };
  }

  #kill(instance: Instance, milliseconds: number): void {
    if (instance.isGone) return;
    instance.kill();
    this.world.after(milliseconds, undefined, () => {
      if (this.#instances[instance.number] === instance) this.#start(instance.number);
    });
  }

  #drain(instance: Instance, milliseconds: number): void {
    if (instance.isGone || this.#draining.has(instance)) return;
    this.#draining.add(instance);
    this.world.after(0, instance, () => instance.drain(milliseconds));
    this.world.after(milliseconds * 1.5, undefined, () => this.#kill(instance, 0));
  }

  /** Nothing is wrong any more. */
  #heal(): void {
    this.#troubles.endAll();
    this.#exchange.quality = QUALITIES.good;
    this.#make.clockMs = 0;
    this.#make.writeMs = Math.min(this.#make.writeMs, HEALED_WRITE_MS);
    for (const instance of this.#instances) {
      if (this.#draining.has(instance)) instance.kill();
      if (instance.isGone) this.#start(instance.number);
      else if (!instance.understands) {
        instance.kill();
        this.#start(instance.number);
      } else if (instance.isFrozen) instance.thaw();
    }
    for (const client of this.#clients) client.stick(false);
  }

  /** A place where a commit ended, about so many messages ago: a copy of a log holds whole ones only. */
  #end(lost: number): number {
    const { messages, head } = this.#log;
    // What was deleted is deleted in the copy too.
    let held = Math.max(Math.min(1, messages.length), messages.length - lost);
    const publication = (index: number): string | undefined => (messages[index] === undefined ? undefined : textOf(messages[index]).split('.')[0]);
    while (held > 0 && held < messages.length && publication(held) === publication(held - 1)) held++;
    return head - messages.length + held;
  }

  /** The whole log, as it is at the end. */
  async #readAll(): Promise<Stored[]> {
    const { messages } = await this.#log.read({ after: 0, filter: undefined, limit: Infinity, maxBytes: Infinity });
    return messages.map((message) => ({ id: message.id, topic: message.topic, text: textOf(message) }));
  }
}

/** What a message is recognised by, without what fills it up. */
function textOf({ data }: Message): string {
  return Buffer.from(data).toString().split(' ')[0]!;
}

/** What the spine throws and nobody catches is thrown in this process, since all instances are in it. */
const running = new Set<World>();
process.on('unhandledRejection', (reason) => {
  if (running.size === 0) throw reason;
  for (const world of running) world.crashes.push(reason);
});

/** Runs a schedule, always in the same way. @returns What was written down, and a digest of all that happened. */
export async function simulate(schedule: Schedule): Promise<{ run: Run; digest: number; happened: number }> {
  const simulation = new Simulation(schedule);
  const { world } = simulation;
  running.add(world);
  try {
    return { run: await simulation.run(), digest: world.digest, happened: world.happened };
  } finally {
    running.delete(world);
  }
}
