import type { Clock } from './clock.ts';

/** The most time of one turn of the event loop for all tasks together. Stops long tasks, or many short ones, from delaying all clients. */
const SLICE_MS = 4;

/**
 * Gives long tasks a slice of each turn of the event loop. One task runs at a time. When the slice is over, the task goes to the end of the queue. So a short task waits at most
 * for one slice of each other task, not for their ends.
 *
 * A task calls `enter`, works until `isOver`, calls `pause`, works again, and so on; at its end it calls `leave`.
 */
export class Slices {
  readonly #clock: Clock;
  /** The queue. A set, because removing the first item of an array moves all others. */
  readonly #waiting = new Set<() => void>();
  /** Whether a task runs. */
  #isTaken = false;
  /** Whether the slice of this turn of the event loop has begun. */
  #hasBegun = false;
  /** The end of the slice, by the monotonic clock. */
  #until = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether the slice is over, so that the running task must call `pause`. */
  get isOver(): boolean {
    return this.#clock.monotonic() >= this.#until;
  }

  /** Resolves when the task may run. It must not await anything else until `pause` or `leave`. */
  async enter(): Promise<void> {
    this.#begin();
    if (this.#isTaken || this.#waiting.size > 0 || this.isOver) await new Promise<void>((enter) => void this.#waiting.add(enter));
    this.#isTaken = true;
  }

  leave(): void {
    this.#isTaken = false;
    if (!this.isOver) this.#next();
  }

  /** Lets the other tasks run before the caller continues. */
  pause(): Promise<void> {
    this.leave();
    return this.enter();
  }

  #begin(): void {
    if (this.#hasBegun) return;
    this.#hasBegun = true;
    this.#until = this.#clock.monotonic() + SLICE_MS;
    this.#clock.soon(() => this.#turn());
  }

  #turn(): void {
    this.#hasBegun = false;
    if (this.#waiting.size === 0) return;
    this.#begin();
    if (!this.#isTaken) this.#next();
  }

  #next(): void {
    const [enter] = this.#waiting;
    if (enter === undefined) return;
    this.#waiting.delete(enter);
    // Set it here: `enter` continues in a microtask, and another task must not enter before that.
    this.#isTaken = true;
    enter();
  }
}
