import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { far, stepped } from './clocks.ts';
import type { Fleet } from './fleet.ts';
import { hang } from './hanging-disk.ts';
import { lie, lieOnKafka, lieOnNats } from './lies.ts';
import { EVERYTHING } from './schedule.ts';

export type FaultKind =
  | 'instance killed'
  | 'instance frozen'
  // With a request of a webhook under way
  | 'instance killed in a delivery'
  | 'instance frozen in a delivery'
  | 'instance drained and replaced'
  // Where instances have several workers
  | 'worker killed'
  | 'worker frozen'
  | 'instance clock stepped'
  | 'instance killed, its clock ahead when it is back'
  | 'instance replaced by another version'
  | 'database loses its newest epoch'
  | 'Redis restarted'
  | 'Redis listeners cut off'
  | 'Redis paused'
  | 'Redis lies'
  | 'NATS restarted'
  | 'NATS paused'
  | 'NATS lies'
  | 'Kafka restarted'
  | 'Kafka paused'
  | 'Kafka lies'
  | 'network cut'
  | 'network slow'
  | 'network half open'
  // SQLite
  | 'disk full'
  | 'disk hangs'
  | 'database locked'
  // PostgreSQL
  | 'database restarted'
  | 'database failed over'
  | 'database connections cut off'
  | 'database paused'
  | 'database clock stepped';

/** One thing that goes wrong, as the seed has decided it. */
export interface Fault {
  readonly kind: FaultKind;
  /** What it happens to. Two faults at once never have one target, and one that happens to everything happens alone. */
  readonly target: string;
  /** How long it lasts. */
  readonly milliseconds: number;
  /** From 0 to below 1: whatever else is to be decided. */
  readonly chance: number;
}

interface Rule {
  /** What such a fault can happen to. */
  targets(fleet: Fleet): readonly string[];
  /** The longest that it may last, milliseconds. */
  readonly longest: number;
  /** Does it, and undoes it: what it resolves with is well again. */
  inflict(fleet: Fleet, fault: Fault): Promise<void>;
}

/** The longest delay of what passes a slow network, each way. Milliseconds. */
const SLOW = 500;
/** How long the lease of webhooks is, and until others look for those without one. Milliseconds. */
const LEASE = 6_500;
/** How long an instance is waited for to send something: it may be cut off, or have no webhook. Milliseconds. */
const DELIVERY_WAIT = 3_000;

