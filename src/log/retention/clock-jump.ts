import type { Clock } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/logging/logger.ts';
import { CLOCK_JUMP_MS, type CountedTime } from '../../store/believed-clock.ts';
import type { Trimmed } from '../../store/store.ts';

/**
 * While the clock is not believed, the believed clock runs faster than the time by this factor. An instance that was switched off for a day is right again
 * after eight hours. A clock that is eight days ahead has made messages three hours too old after one hour.
 */
const CATCH_UP_FACTOR = 4;

/** How the way out is named in the log. */
const ACCEPT = '`npm run clock -- --accept`';

export interface ClockJumpDependencies {
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Invariant 10: what one instance knows of the store's clock (store/believed-clock.ts decides what is believed). It measures the time since the last look with
 * a monotonic clock. It logs when the clock, or the newest message's time, is far from the expected one.
 */
export class ClockJump {
  readonly #clock: Clock;
  readonly #logger: Logger;
  #believed: number | undefined;
  #observedAt = 0;
  #ahead = 0;
  #messageAhead = 0;

  constructor({ clock, logger }: ClockJumpDependencies) {
    this.#clock = clock;
    this.#logger = logger;
  }

  /** How far the clock was ahead of the believed clock at the last look; 0 while it is believed. Milliseconds. */
  get ahead(): number {
    return this.#ahead;
  }

  /** By how much the newest message is ahead of the machine's clock, at the last look. Milliseconds. */
  get messageAhead(): number {
    return this.#messageAhead;
  }

  /** The time as this instance counts it; undefined before its first look. */
  get counted(): CountedTime | undefined {
    if (this.#believed === undefined) return undefined;
    const passed = (this.#clock.monotonic() - this.#observedAt) * (this.#ahead > 0 ? CATCH_UP_FACTOR : 1);
    return { from: this.#believed, latest: this.#believed + Math.floor(passed) };
  }

  /** Takes over what the store said when retention looked. */
  observe({ machine, believed, log }: Pick<Trimmed, 'machine' | 'believed' | 'log'>): void {
    this.#believed = believed;
    this.#observedAt = this.#clock.monotonic();
    // The store's clock never stands before the newest message, and so shows where that is ahead of the machine's.
    const messageAhead = Math.max(0, log.now - machine);
    this.#observeClock(machine - believed, messageAhead > CLOCK_JUMP_MS);
    this.#observeMessage(messageAhead);
  }

  #observeClock(ahead: number, isMessageAhead: boolean): void {
    if (ahead > 0 && this.#ahead === 0) {
      this.#logger.error({ seconds: seconds(ahead) }, 'the clock is far ahead of the time that the log believes: it jumped forward, or no instance ran for that long, or it was behind while messages were stored. '
        + `Until the log believes it, messages and keys expire slowly, and new messages get its time, even if that is in the future. If the clock is wrong, set it; if it is right, run ${ACCEPT}`);
    }
    // Where a message is ahead, the next line says what that holds up.
    if (ahead === 0 && this.#ahead > 0) this.#logger.info(`the clock is believed again${isMessageAhead ? '' : ': messages and keys expire as it says'}`);
    this.#ahead = ahead;
  }

  #observeMessage(ahead: number): void {
    const [isAhead, wasAhead] = [ahead > CLOCK_JUMP_MS, this.#messageAhead > CLOCK_JUMP_MS];
    if (isAhead && !wasAhead) {
      this.#logger.error({ seconds: seconds(ahead) }, 'the newest message is from far ahead of the clock: until the clock is there, the log\'s time stands still, and no TTL ends. '
        + `If the clock is wrong, set it; if it is right, ${ACCEPT} gives such messages the present time`);
    }
    if (!isAhead && wasAhead) this.#logger.info('the newest message is no longer ahead of the clock');
    this.#messageAhead = ahead;
  }
}

function seconds(milliseconds: number): number {
  return Math.round(milliseconds / 1000);
}
