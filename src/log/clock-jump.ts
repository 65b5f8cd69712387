import type { Clock } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logger.ts';

/** A clock that gains more than this on the machine's own count of time was stepped. */
const CLOCK_JUMP_MS = 60 * 60 * 1000;

export interface ClockJumpDependencies {
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Invariant 10: when the clock by which the age of messages is counted jumps forward by more than CLOCK_JUMP_MS, all messages would seem old
 * at once. Then it is not believed, and deletion by age pauses, until the clock is back or the process is restarted.
 */
export class ClockJump {
  readonly #clock: Clock;
  readonly #logger: Logger;
  #hasJumped = false;
  /** The clock by which age is counted less this machine's count of time, as far as it is believed. Milliseconds. */
  #offset: number | undefined;

  constructor({ clock, logger }: ClockJumpDependencies) {
    this.#clock = clock;
    this.#logger = logger;
  }

  /** The latest time that the clock may show; undefined before it was first seen, since its first time is believed. Milliseconds since 1970. */
  get latestBelieved(): number | undefined {
    return this.#offset === undefined ? undefined : this.#clock.monotonic() + this.#offset + CLOCK_JUMP_MS;
  }

  /** Looks at the clock. */
  observe(time: number): void {
    const offset = time - this.#clock.monotonic();
    this.#offset ??= offset;
    const hasJumped = offset - this.#offset > CLOCK_JUMP_MS;
    // What the clock loses, or gains slowly, is followed.
    if (!hasJumped) this.#offset = offset;
    if (hasJumped && !this.#hasJumped) {
      this.#logger.error({ seconds: Math.round((offset - this.#offset) / 1000) },
        'the clock jumped forward: deletion by age is paused until it is back, or until a restart confirms it');
    }
    if (!hasJumped && this.#hasJumped) this.#logger.info('the clock is back: deletion by age goes on');
    this.#hasJumped = hasJumped;
  }
}
