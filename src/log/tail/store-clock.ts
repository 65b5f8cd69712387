import type { Clock } from '../../runtime/clock.ts';

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
