import type { Clock } from './clock.ts';

/** How long one turn of the event loop is used at a time. Stops many pieces of work from keeping everything else waiting. */
const TURN_MS = 4;

interface Round {
  /** Does the next piece of work; false when nothing is left. */
  readonly next: () => boolean;
}

/** Does the same with many things, some in each turn of the event loop, and one round after the other. It begins at once. */
export class InTurns {
  readonly #clock: Clock;
  readonly #turnMs: number;
  /** In the order in which they came. A set: to take the first of many from an array moves all others. */
  readonly #rounds = new Set<Round>();
  #isRunning = false;

  /** @param turnMs Less where the work has consequences that the same turn has to bear. */
  constructor(clock: Clock, turnMs = TURN_MS) {
    this.#clock = clock;
    this.#turnMs = turnMs;
  }

  forEach<Item>(items: Iterable<Item>, act: (item: Item) => void): void {
    const iterator = items[Symbol.iterator]();
    this.#rounds.add({ next: () => {
      const { done, value } = iterator.next();
      if (done === true) return false;
      act(value);
      return true;
    } });
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#goOn(this.#clock.monotonic() + this.#turnMs);
  }

  /** Does all that is left in this turn. */
  finish(): void {
    if (this.#isRunning) this.#goOn(Infinity);
  }

  #goOn(until: number): void {
    for (const round of this.#rounds) {
      while (round.next()) {
        if (this.#clock.monotonic() < until) continue;
        this.#clock.soon(() => this.#goOn(this.#clock.monotonic() + this.#turnMs));
        return;
      }
      this.#rounds.delete(round);
    }
    this.#isRunning = false;
  }
}
