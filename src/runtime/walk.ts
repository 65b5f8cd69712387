import type { Clock } from './clock.ts';
import { InTurns } from './in-turns.ts';

export interface WalkOptions<Item> {
  readonly clock: Clock;
  /** Returns all items at the time of the call. */
  readonly items: () => Iterable<Item>;
  readonly visit: (item: Item) => void;
}

/** Visits all items on request, a few in each turn of the event loop. */
export class Walk<Item> {
  readonly #items: () => Iterable<Item>;
  readonly #visit: (item: Item) => void;
  readonly #turns: InTurns;
  #isUnderWay = false;
  #isDue = false;

  constructor({ clock, items, visit }: WalkOptions<Item>) {
    this.#items = items;
    this.#visit = visit;
    this.#turns = new InTurns(clock);
  }

  /**
   * Visits every item once more, from now on. If a walk is under way, one further walk follows it, because the first may have passed items that have changed since. All calls
   * during a walk share the further walk.
   */
  begin(): void {
    this.#isDue = true;
    if (this.#isUnderWay) return;
    this.#isUnderWay = true;
    this.#turns.forEach(this.#all(), this.#visit);
  }

  * #all(): Generator<Item> {
    while (this.#isDue) {
      this.#isDue = false;
      yield* this.#items();
    }
    this.#isUnderWay = false;
  }
}
