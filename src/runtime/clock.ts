/** Time as the spine sees it, handed in so that a test can drive it. */
export interface Clock {
  /** Milliseconds that only ever grow; what they count from means nothing. */
  monotonic(): number;
  /** Runs `task` after so many milliseconds, without keeping the process alive for it. */
  after(milliseconds: number, task: () => void): Timer;
  /** Runs `task` once this turn of the event loop is over. */
  soon(task: () => void): void;
}

export interface Timer {
  cancel(): void;
}

export const systemClock: Clock = {
  monotonic: () => performance.now(),
  after(milliseconds, task) {
    const timeout = setTimeout(task, milliseconds);
    timeout.unref();
    return { cancel: () => clearTimeout(timeout) };
  },
  soon(task) {
    setImmediate(task);
  },
};

/**
 * Invariant 10: the store's clock, as far as this process knows it: what the store last said, and the time since.
 * Whether a TTL has passed is asked of this, never of the machine's own clock.
 */
export class StoreClock {
  readonly #clock: Clock;
  #offset: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** An answer that took long on its way shows a clock that seems late; a smaller difference than this is taken for that. Milliseconds. */
  static readonly LATE_MS = 250;

  observe(now: number): void {
    const offset = now - this.#clock.monotonic();
    if (this.#offset === undefined || offset > this.#offset || offset < this.#offset - StoreClock.LATE_MS) this.#offset = offset;
  }

  /** Milliseconds since 1970. 0 before the store was first heard, so that nothing has expired then. */
  now(): number {
    return this.#offset === undefined ? 0 : this.#clock.monotonic() + this.#offset;
  }
}

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
