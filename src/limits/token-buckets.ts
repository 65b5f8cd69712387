import { hash } from 'node:crypto';
import type { Rate } from '../config/rate.ts';
import type { Clock } from '../runtime/clock.ts';
import type { BucketSync, SharedBucket } from './bucket-sync.ts';

/** The most buckets in memory. Stops many addresses from filling the memory: the oldest bucket is dropped, and its owner begins with a full one. */
const BUCKETS_MAX_ENTRIES = 100_000;

/** The share of a burst that an instance grants before the ledger confirms it. Bounds the excess over the limit on all instances together. */
const CREDIT_SHARE = 0.1;

/** The reason why no tokens were granted. */
export interface Spent {
  /** The time until the same request would be granted. Milliseconds. */
  readonly retryMs: number;
  /** The remaining tokens. */
  readonly left: number;
}

export interface TokenBucketsDependencies {
  /** The name of the limit in the ledger. */
  readonly name: string;
  readonly rate: Rate;
  readonly clock: Clock;
  readonly sync: BucketSync;
}

/**
 * One limit: a token bucket for each owner. A bucket is one number, the time when it is full again (the generic cell rate algorithm).
 *
 * An instance grants from its own count, without waiting, and reports to the ledger a few milliseconds later. Unconfirmed tokens are at most a tenth
 * of the burst; beyond that the instance asks the ledger first. So all instances together grant at most that tenth, once for each instance, more than the limit. While
 * the ledger is away or late, each counts alone.
 */
export class TokenBuckets {
  readonly rate: Rate;
  readonly #name: string;
  readonly #clock: Clock;
  readonly #sync: BucketSync;
  readonly #tokenMs: number;
  readonly #credit: number;
  readonly #buckets = new Map<string, SharedBucket>();

  constructor({ name, rate, clock, sync }: TokenBucketsDependencies) {
    this.rate = rate;
    this.#name = name;
    this.#clock = clock;
    this.#sync = sync;
    this.#tokenMs = rate.milliseconds / rate.tokens;
    this.#credit = Math.ceil(rate.burst * CREDIT_SHARE);
  }

  /**
   * Takes tokens, all or none. A request for more tokens than the burst is granted if the bucket is full. The bucket then owes the rest.
   * @param before The tokens already taken for the same request. The request is judged as if it took all its tokens now.
   * @returns Undefined if the tokens are granted; a promise if the ledger must be asked first.
   */
  take(owner: string, tokens: number, before = 0): Spent | undefined | Promise<Spent | undefined> {
    const bucket = this.#find(owner);
    const onlyWithinMs = this.#onlyWithinMs(tokens, before);
    const spent = this.#spent(bucket, onlyWithinMs);
    if (spent !== undefined) return spent;
    if (this.#sync.isUp && bucket.unconfirmed + tokens > this.#credit) return this.#ask(bucket, tokens, onlyWithinMs);
    this.#charge(bucket, tokens);
    return undefined;
  }

  /** Gives back tokens of a request that did not use them. */
  giveBack(owner: string, tokens: number): void {
    this.#charge(this.#find(owner), -tokens);
  }

  async #ask(bucket: SharedBucket, tokens: number, onlyWithinMs: number): Promise<Spent | undefined> {
    const balance = await this.#sync.ask(bucket, tokens, onlyWithinMs);
    if (balance?.isTaken === true) return undefined;
    // The bucket includes the ledger's answer now. Without an answer, this instance decides.
    const spent = this.#spent(bucket, onlyWithinMs);
    if (spent !== undefined) return spent;
    if (balance !== undefined) return { retryMs: this.#tokenMs, left: 0 };
    this.#charge(bucket, tokens);
    return undefined;
  }

  #charge(bucket: SharedBucket, tokens: number): void {
    bucket.fullAt = Math.max(bucket.fullAt, this.#clock.monotonic()) + tokens * this.#tokenMs;
    this.#sync.charged(bucket, tokens, this.#credit);
  }

  #spent(bucket: SharedBucket, onlyWithinMs: number): Spent | undefined {
    const ahead = Math.max(0, bucket.fullAt - this.#clock.monotonic());
    if (ahead <= onlyWithinMs) return undefined;
    return { retryMs: ahead - onlyWithinMs, left: Math.max(0, Math.floor(this.rate.burst - ahead / this.#tokenMs)) };
  }

  /** The most that a bucket may lack to grant these tokens, as the time until it is full. Milliseconds. */
  #onlyWithinMs(tokens: number, before: number): number {
    return (this.rate.burst - Math.min(tokens + before, this.rate.burst) + before) * this.#tokenMs;
  }

  #find(owner: string): SharedBucket {
    const known = this.#buckets.get(owner);
    if (known !== undefined) return known;
    if (this.#buckets.size >= BUCKETS_MAX_ENTRIES) for (const oldest of this.#buckets.keys()) {
      this.#buckets.delete(oldest);
      break;
    }
    const bucket = { name: `${this.#name}:${ownerDigest(owner)}`, tokenMs: this.#tokenMs, fullAt: 0, unsent: 0, unconfirmed: 0 };
    this.#buckets.set(owner, bucket);
    return bucket;
  }
}

/** The name of an owner in the ledger: a hash, because a subject may be long, and an address is private. */
export function ownerDigest(owner: string): string {
  return hash('sha256', owner, 'base64url').slice(0, 22);
}
