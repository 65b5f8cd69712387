import type { Clock, Timer } from '../runtime/clock.ts';
import type { Counters } from '../runtime/counters.ts';
import type { Logger } from '../runtime/logger.ts';
import { StoreError, type Store } from '../store/store.ts';

/** How often retention looks. Milliseconds. */
const INTERVAL_MS = 5_000;
/** One batch: small enough that a publish which meets it waits for a few milliseconds at most. Rows. */
const BATCH_ROWS = 500;
/** The pause between batches, which leaves the database to the publishers. Milliseconds. */
const PAUSE_MS = 20;
/** A clock that gains more than this on the machine's own count of time was stepped, not kept well. Milliseconds. */
const CLOCK_JUMP_MS = 60 * 60 * 1000;

/**
 * Deletes what is too old or too much, from the oldest on, in small batches.
 *
 * Invariant 10: when the clock that age is counted by jumps forward by more than CLOCK_JUMP_MS, everything would seem old
 * at once. Then deletion by age pauses, and says so, until the clock is back or the service is started again; deletion by
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
  #stopped = false;
  #jumped = false;
  #failed = false;
  /** The clock that age is counted by less this machine's count of time, as far as it is believed. */
  #offset: number | undefined;
  /** Bytes of messages held, at the last look. */
  bytes = 0;

  constructor(options: { store: Store; clock: Clock; counters: Counters; logger: Logger; maxAge: number; maxBytes: number }) {
    this.#store = options.store;
    this.#clock = options.clock;
    this.#counters = options.counters;
    this.#logger = options.logger;
    this.#maxAge = options.maxAge;
    this.#maxBytes = options.maxBytes;
  }

  start(): void {
    this.#schedule(0);
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #schedule(milliseconds: number): void {
    if (this.#stopped) return;
    this.#timer = this.#clock.after(milliseconds, () => {
      void this.#batch().then((more) => this.#schedule(more ? PAUSE_MS : INTERVAL_MS));
    });
  }

  /** Whether there is more to delete. */
  async #batch(): Promise<boolean> {
    try {
      const trimmed = await this.#store.trim({ maxAge: this.#maxAge, maxBytes: this.#maxBytes, rows: BATCH_ROWS, ...this.#believed });
      this.#watch(trimmed.clock);
      this.#counters.trimmed += trimmed.messages;
      this.#counters.trimmedKeys += trimmed.keys;
      this.bytes = trimmed.bytes;
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
