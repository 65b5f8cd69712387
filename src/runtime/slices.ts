import type { Clock } from './clock.ts';

/** How long such work may run in one turn of the event loop. Stops many clients from delaying everybody by one long piece each, or by many short ones. */
const SLICE_MS = 4;

/**
 * Shares a part of each turn of the event loop among long pieces of work. One piece works at a time. Where its time is up, it waits behind the others. So a short piece waits for a slice of
 * each of them at most, and not for their ends.
 */
export class Slices {
  readonly #clock: Clock;
  /** In the order in which they came. A set: to take the first of many from an array moves all others. */
  readonly #waiting = new Set<() => void>();
  #isTaken = false;
  /** Whether this turn's time has begun. */
  #hasBegun = false;
  #until = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether the piece that works has to let others work. */
  get isOver(): boolean {
    return this.#clock.monotonic() >= this.#until;
  }

  /** Resolves when the caller may work. It must not wait for anything until it leaves. */
  async enter(): Promise<void> {
    this.#begin();
    if (this.#isTaken || this.#waiting.size > 0 || this.isOver) await new Promise<void>((enter) => void this.#waiting.add(enter));
    this.#isTaken = true;
  }

  leave(): void {
    this.#isTaken = false;
    if (!this.isOver) this.#next();
  }

  /** The others work before the caller goes on. */
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
    // Before the caller's microtask: nobody else may come in between.
    this.#isTaken = true;
    enter();
  }
}
