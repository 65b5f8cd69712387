import type { Clock } from '../clock.ts';

/** An item without progress for this long may be evicted for a newcomer that holds as much. Stops slow clients from losing items. */
const STANDSTILL_MS = 1_000;

/** A movement within this time after the last one is not recorded. Stops a body that arrives byte by byte from costing much for each byte. */
const MOVEMENT_STEP_MS = 100;

/** One search looks at no more items. Stops the search for a newcomer from costing more than the newcomer's request. */
const STANDSTILL_MAX_ENTRIES = 64;

/** An item whose client may stop making progress. */
export interface Movable {
  /** The time of its last recorded movement, by the monotonic clock; -Infinity before the first. */
  movedAt: number;
  /** Whether it has made progress since the last call. */
  hasProgressed(): boolean;
}

/**
 * The items of a gate in the order of their last recorded movements. A gate records a movement when a charge grows. Other progress is found
 * by `firstAtRest`: it compares the progress of an item, and records a movement if that has changed.
 */
export class Movements<Item extends Movable> {
  readonly #clock: Pick<Clock, 'monotonic'>;
  /** The loose items, the longest at rest first. */
  readonly #order = new Set<Item>();

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
  }

  moved(item: Item): void {
    const now = this.#clock.monotonic();
    if (now < item.movedAt + MOVEMENT_STEP_MS) return;
    item.movedAt = now;
    this.#order.delete(item);
    this.#order.add(item);
  }

  /** Adds an item that was forgotten, without a movement. It goes to the end of the order, so a later search finds it a little later. */
  putBack(item: Item): void {
    this.#order.add(item);
  }

  forget(item: Item): void {
    this.#order.delete(item);
  }

  /** The item that has been at rest for longest, among the items that may be evicted; undefined if none has been for `STANDSTILL_MS`. */
  firstAtRest(mayEvict: (item: Item) => boolean): Item | undefined {
    const until = this.#clock.monotonic() - STANDSTILL_MS;
    let looks = 0;
    for (const item of this.#order) {
      if (item.movedAt > until || ++looks > STANDSTILL_MAX_ENTRIES) return undefined;
      if (!mayEvict(item)) continue;
      if (!item.hasProgressed()) return item;
      this.moved(item);
    }
    return undefined;
  }
}
