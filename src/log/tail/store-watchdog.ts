import type { Clock } from '../../runtime/clock.ts';

/** How long a query may take before the store counts as unavailable. Stops a disk that hangs without an error from leaving the instance ready. It is longer than a store waits for a lock. */
const STORE_SILENCE_MAX_MS = 15_000;

/** The failure of a store that does not answer in time. */
export const SILENT = 'the log does not answer';

/** Watches one query of the store at a time. While its answer is overdue, the instance is not ready, even before the query times out. */
export class StoreWatchdog {
  readonly #clock: Clock;
  #askedAt: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Returns the answer of a query, however long it takes. */
  async watch<Answer>(query: () => Promise<Answer>): Promise<Answer> {
    this.#askedAt = this.#clock.monotonic();
    try {
      return await query();
    } finally {
      this.#askedAt = undefined;
    }
  }

  get isOverdue(): boolean {
    return this.#askedAt !== undefined && this.#clock.monotonic() - this.#askedAt > STORE_SILENCE_MAX_MS;
  }
}
