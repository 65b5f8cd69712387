import { join } from 'node:path';
import { accessFile } from '../support/access-state.ts';
import type { Random } from '../support/fleet-random.ts';
import { startHaproxy } from '../support/haproxy.ts';
import { Instance, type InstanceOptions } from '../support/instance.ts';
import { Link } from '../support/link.ts';
import type { Loss } from '../support/lost.ts';
import { freePort } from '../support/ports.ts';
import { nextVersion } from '../support/program-copy.ts';
import { startKafka } from '../support/kafka.ts';
import { startNats } from '../support/nats.ts';
import { startRedis } from '../support/redis.ts';
import type { Scope } from '../support/temp.ts';
import { WallClock } from '../support/wall-clock.ts';
import { KEEP } from './clocks.ts';
import type { FleetDatabase } from './database.ts';
import { startPostgresOf } from './postgres.ts';
import { Receivers } from './receivers.ts';
import { startSqlite } from './sqlite.ts';

export const STORES = ['sqlite', 'postgres'] as const;
export type StoreName = (typeof STORES)[number];

export const BUSES = ['redis', 'nats', 'kafka'] as const;
export type BusName = (typeof BUSES)[number];

/** The server of the bus. */
export interface Broker {
  readonly pid: number;
  /** Another one may be chosen before it is started again. */
  port: number;
  readonly url: string;
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Where the link of an instance leads, if not to `port`. */
  portOf?(index: number): number;
}

export interface FleetOptions {
  readonly store: StoreName;
  /** Redis if absent. */
  readonly bus?: BusName | undefined;
  /** How long messages are kept, seconds; by default long enough for a run of an hour. */
  readonly keep?: number;
  /** Of each instance. With several there is no Redis: the workers of an instance talk over their supervisor, and instances look at the log. */
  readonly workers?: number;
  /** Another entry point than that of this project: one that is broken on purpose. */
  readonly entry?: string;
}

const INSTANCES = 3;

const ROOT = join(import.meta.dirname, '../..');

/** How often another port is tried when someone else took the one that was free. */
const PORT_ATTEMPTS = 5;

/** Receivers that hang are to cost their webhooks little of a short run. Milliseconds and seconds. */
const WEBHOOKS = { WEBHOOK_ALLOW: '127.0.0.1', WEBHOOK_RETRY_MIN_MS: '20', WEBHOOK_TIMEOUT_SECONDS: '2' };

/** Short, so that a drain fits between two faults. Seconds. */
const DRAIN_SECONDS = 3;

/**
 * Three instances behind HAProxy, on one database, with one Redis, NATS or Kafka. Between any two of them is a link that can break:
 *
 *     clients ── front ── HAProxy ── inner[i] ── instance i ── busLinks[i] ── Redis
 *                                                     └─────── the database's own links
 */
export class Fleet {
  readonly database: FleetDatabase;
  readonly broker: Broker;
  readonly bus: BusName;
  readonly instances: Instance[];
  /** What each of them takes for the time. */
  readonly clocks: readonly WallClock[];
  /** By what they lie between. */
  readonly links: ReadonlyMap<string, Link>;
  readonly front: Link;
  /** When a copy took the place of the log. */
  readonly losses: Loss[] = [];
  /** Of webhooks. */
  readonly receivers: Receivers;
  readonly #make: (index: number) => Promise<Instance>;
  readonly #versions: Versions;
  readonly hasWorkers: boolean;

  private constructor(database: FleetDatabase, broker: Broker, bus: BusName, instances: Instance[], clocks: readonly WallClock[], links: ReadonlyMap<string, Link>, front: Link, receivers: Receivers, versions: Versions, hasWorkers: boolean, make: (index: number) => Promise<Instance>) {
    this.hasWorkers = hasWorkers;
    this.#make = make;
    this.#versions = versions;
    this.database = database;
    this.broker = broker;
    this.bus = bus;
    this.instances = instances;
    this.clocks = clocks;
    this.links = links;
    this.front = front;
    this.receivers = receivers;
  }

