import t from 'tap';
import { askToChange, handleOf } from '../support/changes.ts';
import { openStream, type SseStream } from '../support/client.ts';
import { seeded } from '../support/fleet-random.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { rounds } from '../support/rounds.ts';
import { until } from '../support/until.ts';

/**
 * Who listens, on three instances and a real place, against a model that knows nothing of the program: members come, go, move, change topics and have several tabs, while instances are killed and frozen, and the place forgets everything. After each
 * fault every instance that runs says what the model says.
 */

/** Where the instances put it together. */
export interface PlaceKit {
  readonly name: string;
  readonly env: Readonly<Record<string, string>>;
  /** What was told to it is lost, and it cannot be used until `start`. */
  readonly stop: () => Promise<void>;
  readonly start: () => Promise<void>;
  /** Whether an instance that is frozen now keeps the others from using it. */
  readonly isHeld: () => boolean;
}

const TOPICS = ['a', 'b.c', 'b.*', 'b.>', 'ö/x'];
const MEMBERS = ['alice', 'bob', 'carol', 'dörte', undefined];
/** Before each fault; during it and after it there are half as many. All together they are 200 steps and more, and 5,000 in the long form. */
const STEPS = rounds(32, 84);
const FAULTS = rounds(4, 40);
/** The grace period of the watchers' case: so many times what a move takes on this machine, and at least as long as lets a process stand still for a second. */
const GRACE_MOVES = 10;
const GRACE_MIN_SECONDS = 2;
/** The time to live in that case. A lease has half of it, and so is longer than the grace period. */
const TTL_GRACES = 3;
/** How often something is done at most that a machine which stands still for a while spoils. */
const ATTEMPTS = 5;

/** One stream of the model. */
interface Open {
  readonly member: string | undefined;
  readonly topics: readonly string[];
  readonly on: number;
  readonly stream: SseStream;
}

