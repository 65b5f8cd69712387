import type { Clock } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/logging/logger.ts';
import { CLOCK_JUMP_MS, type CountedTime } from '../../store/believed-clock.ts';
import type { Trimmed } from '../../store/store.ts';

/**
 * While the machine's clock is ahead of the believed clock, the believed clock runs faster than real time by this factor. Two examples:
 *
 *     right clock, no instance ran for 24 h   →   it gains 3 h each hour: it has caught up after 8 h
 *     wrong clock, 8 days ahead               →   after 1 h, messages look 3 h older than they are
 */
const CATCH_UP_FACTOR = 4;

/** The command that makes the log believe the clock, for log lines. */
const ACCEPT = '`npm run clock -- --accept`';

export interface ClockJumpDependencies {
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Invariant 10: one instance's count of the believed clock, which decides what expires. `store/believed-clock.ts` decides at each look whether the machine's clock is believed.
 * Between two looks this class counts on with a monotonic clock. It logs when the machine's clock, or the newest message's time, is far ahead.
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

  /** How far the machine's clock was ahead of the believed clock at the last look. 0 while the machine's clock is believed. Milliseconds. */
  get ahead(): number {
    return this.#ahead;
  }

  /** How far the newest message was ahead of the machine's clock at the last look. Milliseconds. */
  get messageAhead(): number {
    return this.#messageAhead;
  }

  /** The believed clock at the last look (`from`), and the latest time that it can show now. Undefined before the first look. */
  get counted(): CountedTime | undefined {
    if (this.#believed === undefined) return undefined;
    const passed = (this.#clock.monotonic() - this.#observedAt) * (this.#ahead > 0 ? CATCH_UP_FACTOR : 1);
    return { from: this.#believed, latest: this.#believed + Math.floor(passed) };
  }

  /** Takes over the store's clocks from a step of retention. */
  observe({ machine, believed, log }: Pick<Trimmed, 'machine' | 'believed' | 'log'>): void {
    this.#believed = believed;
    this.#observedAt = this.#clock.monotonic();
    // `log.now` is the later of the machine's clock and the newest message's time. So it exceeds the machine's clock only if the message does.
    const messageAhead = Math.max(0, log.now - machine);
    this.#observeClock(machine - believed, messageAhead > CLOCK_JUMP_MS);
    this.#observeMessage(messageAhead);
  }

  #observeClock(ahead: number, isMessageAhead: boolean): void {
    if (ahead > 0 && this.#ahead === 0) {
      this.#logger.error({ seconds: seconds(ahead) }, 'the clock is far ahead of the time that the log believes: it jumped forward, or no instance ran for that long, or it was behind while messages were stored. '
        + `Until the log believes it, messages and keys expire slowly, and new messages get its time, even if that is in the future. If the clock is wrong, set it; if it is right, run ${ACCEPT}`);
    }
    // If a message is ahead, expiry still stands still: `#observeMessage` logs that.
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