  static async start(t: Scope, random: Random, { store, bus = 'redis', workers = 1, entry, keep = KEEP }: FleetOptions): Promise<Fleet> {
    const busLinks = workers > 1 ? [] : await Promise.all(Array.from({ length: INSTANCES }, () => Link.start(t, 0)));
    const [database, broker] = await Promise.all([startDatabase(t, store), startBrokerOf(t, bus, busLinks)]);
    const links = new Map(busLinks.map((link, index) => [toBroker(index), link]));
    for (const [index, link] of busLinks.entries()) link.lead(portOf(broker, index));
    const instances: Instance[] = [];
    const clocks = Array.from({ length: INSTANCES }, () => new WallClock(t));
    const inner: number[] = [];
    const hasWorkers = workers > 1;
    // Everybody may publish and listen. Only webhooks take a credential.
    const access = { AUTH: 'off', ACCESS_FILE: accessFile(t, ['>']) };
    const versions = new Versions(t, entry, hasWorkers ? 'src/serve.js' : 'src/main.ts');
    const make = async (index: number): Promise<Instance> => {
      const env = {
        DATABASE_URL: database.url(index), ...(hasWorkers ? { WORKERS: String(workers) } : { BUS_URL: links.get(toBroker(index))!.url.replace('http:', `${bus}:`) }), LOG_LEVEL: 'warn', DRAIN_SECONDS: String(DRAIN_SECONDS),
        RETENTION_SECONDS: String(keep), ...access, ...WEBHOOKS, ...clocks[index]!.env,
      };
      return new Instance(t, await freePort(), env, { by: database.by, ...versions.options(index) });
    };
    for (let index = 0; index < INSTANCES; index++) {
      const instance = await make(index);
      const link = await Link.start(t, instance.port);
      instances.push(instance);
      inner.push(link.port);
      links.set(toInstance(index), link);
    }
    for (const [name, link] of database.links) links.set(name, link);
    await Promise.all(instances.map((instance) => instance.started()));
    const haproxy = await startHaproxy(t, inner);
    const front = await Link.start(t, haproxy.port);
    links.set('clients and HAProxy', front);
    return new Fleet(database, broker, bus, instances, clocks, links, front, new Receivers(t, random), versions, hasWorkers, make);
  }

  /** Whether there is another version than the one that is broken on purpose. */
  get hasVersions(): boolean {
    return this.#versions.hasNext;
  }

  /** From its next start on, an instance is of the next version of the program, or of the present one again. */
  changeVersion(index: number): void {
    this.#versions.change(index);
  }

  /** Starts another instance in the place of one that has ended; resolves when it is ready. On a port of its own: the old one may be somebody's by now. */
  async replace(index: number): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const instance = await this.#make(index);
      this.instances[index] = instance;
      this.links.get(toInstance(index))!.lead(instance.port);
      try {
        await instance.started();
        return;
      } catch (error) {
        if (attempt === PORT_ATTEMPTS || !instance.output.includes('EADDRINUSE')) throw error;
      }
    }
  }

  /** Starts the server of the bus again, on a port of its own. */
  async startBroker(): Promise<void> {
    this.broker.port = 0;
    await this.broker.start();
    for (let index = 0; index < INSTANCES; index++) this.links.get(toBroker(index))!.lead(portOf(this.broker, index));
  }
}

/** Which version each instance is of. */
class Versions {
  readonly #scope: Scope;
  readonly #entry: string | undefined;
  /** What is started, in the folder of the program. */
  readonly #path: string;
  readonly #isNext = new Set<number>();
  #next: string | undefined;

  constructor(scope: Scope, entry: string | undefined, path: string) {
    this.#scope = scope;
    this.#entry = entry;
    this.#path = path;
  }

  get hasNext(): boolean {
    return this.#entry === undefined;
  }

  change(index: number): void {
    this.#next ??= join(nextVersion(this.#scope), this.#path);
    if (!this.#isNext.delete(index)) this.#isNext.add(index);
  }

  options(index: number): InstanceOptions {
    const entry = this.#isNext.has(index) ? this.#next : this.#entry ?? join(ROOT, this.#path);
    return entry === undefined || entry === join(ROOT, 'src/main.ts') ? {} : { entry };
  }
}

function toBroker(index: number): string {
  return `instance ${index + 1} and the bus`;
}

function toInstance(index: number): string {
  return `HAProxy and instance ${index + 1}`;
}

/** Brokers of Kafka tell their clients where to connect, and so they know the links. */
function startBrokerOf(t: Scope, bus: BusName, links: readonly Link[]): Promise<Broker> {
  switch (bus) {
    case 'redis': return startRedis(t);
    case 'nats': return startNats(t);
    case 'kafka': return startKafka(t, { restarts: true, advertised: links.map(({ port }) => port) });
  }
}

function portOf(broker: Broker, index: number): number {
  return broker.portOf?.(index) ?? broker.port;
}

function startDatabase(t: Scope, store: StoreName): Promise<FleetDatabase> {
  switch (store) {
    case 'sqlite': return startSqlite(t);
    case 'postgres': return startPostgresOf(t, INSTANCES);
  }
}
