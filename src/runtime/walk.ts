import type { Clock } from './clock.ts';
import { InTurns } from './in-turns.ts';

export interface WalkOptions<Item> {
  readonly clock: Clock;
  /** All items, as they are when it is called. */
  readonly items: () => Iterable<Item>;
  readonly visit: (item: Item) => void;
}

/** Visits all items again and again, some in each turn of the event loop. */
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

  /** Visits each item from now on. If a walk is under way, another one follows it: the first may have passed what has changed. However often it is called meanwhile, it is one. */
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
