import type { Clock, Timer } from '../../runtime/clock.ts';

/**
 * How long a publisher waits for its answer. Somebody looks every second whether one waits for too long. These looks are counted rather than the time: while this
 * process is stopped, it is not the store that is silent.
 */
const LOOK_MS = 1_000;
/** How long a publish waits that the store has not got. Stops a store that fails slowly from making it wait for the failures of all before it. */
const QUEUE_WAIT_MS = 10_000;
/** How long a publish waits that the store has: then nobody knows. A store gives up sooner by itself; this stops one that does not. */
const ANSWER_WAIT_MS = 14_000;

/** When a wait began: how many looks there were before it. */
export type Since = number;

export interface WaitLimitsDependencies {
  readonly clock: Clock;
  /** Called at each look. @returns Whether anyone waits still: only then is there another look. */
  readonly look: () => boolean;
}

export class WaitLimits {
  readonly #clock: Clock;
  readonly #look: () => boolean;
  #looks: Since = 0;
  #timer: Timer | undefined;
  #isStopped = false;

  constructor({ clock, look }: WaitLimitsDependencies) {
    this.#clock = clock;
    this.#look = look;
  }

  /** A wait begins. */
  begin(): Since {
    this.#lookLater();
    return this.#looks;
  }

  isQueuedTooLong(since: Since): boolean {
    return this.#waited(since) > QUEUE_WAIT_MS;
  }

  isUnansweredTooLong(since: Since): boolean {
    return this.#waited(since) > ANSWER_WAIT_MS;
  }

  stop(): void {
    this.#timer?.cancel();
    this.#isStopped = true;
  }

  #waited(since: Since): number {
    return (this.#looks - since) * LOOK_MS;
  }

  #lookLater(): void {
    if (this.#isStopped) return;
    this.#timer ??= this.#clock.after(LOOK_MS, () => {
      this.#timer = undefined;
      this.#looks++;
      if (this.#look()) this.#lookLater();
    });
  }
}
