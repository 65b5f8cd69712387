import type { Rate } from '../config/rate.ts';
import { Problem } from '../model/problem.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Counters } from '../runtime/counters.ts';
import { LineWindow } from '../runtime/logging/line-window.ts';
import type { Logger } from '../runtime/logging/logger.ts';
import { printable } from '../runtime/logging/printable.ts';
import { BucketSync } from './bucket-sync.ts';
import type { Ledger } from './ledger.ts';
import { FREE_PLACE, StreamPlaces, type Place } from './stream-places.ts';
import { TokenBuckets, type Spent } from './token-buckets.ts';
import { TopicCounts, TOPICS_WINDOW_MS } from './topic-counts.ts';

/**
 * This room limits each sender. It charges a sender for each publish, topic, idempotency key, session, open stream, and failed login. It returns undefined, or the problem that refuses
 * the request. All instances of a log count together in a ledger (ledger.ts); while the ledger is unavailable, each counts alone. The room imports nothing of HTTP.
 *
 * Read ledger.ts next. Then token-buckets.ts and bucket-sync.ts (rates), topic-counts.ts (distinct topics), and stream-places.ts (open streams).
 */

export interface LimitsSettings {
  /** Messages of each key or subject; undefined for no limit. */
  readonly publish: Rate | undefined;
  /** Messages of each address without a credential. */
  readonly anonymousPublish: Rate | undefined;
  /** Bad credentials from each address. */
  readonly failedLogins: Rate | undefined;
  /** Open streams of each key or subject, and of each address without a credential; 0 for no limit. */
  readonly streams: number;
  readonly anonymousStreams: number;
  /** Distinct topics in a day; 0 for no limit. */
  readonly topics: number;
  /** Idempotency keys that a sender may use in `idempotencyMs`; 0 for no limit. */
  readonly idempotencyKeys: number;
  readonly idempotencyMs: number;
}

export interface LimitsDependencies {
  readonly settings: LimitsSettings;
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly counters: Pick<Counters, 'limited' | 'countedAlone'>;
  readonly logger: Pick<Logger, 'info'>;
}

/** The sender that a limit counts: the owner of a credential, or an address. */
export interface LimitedSender {
  readonly id: string;
  readonly isAnonymous: boolean;
}

type LimitName = keyof Counters['limited'];
/** A refusal, or undefined if the request may go on; a promise if the ledger decides. */
type Refusal = Problem | undefined | Promise<Problem | undefined>;

/** New sessions of each key or subject. Stops a sender from keeping the database busy: each session is a commit. */
const SESSIONS_RATE: Rate = { tokens: 20, milliseconds: 60_000, burst: 100 };

const SENTENCES: Readonly<Record<LimitName, string>> = {
  publish: 'Too many messages were published',
  streams: 'Too many streams are open',
  'failed-logins': 'Too many credentials that are not good came from this address',
  sessions: 'Too many sessions were made',
  topics: 'Messages were published to too many different topics',
  'idempotency-keys': 'Too many idempotency keys are remembered, so nothing of this request was stored; if an earlier request with the same key was stored, it stays, and its answer comes again later',
};

export class Limits {
  readonly #ledger: Ledger;
  readonly #counters: Pick<Counters, 'limited'>;
  readonly #logger: Pick<Logger, 'info'>;
  readonly #lines = new LineWindow();
  readonly #publish: TokenBuckets | undefined;
  readonly #anonymousPublish: TokenBuckets | undefined;
  readonly #failedLogins: TokenBuckets | undefined;
  readonly #sessions: TokenBuckets;
  readonly #idempotencyKeys: TokenBuckets | undefined;
  readonly #topics: TopicCounts | undefined;
  readonly #streams: StreamPlaces;
  readonly #settings: LimitsSettings;

