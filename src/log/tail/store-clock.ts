import type { Clock } from '../../runtime/clock.ts';

/** A slow answer makes the store's clock look late. Stops such answers from moving the known clock back by less than this. Milliseconds. */
const SLOW_ANSWER_MS = 250;

/**
 * The store's clock, estimated from its last answers and the monotonic time since (invariant 10). Use it, never the machine's clock, to decide whether a TTL has passed.
 */
export class StoreClock {
  readonly #clock: Clock;
  /** The store's clock minus the monotonic clock. */
  #offset: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Takes over the store's clock from an answer. */
  observe(now: number): void {
    const offset = now - this.#clock.monotonic();
    if (this.#offset === undefined || offset > this.#offset || offset < this.#offset - SLOW_ANSWER_MS) this.#offset = offset;
  }

  /** Milliseconds since 1970. 0 before the store's first answer, so that nothing expires before it. */
  now(): number {
    return this.#offset === undefined ? 0 : this.#clock.monotonic() + this.#offset;
  }
}
