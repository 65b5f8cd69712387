import type { Clock } from '../../runtime/clock.ts';

/** A store that owes an answer for longer than it may wait for a lock counts as away: a disk that hangs reports no error. */
const STORE_SILENCE_MAX_MS = 15_000;

/** The reason that is given for such a store. */
export const SILENT = 'the log does not answer';

/** Watches one question to the store at a time. A log that owes an answer is not ready, even before the question times out. */
export class StoreWatchdog {
  readonly #clock: Clock;
  #askedAt: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Passes the answer on, however long it takes. */
  async watch<Answer>(question: () => Promise<Answer>): Promise<Answer> {
    this.#askedAt = this.#clock.monotonic();
    try {
      return await question();
    } finally {
      this.#askedAt = undefined;
    }
  }

  get isOverdue(): boolean {
    return this.#askedAt !== undefined && this.#clock.monotonic() - this.#askedAt > STORE_SILENCE_MAX_MS;
  }
}