  constructor({ settings, ledger, clock, counters, logger }: LimitsDependencies) {
    const sync = new BucketSync({ ledger, clock, counters });
    const buckets = (name: string, rate: Rate | undefined): TokenBuckets | undefined => rate && new TokenBuckets({ name, rate, clock, sync });
    this.#ledger = ledger;
    this.#counters = counters;
    this.#logger = logger;
    this.#settings = settings;
    this.#publish = buckets('publish', settings.publish);
    this.#anonymousPublish = buckets('anonymous-publish', settings.anonymousPublish);
    this.#failedLogins = buckets('failed-logins', settings.failedLogins);
    this.#sessions = new TokenBuckets({ name: 'sessions', rate: SESSIONS_RATE, clock, sync });
    const { idempotencyKeys: keys, idempotencyMs } = settings;
    this.#idempotencyKeys = buckets('idempotency-keys', keys === 0 ? undefined : { tokens: keys, milliseconds: idempotencyMs, burst: keys });
    this.#topics = settings.topics === 0 ? undefined : new TopicCounts({ most: settings.topics, clock, ledger });
    this.#streams = new StreamPlaces({ ledger, clock, counters });
  }

  /** Counts together with the other instances of a log. */
  join(logId: string): void {
    this.#ledger.join(logId, (mayHaveForgotten) => mayHaveForgotten ? this.#streams.tellAll() : this.#streams.tellChanged());
  }

  close(): Promise<void> {
    return this.#ledger.close();
  }

  /** Charges messages: one for the head of a request, and the others of a batch after its body. @param before The messages already charged for the same request. */
  publish(sender: LimitedSender, messages: number, before = 0): Refusal {
    return this.#take('publish', sender.isAnonymous ? this.#anonymousPublish : this.#publish, sender.id, messages, before);
  }

  /** Charges the topics of a request. */
  topics(sender: LimitedSender, topics: readonly string[]): Problem | undefined {
    const spent = this.#topics?.take(sender.id, topics);
    return spent && this.#refused('topics', sender.id, { tokens: this.#topics!.most, milliseconds: TOPICS_WINDOW_MS, burst: this.#topics!.most }, spent);
  }

  /** Charges the idempotency key of a request. */
  idempotencyKey(sender: LimitedSender): Refusal {
    return this.#take('idempotency-keys', this.#idempotencyKeys, sender.id, 1);
  }

  /** Gives the charge back: the key of the request was already known, or was not stored. */
  idempotencyKeyUnused(sender: LimitedSender): void {
    this.#idempotencyKeys?.giveBack(sender.id, 1);
  }

  /** Charges a bad credential to an address. Returns the refusal of an address with too many. */
  failedLogin(address: string): Refusal {
    return this.#take('failed-logins', this.#failedLogins, address, 1);
  }

  /** Charges a session. */
  session(sender: LimitedSender): Refusal {
    return this.#take('sessions', this.#sessions, sender.id, 1);
  }

  /** Takes a place for a stream or long poll. Undefined if the sender has the most it may have. */
  async stream({ id, isAnonymous }: LimitedSender): Promise<Place | undefined> {
    const most = isAnonymous ? this.#settings.anonymousStreams : this.#settings.streams;
    if (most === 0) return FREE_PLACE;
    const place = await this.#streams.take(id, most);
    if (place === undefined) this.#note('streams', id);
    return place;
  }

  #take(limit: LimitName, buckets: TokenBuckets | undefined, owner: string, tokens: number, before = 0): Refusal {
    if (buckets === undefined) return undefined;
    const spent = buckets.take(owner, tokens, before);
    if (spent === undefined) return undefined;
    return spent instanceof Promise ? spent.then((awaited) => awaited && this.#refused(limit, owner, buckets.rate, awaited)) : this.#refused(limit, owner, buckets.rate, spent);
  }

  #refused(limit: LimitName, owner: string, { tokens, milliseconds, burst }: Rate, { retryMs, left }: Spent): Problem {
    this.#note(limit, owner);
    const retrySeconds = Math.max(1, Math.ceil(retryMs / 1000));
    const windowSeconds = Math.max(1, Math.ceil(burst / tokens * milliseconds / 1000));
    return new Problem('rate-limited', `${SENTENCES[limit]}: ${left} of ${burst} are left now; come back in ${retrySeconds} s.`, { spent: { policy: limit, quota: burst, windowSeconds, left, retrySeconds } });
  }

  #note(limit: LimitName, owner: string): void {
    this.#counters.limited[limit]++;
    const omitted = this.#lines.admit(`${limit} ${owner}`);
    if (omitted !== undefined) this.#logger.info({ limit, sender: printable(owner), ...(omitted === 0 ? {} : { omitted }) }, 'a limit was reached');
  }
}
