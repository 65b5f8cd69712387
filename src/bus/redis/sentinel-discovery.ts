import type { Redis } from 'ioredis';
import type { Access, Address, SentinelLocation } from '../../config/redis-url.ts';
import { waitAtMost } from '../../runtime/clock.ts';
import { RedisConnection } from './connection.ts';
import { fixedServer, type ServerDiscovery } from './discovery-contract.ts';
import { redactedReason } from './redacted-reason.ts';

/** How long one round of questions waits for the slowest sentinel. Stops a frozen sentinel from holding up the answers of the others. */
const SENTINEL_ROUND_MAX_MS = 500;

/**
 * Finds the master that the sentinels name. A connection that breaks finds the new master at its next attempt. But a replaced master may live
 * on, as a replica or cut off, and take published messages that no subscriber gets. So each connection asks the sentinels before it is used, and every
 * few seconds after that, and reconnects if they name another master.
 */
export class SentinelDiscovery implements ServerDiscovery {
  readonly access: Access;
  readonly #sentinels: readonly Sentinel[];
  /** Resolves when a sentinel has answered, or all have failed. Until then `next` waits, because no failure is known yet. */
  readonly #heard = Promise.withResolvers<void>();
  /** The newest master known; kept while no sentinel answers. */
  #master: Address | undefined;

  constructor({ sentinels, sentinelAccess, master, access }: SentinelLocation) {
    this.access = access;
    const onChange = (): void => {
      if (this.#sentinels.some(({ answer }) => answer !== undefined) || this.#sentinels.every(({ silence }) => silence !== undefined)) this.#heard.resolve();
    };
    this.#sentinels = sentinels.map((address) => new Sentinel({ address, access: sentinelAccess, master, onChange }));
  }

  async next(): Promise<Address> {
    await this.#heard.promise;
    const master = await this.#consult();
    if (master === undefined) throw new Error(`No sentinel names a master (${[...new Set(this.#sentinels.map(({ silence }) => silence))].join('; ')})`);
    return master;
  }

  async reasonToLeave(_: Redis, address: Address): Promise<string | undefined> {
    const master = await this.#consult();
    return master === undefined || (master.host === address.host && master.port === address.port) ? undefined : 'the sentinels name another master';
  }

  async close(): Promise<void> {
    this.#heard.resolve();
    await Promise.all(this.#sentinels.map((sentinel) => sentinel.close()));
  }

  /** During a failover, and for a while after it, sentinels may disagree. The newest configuration wins, as it does among themselves. */
  async #consult(): Promise<Address | undefined> {
    await waitAtMost(SENTINEL_ROUND_MAX_MS, Promise.all(this.#sentinels.map((sentinel) => sentinel.ask())));
    let newest: Answer | undefined;
    for (const { answer } of this.#sentinels) if (answer !== undefined && answer.configEpoch > (newest?.configEpoch ?? -1)) newest = answer;
    this.#master = newest?.master ?? this.#master;
    return this.#master;
  }
}

interface Answer {
  readonly master: Address;
  /** Numbers the configuration that names this master; grows with each failover. */
  readonly configEpoch: number;
}

interface SentinelOptions {
  readonly address: Address;
  readonly access: Access;
  /** The name of the master to ask for. */
  readonly master: string;
  /** Called whenever the sentinel has answered, or cannot. */
  readonly onChange: () => void;
}

/** One sentinel: a connection to it, and its last answer. */
class Sentinel {
  /** Undefined while the sentinel is away. */
  answer: Answer | undefined;
  /** Why there is no answer; undefined before the first attempt is over. */
  silence: string | undefined;
  readonly #master: string;
  readonly #onChange: () => void;
  readonly #connection: RedisConnection;

  constructor({ address, access, master, onChange }: SentinelOptions) {
    this.#master = master;
    this.#onChange = onChange;
    this.#connection = new RedisConnection({
      discovery: fixedServer(address, access), name: 'tidings-sentinel',
      onReady: () => {
        this.#connection.succeeded();
        void this.ask();
      },
      onLost: (reason) => this.#forget(reason),
    });
  }

  /** Settles when the sentinel has answered, or cannot. Never rejects. */
  async ask(): Promise<void> {
    if (!this.#connection.isReady) return;
    const { redis } = this.#connection;
    // Both questions leave at once: during a failover only GET-MASTER-ADDR-BY-NAME names the new master immediately. MASTER may be forbidden.
    const epoch = redis.call('SENTINEL', 'MASTER', this.#master).then(configEpoch, () => 0);
    try {
      const address = await redis.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', this.#master);
      if (!Array.isArray(address)) return this.#forget('it knows no master of that name');
      const [host, port] = [String(address[0] ?? ''), Number(address[1])];
      // A sentinel that cannot resolve its master's name answers an empty host, and a socket without a host would connect to this machine.
      if (host === '' || !Number.isInteger(port) || port < 1 || port > 65_535) return this.#forget('it knows no address of the master');
      this.answer = { master: { host, port }, configEpoch: await epoch };
      this.#onChange();
    } catch (error) {
      this.#forget(redactedReason(error));
    }
  }

  close(): Promise<void> {
    return this.#connection.close();
  }

  #forget(reason: string): void {
    this.answer = undefined;
    this.silence = reason;
    this.#onChange();
  }
}

/** Reads the config epoch out of Redis' list, in which names and values alternate. */
function configEpoch(facts: unknown): number {
  const epoch = Array.isArray(facts) ? Number(facts[facts.indexOf('config-epoch') + 1]) : 0;
  return Number.isSafeInteger(epoch) ? epoch : 0;
}