const RULES: Readonly<Record<FaultKind, Rule>> = {
  'instance killed': {
    targets: instances,
    longest: 5_000,
    inflict: async (fleet, fault) => {
      const instance = instanceOf(fleet, fault);
      instance.kill('SIGKILL');
      await instance.exited;
      await sleep(fault.milliseconds);
      await fleet.replace(indexOf(fault));
    },
  },
  'instance frozen': {
    targets: instances,
    longest: 20_000,
    inflict: async (fleet, fault) => {
      const instance = instanceOf(fleet, fault);
      instance.kill('SIGSTOP');
      await sleep(fault.milliseconds);
      instance.kill('SIGCONT');
    },
  },
  'instance killed in a delivery': {
    targets: deliverers,
    longest: 5_000,
    inflict: async (fleet, fault) => {
      const instance = instanceOf(fleet, fault);
      const release = await fleet.receivers.hold(instance.pid, DELIVERY_WAIT);
      instance.kill('SIGKILL');
      await instance.exited;
      release?.();
      await sleep(fault.milliseconds);
      await fleet.replace(indexOf(fault));
    },
  },
  'instance frozen in a delivery': {
    targets: deliverers,
    longest: 10_000,
    inflict: async (fleet, fault) => {
      const instance = instanceOf(fleet, fault);
      const release = await fleet.receivers.hold(instance.pid, DELIVERY_WAIT);
      instance.kill('SIGSTOP');
      await sleep(LEASE + fault.milliseconds);
      // When it goes on, it finds an answer to what it sent before others took over.
      release?.();
      instance.kill('SIGCONT');
    },
  },
  'instance drained and replaced': {
    targets: instances,
    longest: 2_000,
    inflict: async (fleet, fault) => {
      const instance = instanceOf(fleet, fault);
      instance.kill('SIGTERM');
      await instance.exited;
      await sleep(fault.milliseconds);
      await fleet.replace(indexOf(fault));
    },
  },
  'worker killed': {
    targets: (fleet) => (fleet.hasWorkers ? instances(fleet) : []),
    longest: 3_000,
    inflict: async (fleet, fault) => {
      signalWorker(workerOf(fleet, fault), 'SIGKILL');
      await sleep(fault.milliseconds);
    },
  },
  'worker frozen': {
    targets: (fleet) => (fleet.hasWorkers ? instances(fleet) : []),
    // Longer than its supervisor bears it.
    longest: 20_000,
    inflict: async (fleet, fault) => {
      const worker = workerOf(fleet, fault);
      signalWorker(worker, 'SIGSTOP');
      await sleep(fault.milliseconds);
      signalWorker(worker, 'SIGCONT');
    },
  },
  'instance clock stepped': {
    targets: instances,
    // Longer than the pause of retention: it looks meanwhile.
    longest: 10_000,
    inflict: (fleet, fault) => stepped(fault, (step) => fleet.clocks[indexOf(fault)]!.step(step)),
  },
  'instance killed, its clock ahead when it is back': {
    targets: instances,
    // Longer than the pause of retention.
    longest: 10_000,
    inflict: async (fleet, fault) => {
      const instance = instanceOf(fleet, fault);
      const clock = fleet.clocks[indexOf(fault)]!;
      instance.kill('SIGKILL');
      await instance.exited;
      clock.step(far(fault));
      await fleet.replace(indexOf(fault));
      await sleep(fault.milliseconds);
      clock.step(0);
    },
  },
  'instance replaced by another version': {
    targets: (fleet) => (fleet.hasVersions ? instances(fleet) : []),
    longest: 2_000,
    inflict: async (fleet, fault) => {
      const instance = instanceOf(fleet, fault);
      instance.kill(fault.chance < 0.5 ? 'SIGTERM' : 'SIGKILL');
      await instance.exited;
      fleet.changeVersion(indexOf(fault));
      await fleet.replace(indexOf(fault));
      await sleep(fault.milliseconds);
    },
  },
  'Redis restarted': { targets: redis, longest: 10_000, inflict: restarted },
  'Redis listeners cut off': {
    targets: redis,
    longest: 500,
    inflict: async (fleet, { milliseconds }) => {
      await tell(fleet, 'CLIENT', 'KILL', 'TYPE', 'pubsub');
      await sleep(milliseconds);
      // Once more: perhaps they were just about to listen again.
      await tell(fleet, 'CLIENT', 'KILL', 'TYPE', 'pubsub');
    },
  },
  'Redis paused': {
    targets: redis,
    longest: 10_000,
    inflict: async (fleet, { milliseconds, chance }) => {
      if (chance < 0.5) {
        await tell(fleet, 'CLIENT', 'PAUSE', String(milliseconds), 'ALL');
        await sleep(milliseconds);
        return;
      }
      await frozen(fleet, milliseconds);
    },
  },
  'Redis lies': {
    targets: redis,
    longest: 10_000,
    inflict: (fleet, fault) => lie(fleet.broker.url, fault),
  },
  'NATS restarted': { targets: nats, longest: 10_000, inflict: restarted },
  'NATS paused': { targets: nats, longest: 10_000, inflict: (fleet, { milliseconds }) => frozen(fleet, milliseconds) },
  'NATS lies': { targets: nats, longest: 10_000, inflict: (fleet, fault) => lieOnNats(fleet.broker.url, fault) },
  'Kafka restarted': { targets: kafka, longest: 10_000, inflict: restarted },
  'Kafka paused': { targets: kafka, longest: 20_000, inflict: (fleet, { milliseconds }) => frozen(fleet, milliseconds) },
  'Kafka lies': { targets: kafka, longest: 10_000, inflict: (fleet, fault) => lieOnKafka(fleet.broker.port, fault) },
  'network cut': {
    targets: links,
    longest: 5_000,
    inflict: async (fleet, { target, milliseconds, chance }) => {
      const link = linkOf(fleet, target);
      if (chance < 0.5) link.reset();
      else link.cut();
      await sleep(milliseconds);
      link.heal();
    },
  },
  'network slow': {
    targets: links,
    longest: 8_000,
    inflict: async (fleet, { target, milliseconds, chance }) => {
      const link = linkOf(fleet, target);
      link.slow(SLOW * chance);
      await sleep(milliseconds);
      link.heal();
    },
  },
  'network half open': {
    targets: links,
    longest: 15_000,
    inflict: async (fleet, { target, milliseconds, chance }) => {
      const link = linkOf(fleet, target);
      link.silence(chance < 0.5);
      await sleep(milliseconds);
      link.heal();
    },
  },
  // An instance that does not hear of an epoch before it is lost may not know later where the logs part, and so it is promised.
  // Each worker begins an epoch when it starts, and of more than one that is lost nobody knows where the logs part.
  'database loses its newest epoch': { ...ofDatabase(4_000), targets: (fleet) => (fleet.hasWorkers ? [] : [EVERYTHING]) },
  'disk full': ofDatabase(5_000),
  'disk hangs': {
    targets: (fleet) => (fleet.database.file === undefined ? [] : instances(fleet)),
    longest: 20_000,
    inflict: (fleet, fault) => hang(fleet.database.file!, (fleet.hasWorkers ? workerOf(fleet, fault) : undefined) ?? instanceOf(fleet, fault).pid, fault.milliseconds),
  },
  'database locked': ofDatabase(10_000),
  'database restarted': ofDatabase(5_000),
  'database failed over': ofDatabase(5_000),
  'database connections cut off': ofDatabase(500),
  'database paused': ofDatabase(20_000),
  'database clock stepped': ofDatabase(10_000),
};