export async function presenceCases(place: PlaceKit): Promise<void> {
  // The model's clients do not come back when they are sent away.
  const env = { ...place.env, LOG_LEVEL: 'warn', REBALANCE: 'off', DRAIN_SECONDS: '0', PRESENCE_TTL_SECONDS: '2', PRESENCE_GRACE_SECONDS: '1' };
  const instances = await Promise.all([startInstance(t, env), startInstance(t, env), startInstance(t, env)]);
  const https = instances.map(({ url }) => new Http(t, url));
  let open: Open[] = [];
  const frozen = new Set<number>();
  let isAway = false;
  let steps = 0;

  async function enter(on: number, member: string | undefined, topics: readonly string[]): Promise<void> {
    const query = [...topics.map((topic) => `topic=${encodeURIComponent(topic)}`), ...(member === undefined ? [] : [`as=${encodeURIComponent(member)}`])].join('&');
    const stream = await openStream(t, `${instances[on]!.url}/events?${query}`);
    const { event } = await stream.next();
    if (event !== '$open') throw new Error(`the stream began with ${event}`);
    open.push({ member, topics, on, stream });
  }

  function leave(one: Open): void {
    one.stream.destroy();
    open = open.filter((other) => other !== one);
  }

  /** What the model says of a topic: each member with its streams, and all streams. */
  function expected(topic: string): string {
    const there = open.filter(({ on, topics }) => topics.includes(topic) && !frozen.has(on));
    const members = Map.groupBy(there.filter(({ member }) => member !== undefined), ({ member }) => member!);
    return JSON.stringify([...members].map(([id, { length }]) => [id, length]).sort(([one], [other]) => Buffer.compare(Buffer.from(String(one)), Buffer.from(String(other)))).concat([['', there.length]]));
  }

  interface Answer {
    readonly streams: number;
    readonly members: readonly { readonly id: string; readonly streams: number }[];
    readonly partial?: true;
  }

  async function said(http: Http, topic: string): Promise<string> {
    const { streams, members, partial } = await http.json<Answer>(`/topics/${encodeURIComponent(topic)}/presence?limit=1000`);
    return partial === true ? 'partial' : JSON.stringify([...members.map(({ id, streams: own }) => [id, own]), ['', streams]]);
  }

  async function agree(what: string): Promise<void> {
    for (const [index, http] of https.entries()) {
      if (frozen.has(index)) continue;
      for (const topic of TOPICS) {
        let last = '';
        await until(`after ${what}: ${topic} on instance ${index} is ${expected(topic)}`, async () => (last = await said(http, topic)) === expected(topic)).catch((error: unknown) => {
          throw new Error(`${String(error)}; it says ${last}`);
        });
      }
      // Members of an instance that has died are counted until it was swept away.
      await until(`after ${what}: the counts on instance ${index} are right`, async () => {
        const counts = await http.json<{ topics: { topic: string; streams: number; members: number }[] }>(`/presence?${TOPICS.map((topic) => `topic=${encodeURIComponent(topic)}`).join('&')}`);
        return counts.topics.every(({ topic, streams, members }) => {
          const all = JSON.parse(expected(topic)) as [string, number][];
          return streams === all.at(-1)![1] && members === all.length - 1;
        });
      });
      for (const member of MEMBERS) {
        if (member === undefined) continue;
        const names = [...new Set(open.filter((one) => one.member === member && !frozen.has(one.on)).flatMap((one) => one.topics))];
        const right = JSON.stringify({ present: names.length > 0, topics: names.sort((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other))) });
        // An instance that stands still for longer than its lease is gone for a moment, which may be this one.
        let last = '';
        await until(`after ${what}: the topics of ${member} on instance ${index} are ${right}`, async () => {
          const { present, topics } = await http.json<{ present: boolean; topics: { topic: string }[] }>(`/members/${encodeURIComponent(member)}`);
          last = JSON.stringify({ present, topics: topics.map(({ topic }) => topic) });
          return last === right;
        }).catch((error: unknown) => {
          throw new Error(`${String(error)}; it says ${last}`);
        });
      }
    }
  }

  /** How long it takes at most on this machine until everybody sees that a member has another stream, on another instance. */
  async function longestMoveMs(): Promise<number> {
    let longest = 0;
    for (const [on] of instances.entries()) {
      const began = performance.now();
      await enter(on, 'mover', ['a']);
      for (const http of https) await until('it has moved', async () => await said(http, 'a') === expected('a'));
      longest = Math.max(longest, performance.now() - began);
    }
    return longest;
  }

  const random = seeded(t);

  /** A stream's client asks for other topics, on any instance where that can work. */
  async function changeTopics(one: Open, on: number): Promise<void> {
    const add = [random.one(TOPICS)];
    const remove = TOPICS.filter((topic) => !add.includes(topic) && random.below(3) === 0);
    const handle = handleOf(one.stream);
    const via = place.env['REDIS_URL'] === undefined || isAway ? one.on : on;
    let answer = await askToChange(https[via]!, handle, { add, remove });
    // Just after a fault, instances may not hear each other. One that has just started is unknown to those that count one that was killed.
    if ([404, 503].includes(answer.status) && via !== one.on) answer = await askToChange(https[one.on]!, handle, { add, remove });
    if (answer.status !== 200) throw new Error(`PATCH: ${answer.status} ${answer.body}`);
    const topics = [...new Set([...one.topics.filter((topic) => !remove.includes(topic)), ...add])];
    open = open.map((other) => other === one ? { ...one, topics } : other);
  }

  /** Members come, go, move and change topics; on instances that run. */
  async function step(): Promise<void> {
    steps++;
    const on = random.one(instances.map((_, index) => index).filter((index) => !frozen.has(index)));
    const reachable = open.filter((one) => !frozen.has(one.on));
    const kind = random.below(5);
    if (kind < 2 || reachable.length === 0) return enter(on, random.one(MEMBERS), TOPICS.filter((_, index) => index === 0 ? random.below(2) === 0 : random.below(3) === 0).concat(random.one(TOPICS)));
    const one = random.one(reachable);
    if (kind === 4) return changeTopics(one, on);
    leave(one);
    if (kind === 3) await enter(on, one.member, one.topics);
  }

  const FAULT_KINDS: Readonly<Record<string, () => Promise<void>>> = {
    kill: async () => {
      const victim = random.below(instances.length);
      instances[victim]!.kill('SIGKILL');
      await instances[victim]!.exited;
      open = open.filter(({ on }) => on !== victim);
      frozen.add(victim);
      for (let index = 0; index < STEPS / 2; index++) await step();
      await agree('a kill');
      await instances[victim]!.restart();
      frozen.delete(victim);
    },
    freeze: async () => {
      const victim = random.below(instances.length);
      instances[victim]!.kill('SIGSTOP');
      // In the middle of a write it would hold what the others wait for.
      while (place.isHeld()) {
        instances[victim]!.kill('SIGCONT');
        await until('it has let go', () => !place.isHeld());
        instances[victim]!.kill('SIGSTOP');
      }
      frozen.add(victim);
      for (let index = 0; index < STEPS / 2; index++) await step();
      await agree('a freeze');
      // Of those that leave meanwhile it hears when it goes on.
      for (const one of open.filter(({ on }) => on === victim)) if (random.below(3) === 0) leave(one);
      instances[victim]!.kill('SIGCONT');
      frozen.delete(victim);
    },
    'place that forgets': async () => {
      await place.stop();
      isAway = true;
      for (let index = 0; index < STEPS / 2; index++) await step();
      await place.start();
      isAway = false;
    },
    replacement: async () => {
      const victim = random.below(instances.length);
      await instances[victim]!.restart('SIGTERM');
      open = open.filter(({ on }) => on !== victim);
    },
  };

  t.test(`${place.name}: in every failure each instance lists the members: nobody is missing, and nobody stays after leaving`, async (t) => {
    const kinds = Object.keys(FAULT_KINDS);
    for (let round = 0; round < FAULTS; round++) {
      for (let index = 0; index < STEPS; index++) await step();
      if (round % 2 === 0) await agree('steps');
      const kind = round < kinds.length ? kinds[round]! : random.one(kinds);
      t.comment(`${kind}, with ${open.length} streams`);
      await FAULT_KINDS[kind]!();
      for (let index = 0; index < STEPS / 2; index++) await step();
      await agree(`a ${kind}`);
    }
    t.comment(`${steps} steps, ${FAULTS} faults`);
  });

  t.test(`${place.name}: while it is away each instance answers for itself, and says so; when it is back, for all`, async (t) => {
    for (const one of [...open]) leave(one);
    await enter(0, 'alice', ['a']);
    await enter(1, 'bob', ['a']);
    await agree('a new beginning');
    await place.stop();
    for (const [index, id] of ['alice', 'bob'].entries()) {
      await until('it is noticed', async () => (await https[index]!.json<Answer>('/topics/a/presence')).partial === true);
      t.match(await https[index]!.json<Answer>('/topics/a/presence'), { streams: 1, members: [{ id, streams: 1 }], partial: true });
      t.match(await https[index]!.json('/members/alice'), { present: id === 'alice', partial: true });
      t.equal((await https[index]!.metrics()).get('tidings_presence_up'), 0);
    }
    t.equal((await https[2]!.post('a', 'x')).status, 201, 'publishes notice nothing');
    await enter(2, 'carol', ['a']);
    await place.start();
    await agree('its return');
  });

  interface News {
    readonly topic: string;
    readonly number: number;
    readonly members?: readonly { readonly id: string }[];
    readonly joined?: readonly { readonly id: string }[];
    readonly left?: readonly string[];
  }

  const WITNESS = 'witness ';
  const isWitness = (id: string): boolean => id.startsWith(WITNESS);

  /** A client that keeps a list by what it is told. */
  class Watcher {
    readonly members = new Set<string>();
    readonly left: string[] = [];
    readonly #stream: SseStream;
    #number = 0;
    #read = 0;

    constructor(stream: SseStream) {
      this.#stream = stream;
    }

    /** Takes what has come. A number that is missing is a failure: its socket is never full. */
    take(): string {
      for (const { event, data } of this.#stream.events.slice(this.#read)) {
        this.#read++;
        if (event !== '$presence') continue;
        const { number, members, joined = [], left = [] } = JSON.parse(data) as News;
        if (members === undefined && number !== this.#number + 1) throw new Error(`${number} comes after ${this.#number}`);
        this.#number = number;
        if (members !== undefined) this.members.clear();
        for (const { id } of [...members ?? [], ...joined]) this.members.add(id);
        for (const id of left) this.members.delete(id);
        this.left.push(...left);
      }
      return [...this.members].filter((id) => !isWitness(id)).sort().join();
    }
  }

  t.test(`${place.name}: watchers on every instance see who comes and goes, also with an instance and with the place; who moves to another instance never leaves`, async (t) => {
    for (const one of [...open]) leave(one);
    await agree('another beginning');
    const graceSeconds = Math.max(GRACE_MIN_SECONDS, Math.ceil(GRACE_MOVES * await longestMoveMs() / 1000));
    t.comment(`a grace period of ${graceSeconds} s`);
    for (const one of [...open]) leave(one);
    // A lease is longer than the grace period: a member that is taken for gone leaves before the members of an instance that was killed.
    await Promise.all(instances.map((instance) => instance.replace(undefined, { PRESENCE_GRACE_SECONDS: String(graceSeconds), PRESENCE_TTL_SECONDS: String(TTL_GRACES * graceSeconds) })));
    await agree('the replacement of all');
    const watchers = await Promise.all(instances.slice(0, 2).map(async ({ url }) => new Watcher(await openStream(t, `${url}/topics/a/events?presence=1`))));
    const sees = async (expected: string): Promise<void> => {
      for (const [index, watcher] of watchers.entries()) {
        await until(`the watcher on instance ${index} sees ${expected}`, () => watcher.take() === expected).catch((error: unknown) => {
          throw new Error(`${String(error)}; it sees ${watcher.take()}`);
        });
      }
    };
    let witnesses = 0;
    /** Somebody comes to an instance, and goes when all watchers have heard: by then they have heard whatever it told before. */
    const witnessed = async (on: number): Promise<void> => {
      const id = `${WITNESS}${++witnesses}`;
      await enter(on, id, ['a']);
      await until('the witness is seen', () => watchers.every((watcher) => {
        watcher.take();
        return watcher.members.has(id);
      }));
      leave(open.find(({ member }) => member === id)!);
    };
    const everybody = (): string => [...new Set(open.map(({ member }) => member))].sort().join();
    /**
     * Does something during which only `leavers` may be seen to leave. On a machine that stands still for longer than a lease or the grace period lasts others are, which proves nothing: then it is done
     * once more. A program that loses members does so each time.
     */
    const keepsOthers = async (leavers: readonly string[], act: () => Promise<void>): Promise<void> => {
      for (let attempt = 1; ; attempt++) {
        const before = watchers.map(({ left }) => left.length);
        await act();
        const left = watchers.map((watcher, index) => watcher.left.slice(before[index]).filter((id) => !leavers.includes(id) && !isWitness(id)));
        if (left.flat().length > 0 && attempt < ATTEMPTS) continue;
        t.same(left, watchers.map(() => []), `nobody else left, at attempt ${attempt}`);
        return;
      }
    };
    await enter(0, 'alice', ['a']);
    await keepsOthers(['bob'], async () => {
      await enter(2, 'bob', ['a']);
      await sees('alice,bob');
      for (let round = 0; round < 3; round++) {
        const one = open.find(({ member }) => member === 'alice')!;
        leave(one);
        await witnessed(one.on);
        await enter((one.on + 1) % 3, 'alice', ['a']);
      }
      await until('alice has moved', async () => /^\[\["alice",1\],\["bob",1\],.*\["",4\]\]$/.test(await said(https[0]!, 'a')));
      instances[2].kill('SIGKILL');
      await instances[2].exited;
      open = open.filter(({ on }) => on !== 2);
      // Its lease is longer than the grace period: a member that was taken for gone has left by then.
      await sees('alice');
      await instances[2].restart();
    });
    await enter(1, 'carol', ['a']);
    await sees(everybody());
    await keepsOthers([], async () => {
      await place.stop();
      await until('it is noticed', async () => (await https[0]!.json<Answer>('/topics/a/presence')).partial === true);
      await enter(0, 'dora', ['a']);
      await place.start();
      await sees(everybody());
    });
  });
}
