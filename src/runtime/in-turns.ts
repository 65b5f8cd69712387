import type { Clock } from './clock.ts';

/** The most time of one turn of the event loop for this work. Stops long work from delaying all clients. */
const TURN_MS = 4;

/** One call of `forEach`. */
interface Round {
  /** Does the next piece of work; false if there was none. */
  readonly next: () => boolean;
}

/**
 * Calls a function for many items, a few milliseconds in each turn of the event loop. It begins at once. Another `forEach` waits until the rounds before it have ended.
 */
export class InTurns {
  readonly #clock: Clock;
  readonly #turnMs: number;
  /** The rounds in their order. A set, because removing the first item of an array moves all others. */
  readonly #rounds = new Set<Round>();
  #isRunning = false;

  /** @param turnMs Pass less if the work causes more work in the same turn. */
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

  /** Does all remaining work now. */
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
