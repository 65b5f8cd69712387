import type { Clock, Timer } from '../runtime/clock.ts';
import type { Counters } from '../runtime/counters.ts';
import type { Logger } from '../runtime/logger.ts';
import { StoreError, type Store } from '../store/store.ts';

/** How often retention looks for what it may delete. */
const RETENTION_INTERVAL_MS = 5_000;
/** One step: small enough that a publish which meets it waits for a few milliseconds at most. */
const RETENTION_STEP_ROWS = 500;
/** The pause between steps, which leaves the database to the publishers. */
const RETENTION_PAUSE_MS = 20;
/** A clock that gains more than this on the machine's own count of time was stepped. */
const CLOCK_JUMP_MS = 60 * 60 * 1000;

export interface RetentionDependencies {
  readonly store: Store;
  readonly clock: Clock;
  readonly counters: Counters;
  readonly logger: Logger;
  /** Messages older than this are deleted; 0 disables the limit. Milliseconds. */
  readonly maxAge: number;
  /** Above so many bytes of messages the oldest are deleted; 0 disables the limit. */
  readonly maxBytes: number;
}

/**
 * Deletes what is too old or too much, from the oldest on, in small steps.
 *
 * Invariant 10: when the clock that age is counted by jumps forward by more than CLOCK_JUMP_MS, everything would seem old
 * at once. Then deletion by age pauses, and says so, until the clock is back or the process is restarted; deletion by
 * size goes on. The store itself looks before it deletes: a clock that was right when it was asked for may be stepped by then.
 */
export class Retention {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #counters: Counters;
  readonly #logger: Logger;
  readonly #maxAge: number;
  readonly #maxBytes: number;
  #timer: Timer | undefined;
  #isStopped = false;
  #jumped = false;
  #failed = false;
  /** The clock that age is counted by less this machine's count of time, as far as it is believed. */
  #offset: number | undefined;
  #bytes = 0;

  constructor({ store, clock, counters, logger, maxAge, maxBytes }: RetentionDependencies) {
    this.#store = store;
    this.#clock = clock;
    this.#counters = counters;
    this.#logger = logger;
    this.#maxAge = maxAge;
    this.#maxBytes = maxBytes;
  }

  /** Bytes of messages held, at the last look. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Deletes from now on, in the background. */
  run(): void {
    this.#schedule(0);
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  #schedule(milliseconds: number): void {
    if (this.#isStopped) return;
    this.#timer = this.#clock.after(milliseconds, () => {
      void this.#step().then((more) => this.#schedule(more ? RETENTION_PAUSE_MS : RETENTION_INTERVAL_MS));
    });
  }

  /** Whether there is more to delete. */
  async #step(): Promise<boolean> {
    try {
      const trimmed = await this.#store.trim({ maxAge: this.#maxAge, maxBytes: this.#maxBytes, rows: RETENTION_STEP_ROWS, ...this.#believed });
      this.#watch(trimmed.clock);
      this.#counters.trimmed += trimmed.messages;
      this.#counters.trimmedKeys += trimmed.keys;
      this.#bytes = trimmed.bytes;
      this.#failed = false;
      return trimmed.more;
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      if (!this.#failed) this.#logger.warn({ err: error }, 'retention cannot delete just now');
      this.#failed = true;
      return false;
    }
  }

  /** How far the clock may have come by now. What it shows first is believed. */
  get #believed(): { readonly latest?: number } {
    return this.#offset === undefined ? {} : { latest: this.#clock.monotonic() + this.#offset + CLOCK_JUMP_MS };
  }

  #watch(clock: number): void {
    const offset = clock - this.#clock.monotonic();
    this.#offset ??= offset;
    const jumped = offset - this.#offset > CLOCK_JUMP_MS;
    // What the clock loses, or gains slowly, is followed.
    if (!jumped) this.#offset = offset;
    if (jumped && !this.#jumped) {
      this.#logger.error({ seconds: Math.round((offset - this.#offset) / 1000) },
        'the clock jumped forward: deletion by age is paused until it is back, or until a restart confirms it');
    }
    if (!jumped && this.#jumped) this.#logger.info('the clock is back: deletion by age goes on');
    this.#jumped = jumped;
  }
}
