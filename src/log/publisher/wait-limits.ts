import type { Clock, Timer } from '../../runtime/clock.ts';

/** How often to look for publishes that wait too long. */
const LOOK_MS = 1_000;
/** How long a publish may wait in the queue. Stops a store that fails slowly from making a publish wait for all failures before it. */
const QUEUE_WAIT_MS = 10_000;
/** How long a publish may wait for its commit. Then its outcome is unknown. A store gives up earlier by itself; this stops a store that hangs. */
const ANSWER_WAIT_MS = 14_000;

/** The moment when a wait began, as the number of looks before it. */
export type Since = number;

export interface WaitLimitsDependencies {
  readonly clock: Clock;
  /** Called every `LOOK_MS`. Returns whether any publish still waits: otherwise the looks end until the next `begin`. */
  readonly look: () => boolean;
}

/**
 * Tells which publishes wait too long. It counts looks instead of time, because a wait during which this process was stopped is not the store's fault. Example: a laptop sleeps for an hour, so the
 * waiting publishes have waited for one look more, and not for an hour.
 */
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

  /** Begins a wait, and the looks if there are none. */
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
