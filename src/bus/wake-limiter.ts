import type { Clock, Timer } from '../runtime/clock.ts';

/** The least time between two wake-ups. Stops a stranger on the bus from keeping the database busy with looks at the log. */
const WAKE_INTERVAL_MS = 20;

/** Passes the first wake-up on at once. Later ones within the interval become one at its end. */
export class WakeLimiter {
  readonly #clock: Clock;
  readonly #wake: () => void;
  #interval: Timer | undefined;
  #isDue = false;

  constructor(clock: Clock, wake: () => void) {
    this.#clock = clock;
    this.#wake = wake;
  }

  wake(): void {
    if (this.#interval !== undefined) {
      this.#isDue = true;
      return;
    }
    this.#isDue = false;
    this.#interval = this.#clock.after(WAKE_INTERVAL_MS, () => {
      this.#interval = undefined;
      if (this.#isDue) this.wake();
    });
    this.#wake();
  }

  stop(): void {
    this.#interval?.cancel();
  }
}
