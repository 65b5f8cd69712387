import { within, type Clock, type Timer } from '../runtime/clock.ts';
import type { Counters } from '../runtime/counters.ts';
import { LEDGER_WAIT_MS, LedgerAway, type Balance, type Debit, type Ledger } from './ledger.ts';

/** How long a charge waits for others, so that one report to the ledger covers several. Stops each message from costing a command. */
const TELL_MS = 5;

/** The most buckets of one command. Stops one command from keeping the ledger busy. */
const TELL_MAX_ENTRIES = 200;

/** A bucket as this instance sees it. Tokens, and milliseconds of the monotonic clock. */
export interface SharedBucket {
  readonly name: string;
  /** The time in which one token comes back. */
  readonly tokenMs: number;
  /** The time at which it becomes full again, as far as this instance knows. */
  fullAt: number;
  /** Tokens charged here, and not yet reported to the ledger. */
  unsent: number;
  /** Tokens charged here, and not yet confirmed by the ledger. Includes `unsent`. */
  unconfirmed: number;
}

interface Question {
  readonly bucket: SharedBucket;
  readonly tokens: number;
  readonly onlyWithinMs: number;
  readonly answer: (balance: Balance | undefined) => void;
}

export interface BucketSyncDependencies {
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly counters: Pick<Counters, 'countedAlone'>;
}

/** Reports the charges of this instance to the ledger, many buckets at a time, and adopts the balances that it answers. */
export class BucketSync {
  readonly #ledger: Ledger;
  readonly #clock: Clock;
  readonly #counters: Pick<Counters, 'countedAlone'>;
  readonly #dirty = new Set<SharedBucket>();
  #questions: Question[] = [];
  #timer: Timer | undefined;
  #willTell = false;

  constructor({ ledger, clock, counters }: BucketSyncDependencies) {
    this.#ledger = ledger;
    this.#clock = clock;
    this.#counters = counters;
  }

  get isUp(): boolean {
    return this.#ledger.isUp;
  }

  /**
   * A bucket was charged, or got tokens back. Reports it within `TELL_MS`, and at once if half of `credit` is unreported.
   * @param credit The most tokens that an instance grants before the ledger confirms them.
   */
  charged(bucket: SharedBucket, tokens: number, credit: number): void {
    if (!this.#ledger.isUp) {
      if (tokens > 0) this.#counters.countedAlone += tokens;
      return;
    }
    bucket.unsent += tokens;
    bucket.unconfirmed += tokens;
    this.#dirty.add(bucket);
    if (bucket.unsent * 2 >= credit) this.#tellNow();
    else this.#timer ??= this.#clock.after(TELL_MS, () => this.#tell());
  }

  /** Asks the ledger for tokens before they are granted. Undefined if no answer comes in time. */
  ask(bucket: SharedBucket, tokens: number, onlyWithinMs: number): Promise<Balance | undefined> {
    const { promise, resolve } = Promise.withResolvers<Balance | undefined>();
    this.#questions.push({ bucket, tokens, onlyWithinMs, answer: resolve });
    this.#tellNow();
    return within(this.#clock, LEDGER_WAIT_MS, promise);
  }

  #tellNow(): void {
    if (this.#willTell) return;
    this.#willTell = true;
    this.#clock.soon(() => this.#tell());
  }

  #tell(): void {
    this.#willTell = false;
    this.#timer?.cancel();
    this.#timer = undefined;
    const charges = [...this.#dirty].map((bucket) => ({ bucket, tokens: bucket.unsent }));
    for (const { bucket } of charges) bucket.unsent = 0;
    this.#dirty.clear();
    const questions = this.#questions;
    this.#questions = [];
    for (let at = 0; at < charges.length; at += TELL_MAX_ENTRIES) void this.#tellCharges(charges.slice(at, at + TELL_MAX_ENTRIES));
    for (let at = 0; at < questions.length; at += TELL_MAX_ENTRIES) void this.#putQuestions(questions.slice(at, at + TELL_MAX_ENTRIES));
  }

  async #tellCharges(charges: readonly { readonly bucket: SharedBucket; readonly tokens: number }[]): Promise<void> {
    const balances = await this.#spend(charges.map(({ bucket, tokens }) => ({ bucket: bucket.name, costMs: tokens * bucket.tokenMs })));
    charges.forEach(({ bucket, tokens }, index) => {
      bucket.unconfirmed -= tokens;
      if (balances === undefined) this.#counters.countedAlone += Math.max(0, tokens);
      else this.#learn(bucket, balances[index]!);
    });
  }

  async #putQuestions(questions: readonly Question[]): Promise<void> {
    const balances = await this.#spend(questions.map(({ bucket, tokens, onlyWithinMs }) => ({ bucket: bucket.name, costMs: tokens * bucket.tokenMs, onlyWithinMs })));
    questions.forEach(({ bucket, answer }, index) => {
      const balance = balances?.[index];
      if (balance !== undefined) this.#learn(bucket, balance);
      answer(balance);
    });
  }

  /** Undefined if the ledger does not answer: then the charges count on this instance alone. */
  async #spend(debits: readonly Debit[]): Promise<readonly Balance[] | undefined> {
    try {
      return await this.#ledger.spend(debits);
    } catch (error) {
      if (!(error instanceof LedgerAway)) throw error;
      return undefined;
    }
  }

  #learn(bucket: SharedBucket, { fullInMs }: Balance): void {
    bucket.fullAt = this.#clock.monotonic() + fullInMs + bucket.unconfirmed * bucket.tokenMs;
  }
}
