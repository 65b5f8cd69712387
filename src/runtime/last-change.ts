import type { Clock } from './clock.ts';

/** How often the count is read. The last change may be up to this much older than `quietMs` says. */
const CHANGE_LOOK_MS = 250;

/** Measures for how long a count has not changed, by reading it from time to time. So the code that counts does nothing more. */
export class LastChange {
  readonly #clock: Clock;
  readonly #count: () => number;
  #seen: number;
  #changedAt = -Infinity;

  constructor(clock: Clock, count: () => number) {
    this.#clock = clock;
    this.#count = count;
    this.#seen = count();
    this.#schedule();
  }

  /** Infinity if it never changed. */
  get quietMs(): number {
    this.#look();
    return this.#clock.monotonic() - this.#changedAt;
  }

  #look(): void {
    const count = this.#count();
    if (count === this.#seen) return;
    this.#seen = count;
    this.#changedAt = this.#clock.monotonic();
  }

  #schedule(): void {
    this.#clock.after(CHANGE_LOOK_MS, () => {
      this.#look();
      this.#schedule();
    });
  }
}
