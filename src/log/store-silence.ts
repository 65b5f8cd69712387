import type { Clock } from '../runtime/clock.ts';

/** A store that owes an answer for longer than it may wait for a lock counts as one that is away: a disk that hangs reports no error. Milliseconds. */
const SILENCE_MS = 15_000;

/** What is said of one. */
export const SILENT = 'the log does not answer';

/** Watches over one question at a time. */
export class Patience {
  readonly #clock: Clock;
  #since: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Passes an answer on, however long it takes. */
  async await<Answer>(question: () => Promise<Answer>): Promise<Answer> {
    this.#since = this.#clock.monotonic();
    try {
      return await question();
    } finally {
      this.#since = undefined;
    }
  }

  get isOver(): boolean {
    return this.#since !== undefined && this.#clock.monotonic() - this.#since > SILENCE_MS;
  }
}
