import type { Clock, Timer } from '../runtime/clock.ts';
import type { Counters } from '../runtime/counters.ts';
import type { Logger } from '../runtime/logger.ts';
import { StoreError, type Store } from '../store/store.ts';
import { ClockJump } from './clock-jump.ts';

/** How often retention looks for what it may delete. */
const RETENTION_INTERVAL_MS = 5_000;
/** One step: small enough that a publish which meets it waits for a few milliseconds at most. */
const RETENTION_STEP_ROWS = 500;
/** The pause between steps, which leaves the database to the publishers. */
const RETENTION_PAUSE_MS = 20;

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
 * Age is counted by the clock as far as it is believed (clock-jump.ts). The store itself compares its clock with what is known when it deletes: a clock
 * that was right when it was asked for may have been stepped since.
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
  readonly #clockJump: ClockJump;
  #failed = false;
  #bytes = 0;

  constructor({ store, clock, counters, logger, maxAge, maxBytes }: RetentionDependencies) {
    this.#store = store;
    this.#clock = clock;
    this.#counters = counters;
    this.#logger = logger;
    this.#maxAge = maxAge;
    this.#maxBytes = maxBytes;
    this.#clockJump = new ClockJump({ clock, logger });
  }

  /** Bytes of messages held, at the last look. */
  get bytes(): number {
    return this.#bytes;
  }

  /** By how much the store's clock is ahead of what is believed, at the last look. Milliseconds. */
  get clockAhead(): number {
    return this.#clockJump.ahead;
  }

  /** By how much the newest message is ahead of the machine's clock, at the last look. Milliseconds. */
  get messageAhead(): number {
    return this.#clockJump.messageAhead;
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
      const { counted } = this.#clockJump;
      const trimmed = await this.#store.trim({ maxAge: this.#maxAge, maxBytes: this.#maxBytes, rows: RETENTION_STEP_ROWS, ...(counted === undefined ? {} : { counted }) });
      this.#clockJump.observe(trimmed);
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
}
