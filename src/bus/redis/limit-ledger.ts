import { randomBytes } from 'node:crypto';
import { readRedisUrl, type RedisLocation } from '../../config/redis-url.ts';
import { LEDGER_WAIT_MS, LedgerAway, type Balance, type Debit, type Holding, type Ledger, type TopicCount } from '../../limits/ledger.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/logging/logger.ts';
import { RedisConnection } from './connection.ts';
import type { ServerDiscovery } from './discovery-contract.ts';
import { COUNT_TOPICS, HOLD, RENEW, SPEND } from './limit-scripts.ts';
import { redactedReason } from './redacted-reason.ts';
import { discoveryFor } from './redis.ts';
import { SlotDiscovery } from './slot-discovery.ts';

/** When an instance was silent for this long, its holdings are freed. */
const LEASE_MS = 15_000;
const RENEW_MS = 5_000;

/** A count expires this long after its last report. Instances repeat their reports more often. */
const HOLDINGS_KEPT_MS = 24 * 3_600_000;

const UNLIMITED_PLACES = -1;

export interface RedisLimitLedgerOptions {
  readonly url: string;
  readonly clock: Clock;
  readonly logger: Pick<Logger, 'info' | 'warn'>;
}

/**
 * The ledger of several instances, in Redis. The keys of a log have its id as their hash tag, so a cluster keeps them all on one node. Each key expires when its count ends. Redis counts by its own clock.
 * If Redis is away, late, refuses us or loses its data, the instances count alone for a while. Nothing else happens.
 */
export class RedisLimitLedger implements Ledger {
  readonly #location: RedisLocation;
  readonly #clock: Clock;
  readonly #logger: Pick<Logger, 'info' | 'warn'>;
  readonly #instance = randomBytes(8).toString('hex');
  #prefix = '';
  #onReturn: (mayHaveForgotten: boolean) => void = () => undefined;
  #discovery: ServerDiscovery | undefined;
  #connection: RedisConnection | undefined;
  #renewal: Timer | undefined;
  /** Whether Redis has answered a script on this connection. */
  #isWelcome = false;
  /** Whether an answer of Redis is overdue. */
  #isLate = false;
  #isLoggedUp: boolean | undefined;
  #isClosed = false;

  /** Throws when the URL is not a Redis URL; the error repeats nothing of it. */
  constructor({ url, clock, logger }: RedisLimitLedgerOptions) {
    this.#location = readRedisUrl(url);
    this.#clock = clock;
    this.#logger = logger;
  }

  get isUp(): boolean {
    return this.#isWelcome && this.#connection?.isReady === true && !this.#isLate && !this.#isClosed;
  }

  join(logId: string, onReturn: (mayHaveForgotten: boolean) => void): void {
    this.#prefix = `tidings:{${logId}}:limits:`;
    this.#onReturn = onReturn;
    const discovery = this.#location.kind === 'cluster' ? new SlotDiscovery(this.#location, this.#prefix) : discoveryFor(this.#location);
    this.#discovery = discovery;
    this.#connection = new RedisConnection({ discovery, name: 'tidings-limits', onReady: () => void this.#ready(), onLost: (reason) => this.#lost(reason) });
  }

  async spend(debits: readonly Debit[]): Promise<readonly Balance[]> {
    const micros = (milliseconds: number): number => Math.ceil(milliseconds * 1000);
    const answers = await this.#run(SPEND, debits.map(({ bucket }) => bucket), debits.flatMap(({ costMs, onlyWithinMs }) => [micros(costMs), onlyWithinMs === undefined ? -1 : micros(onlyWithinMs)]));
    return answers.map((answer) => answer < 0 ? { isTaken: false, fullInMs: (-1 - answer) / 1000 } : { isTaken: true, fullInMs: answer / 1000 });
  }

  async addTopics(owner: string, topics: readonly string[], windowMs: number): Promise<TopicCount> {
    const [count = 0, windowLeftMs = windowMs] = await this.#run(COUNT_TOPICS, [`topics:${owner}`], [windowMs, ...topics]);
    return { topics: count, windowLeftMs };
  }

  async hold(holdings: readonly Holding[]): Promise<readonly boolean[]> {
    const answers = await this.#run(HOLD, ['instances', ...holdings.map(({ owner }) => `streams:${owner}`)], [this.#instance, HOLDINGS_KEPT_MS, ...holdings.flatMap(({ places, most = UNLIMITED_PLACES }) => [places, most])]);
    return answers.map((answer) => answer === 1);
  }

  async close(): Promise<void> {
    if (this.isUp) await this.#run(RENEW, ['instances'], [this.#instance, 0]).catch(awayOnly);
    this.#isClosed = true;
    this.#renewal?.cancel();
    await Promise.all([this.#connection?.close(), this.#discovery?.close()]);
  }

  /** The connection is ready, for the first time or again. Redis may have lost the holdings of this instance. */
  async #ready(): Promise<void> {
    this.#isLate = false;
    if (!await this.#renew(true)) return;
    this.#isWelcome = true;
    this.#connection?.succeeded();
    this.#onReturn(true);
    this.#say(true);
  }

  /** Renews the lease of this instance. If Redis had lost the lease, it has lost the holdings too, and they are reported again. */
  async #renew(isNew = false): Promise<boolean> {
    this.#renewal?.cancel();
    this.#renewal = this.#clock.after(RENEW_MS, () => void this.#renew());
    if (!isNew && !this.isUp) return false;
    const [wasAlive] = await this.#run(RENEW, ['instances'], [this.#instance, LEASE_MS]).catch(awayOnly) ?? [];
    if (wasAlive === undefined) return false;
    if (!isNew && wasAlive === 0) this.#onReturn(true);
    return true;
  }

  /** After a late answer, reports the changes since then: none was sent while Redis was late. */
  #answered(): void {
    const wasLate = this.#isLate;
    this.#isLate = false;
    if (wasLate && this.isUp) this.#onReturn(false);
  }

  #lost(reason: string): void {
    this.#isWelcome = false;
    this.#say(false, reason);
  }

  #say(isUp: boolean, reason?: string): void {
    if (this.#isClosed || this.#isLoggedUp === isUp) return;
    this.#isLoggedUp = isUp;
    if (isUp) this.#logger.info('limits count over all instances, in Redis');
    else this.#logger.warn({ reason }, 'limits cannot be counted in Redis: each instance counts alone, with the same numbers');
  }

  async #run(script: string, keys: readonly string[], values: readonly (string | number)[]): Promise<readonly number[]> {
    const connection = this.#connection;
    if (connection?.isReady !== true || this.#isClosed) throw new LedgerAway();
    const { redis } = connection;
    const args = [...keys.map((key) => this.#prefix + key), ...values];
    let isOwed = true;
    // `soon` lets a busy process first read an answer that has already arrived.
    const late = this.#clock.after(LEDGER_WAIT_MS, () => this.#clock.soon(() => {
      this.#isLate ||= isOwed;
    }));
    try {
      const answer = await redis.eval(script, keys.length, ...args);
      this.#answered();
      if (!Array.isArray(answer)) throw new Error('Redis answered a script with something else');
      return answer.map(Number);
    } catch (error) {
      // Redis refused the script: reconnect, perhaps to another server. A broken connection reports itself.
      if (connection.isReady && error instanceof Error && error.name === 'ReplyError') connection.fail(error);
      throw new LedgerAway(redactedReason(error));
    } finally {
      isOwed = false;
      late.cancel();
    }
  }
}

function awayOnly(error: unknown): undefined {
  if (!(error instanceof LedgerAway)) throw error;
  return undefined;
}
