import type { Clock } from '../clock.ts';

/** How long something has to stand still before it is taken from a holder that has no more than a newcomer. Stops clients that are only slow from losing anything. */
const STANDSTILL_MS = 1_000;

/** Movements that follow each other so closely are one. Stops a body that comes a byte at a time from costing much for each. */
const MOVEMENT_STEP_MS = 100;

/** How many holdings are looked at for one that stands still. Stops a newcomer from costing more than its request does. */
const STANDSTILL_MAX_ENTRIES = 64;

/** Something that may stand still. */
export interface Movable {
  /** When it last moved, as far as that is known. */
  movedAt: number;
  /** Whether it has moved since somebody last asked. */
  hasProgressed(): boolean;
}

/** When things last moved, as far as that is known. */
export class Movements<Thing extends Movable> {
  readonly #clock: Pick<Clock, 'monotonic'>;
  /** Things that can be taken back, in the order in which they moved. */
  readonly #order = new Set<Thing>();

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
  }

  moved(thing: Thing): void {
    const now = this.#clock.monotonic();
    if (now < thing.movedAt + MOVEMENT_STEP_MS) return;
    thing.movedAt = now;
    this.#order.delete(thing);
    this.#order.add(thing);
  }

  /** One that was forgotten, and has not moved since. It is looked at after those before it have moved, or stood still. */
  putBack(thing: Thing): void {
    this.#order.add(thing);
  }

  forget(thing: Thing): void {
    this.#order.delete(thing);
  }

  /** The thing that has stood still for longest, and for long enough, among those that may be taken. */
  standing(mayTake: (thing: Thing) => boolean): Thing | undefined {
    const until = this.#clock.monotonic() - STANDSTILL_MS;
    let looks = 0;
    for (const thing of this.#order) {
      if (thing.movedAt > until || ++looks > STANDSTILL_MAX_ENTRIES) return undefined;
      if (!mayTake(thing)) continue;
      if (!thing.hasProgressed()) return thing;
      this.moved(thing);
    }
    return undefined;
  }
}