/** What can happen to this fleet, and to which of its parts. */
export function possible(fleet: Fleet): readonly { readonly kind: FaultKind; readonly targets: readonly string[]; readonly longest: number }[] {
  return (Object.keys(RULES) as FaultKind[])
    .map((kind) => ({ kind, targets: RULES[kind].targets(fleet), longest: RULES[kind].longest }))
    .filter(({ kind, targets }) => targets.length > 0 && (!OF_DATABASE.has(targets[0]!) || fleet.database.faults.has(kind)));
}

/** Does it; resolves when it is over and what was hurt is well again. */
export async function inflict(fleet: Fleet, fault: Fault): Promise<void> {
  await RULES[fault.kind].inflict(fleet, fault);
}

const DATABASE = 'the database';
/** What a database does by itself, if it can, happens to one of these. */
const OF_DATABASE: ReadonlySet<string> = new Set([DATABASE, EVERYTHING]);

function ofDatabase(longest: number): Rule {
  return {
    targets: () => [DATABASE],
    longest,
    inflict: async (fleet, fault) => {
      await fleet.database.faults.get(fault.kind)!(fault, fleet);
    },
  };
}

function instances(fleet: Fleet): string[] {
  return fleet.instances.map((_, index) => `instance ${index + 1}`);
}

/** With workers, the process that sends is none of those that are started here. */
function deliverers(fleet: Fleet): string[] {
  return fleet.hasWorkers || !fleet.receivers.hasAny ? [] : instances(fleet);
}

function indexOf({ target }: Fault): number {
  return Number(target.slice('instance '.length)) - 1;
}

function instanceOf(fleet: Fleet, fault: Fault): Fleet['instances'][number] {
  return fleet.instances[indexOf(fault)]!;
}

/** The process of one of its workers; undefined where there is none at the moment. */
function workerOf(fleet: Fleet, fault: Fault): number | undefined {
  const { pid } = instanceOf(fleet, fault);
  const workers = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim().split(' ').filter((text) => text !== '').map(Number);
  return workers[Math.floor(fault.chance * workers.length)];
}

/** It may have ended meanwhile. */
function signalWorker(worker: number | undefined, signal: NodeJS.Signals): void {
  try {
    if (worker !== undefined) process.kill(worker, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function redis(fleet: Fleet): string[] {
  return fleet.hasWorkers || fleet.bus !== 'redis' ? [] : ['Redis'];
}

function nats(fleet: Fleet): string[] {
  return fleet.hasWorkers || fleet.bus !== 'nats' ? [] : ['NATS'];
}

function kafka(fleet: Fleet): string[] {
  return fleet.hasWorkers || fleet.bus !== 'kafka' ? [] : ['Kafka'];
}

async function restarted(fleet: Fleet, { milliseconds }: Fault): Promise<void> {
  await fleet.broker.stop();
  await sleep(milliseconds);
  await fleet.startBroker();
}

async function frozen({ broker }: Fleet, milliseconds: number): Promise<void> {
  process.kill(broker.pid, 'SIGSTOP');
  await sleep(milliseconds);
  process.kill(broker.pid, 'SIGCONT');
}

function links(fleet: Fleet): string[] {
  return [...fleet.links.keys()];
}

function linkOf(fleet: Fleet, target: string): NonNullable<ReturnType<Fleet['links']['get']>> {
  return fleet.links.get(target)!;
}

/** One command to Redis, past the links. */
async function tell(fleet: Fleet, command: string, ...args: readonly string[]): Promise<void> {
  const client = new Redis(fleet.broker.url, { lazyConnect: true, retryStrategy: null });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.call(command, ...args);
  } finally {
    client.disconnect();
  }
}
