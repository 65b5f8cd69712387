import type { Redis } from 'ioredis';
import type { Access, Address } from '../../config/redis-url.ts';
import { Connection, describe } from './connection.ts';
import { fixedRoute, type Route } from './discovery.ts';

/** How long those sentinels are waited for that do not answer, when others may: milliseconds. Stops a frozen one from holding up what the others know. */
const ANSWERS_LIMIT = 500;

/**
 * To the master that the sentinels name. A connection that breaks finds the new one by itself; but a master that was replaced may go on
 * living, as a replica or cut off: it takes what is published, and nobody else hears it. So both connections are asked about,
 * before they are used and every few seconds, and go where the sentinels say.
 */
export class SentinelRoute implements Route {
  readonly access: Access;
  readonly #sentinels: readonly Sentinel[];
  /** Until one sentinel has answered, or each has failed, nobody can say where the master is, and nothing is wrong yet. */
  readonly #begun = Promise.withResolvers<void>();
  /** The newest known, also while no sentinel answers. */
  #master: Address | undefined;

  constructor(sentinels: readonly Address[], sentinelAccess: Access, master: string, access: Access) {
    this.access = access;
    const told = (): void => {
      if (this.#sentinels.some(({ answer }) => answer !== undefined) || this.#sentinels.every(({ silence }) => silence !== undefined)) this.#begun.resolve();
    };
    this.#sentinels = sentinels.map((address) => new Sentinel(address, sentinelAccess, master, told));
  }

  async next(): Promise<Address> {
    await this.#begun.promise;
    const master = await this.#consult();
    if (master === undefined) throw new Error(`No sentinel names a master (${[...new Set(this.#sentinels.map(({ silence }) => silence))].join('; ')})`);
    return master;
  }

  async wrong(_: Redis, at: Address): Promise<string | undefined> {
    const master = await this.#consult();
    return master === undefined || (master.host === at.host && master.port === at.port) ? undefined : 'the sentinels name another master';
  }

  async close(): Promise<void> {
    this.#begun.resolve();
    await Promise.all(this.#sentinels.map((sentinel) => sentinel.close()));
  }

  /** In and after a failover they may not agree for a while: the newest configuration is right, as it is among themselves. */
  async #consult(): Promise<Address | undefined> {
    const limit = Promise.withResolvers<void>();
    const timer = setTimeout(limit.resolve, ANSWERS_LIMIT);
    await Promise.race([limit.promise, Promise.all(this.#sentinels.map((sentinel) => sentinel.ask()))]);
    clearTimeout(timer);
    let newest: Answer | undefined;
    for (const { answer } of this.#sentinels) if (answer !== undefined && answer.epoch > (newest?.epoch ?? -1)) newest = answer;
    this.#master = newest?.master ?? this.#master;
    return this.#master;
  }
}

interface Answer {
  readonly master: Address;
  /** Of the configuration that names it; grows with each failover. */
  readonly epoch: number;
}

/** One sentinel: a connection to it, and what it said last. */
class Sentinel {
  /** Nothing while it is away. */
  answer: Answer | undefined;
  /** Why there is no answer; nothing before the first attempt is over. */
  silence: string | undefined;
  readonly #name: string;
  readonly #told: () => void;
  readonly #connection: Connection;

  /** @param told Called whenever it has answered, or cannot. */
  constructor(address: Address, access: Access, name: string, told: () => void) {
    this.#name = name;
    this.#told = told;
    this.#connection = new Connection(fixedRoute(address, access), 'tidings-sentinel', {
      ready: () => {
        this.#connection.succeeded();
        void this.ask();
      },
      lost: (reason) => this.#forget(reason),
    });
  }

  /** Settles when it has answered, or cannot. Never rejects. */
  async ask(): Promise<void> {
    if (!this.#connection.isReady) return;
    const { redis } = this.#connection;
    // Both in one go, since in a failover only the first says at once where the new master is. The second may be forbidden.
    const epoch = redis.call('SENTINEL', 'MASTER', this.#name).then(configEpoch, () => 0);
    try {
      const address = await redis.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', this.#name);
      if (!Array.isArray(address)) return this.#forget('it knows no master of that name');
      const [host, port] = [String(address[0] ?? ''), Number(address[1])];
      // One that cannot resolve its master's name has no host to tell, and without a host a socket would lead to this one.
      if (host === '' || !Number.isInteger(port) || port < 1 || port > 65_535) return this.#forget('it knows no address of the master');
      this.answer = { master: { host, port }, epoch: await epoch };
      this.#told();
    } catch (error) {
      this.#forget(describe(error));
    }
  }

  close(): Promise<void> {
    return this.#connection.close();
  }

  #forget(reason: string): void {
    this.answer = undefined;
    this.silence = reason;
    this.#told();
  }
}

/** From names and values that take turns. */
function configEpoch(facts: unknown): number {
  const epoch = Array.isArray(facts) ? Number(facts[facts.indexOf('config-epoch') + 1]) : 0;
  return Number.isSafeInteger(epoch) ? epoch : 0;
}
