import { Random } from '../support/fleet-random.ts';
import { Turns } from './turns.ts';

/** Something that can be busy, stand still, or be gone: what is to happen in it waits, or never happens. */
export interface Place {
  readonly isGone: boolean;
  readonly isFrozen: boolean;
  /** It does nothing else before this time. */
  readonly busyUntil: number;
  /** Called when something that happened in it is over, with all that followed from it at once. */
  settle(): void;
}

interface Happening {
  at: number;
  readonly order: number;
  readonly place: Place | undefined;
  task: (() => void) | undefined;
}

/** Stops a schedule in which something goes round for ever. Happenings. */
const HAPPENINGS_MAX = 200_000;

/**
 * Time, chance, and what happens next. Everything in a simulation happens here, one thing after the other: when is drawn from a seed, so the same
 * seed gives the same run. What promises do between two happenings is over before the second.
 */
export class World {
  readonly #seed: number;
  readonly #sequences = new Map<string, Random>();
  readonly #heap = new Heap();
  readonly #turns = new Turns();
  /** Whatever was to happen in places that stood still when it was due. */
  #held: Happening[] = [];
  #count = 0;
  /** Milliseconds since the beginning. */
  now = 0;
  happened = 0;
  /** A digest of all that has happened, and when: equal for equal runs. */
  digest = 0;
  /** What the spine threw where nobody caught it: it would have ended the process. */
  readonly crashes: unknown[] = [];

  constructor(seed: number) {
    this.#seed = seed;
  }

  /**
   * Chance, as one part of the world has it. Each part has its own, so that what is left out of one hardly changes the others: a
   * schedule that is cut shorter stays like itself.
   */
  chance(name: string): Random {
    let sequence = this.#sequences.get(name);
    if (sequence === undefined) this.#sequences.set(name, (sequence = new Random(mix(name, this.#seed))));
    return sequence;
  }

  /** Lets something happen after so many milliseconds; what it gives back calls it off. */
  after(milliseconds: number, place: Place | undefined, task: () => void): () => void {
    return this.at(this.now + milliseconds, place, task);
  }

  at(time: number, place: Place | undefined, task: () => void): () => void {
    const happening: Happening = { at: Math.max(time, this.now), order: this.#count++, place, task };
    this.#heap.push(happening);
    return () => {
      happening.task = undefined;
    };
  }

  /** Lets the time pass, and everything happen that is due meanwhile. */
  async run(until: number): Promise<void> {
    for (;;) {
      const next = this.#heap.peek();
      if (next === undefined || next.at > until) break;
      this.#heap.pop();
      if (next.task === undefined || next.place?.isGone === true) continue;
      if (next.place?.isFrozen === true) this.#held.push(next);
      else if (next.place !== undefined && next.place.busyUntil > next.at) this.#delay(next, next.place.busyUntil);
      else await this.#happen(next);
    }
    this.now = Math.max(this.now, until);
  }

  /** A place goes on: everything that was due in it meanwhile is due now, in its order. */
  thawed(place: Place): void {
    for (const happening of this.#held) if (happening.place === place) this.#delay(happening, this.now);
    this.#held = this.#held.filter((happening) => happening.place !== place);
  }

  #delay(happening: Happening, until: number): void {
    happening.at = until;
    this.#heap.push(happening);
  }

  async #happen(happening: Happening): Promise<void> {
    this.now = Math.max(this.now, happening.at);
    if (++this.happened > HAPPENINGS_MAX) throw new Error(`it goes round and round: ${happening.task!.toString()}`);
    this.digest = (Math.imul(this.digest, 31) + happening.order + Math.round(this.now * 1000)) | 0;
    try {
      happening.task!();
    } catch (error) {
      this.crashes.push(error);
    }
    await this.#turns.next();
    happening.place?.settle();
  }
}

function mix(name: string, seed: number): number {
  let hash = 0x811c9dc5 ^ seed;
  for (let index = 0; index < name.length; index++) hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return (hash ^ (hash >>> 12)) >>> 0;
}

/** What is to happen, the first first. */
class Heap {
  readonly #items: Happening[] = [];

  peek(): Happening | undefined {
    return this.#items[0];
  }

  push(item: Happening): void {
    const items = this.#items;
    let at = items.length;
    items.push(item);
    for (let above = (at - 1) >> 1; at > 0 && isBefore(item, items[above]!); above = (at - 1) >> 1) {
      items[at] = items[above]!;
      at = above;
    }
    items[at] = item;
  }

  pop(): void {
    const items = this.#items;
    const last = items.pop()!;
    if (items.length === 0) return;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= items.length) break;
      if (below + 1 < items.length && isBefore(items[below + 1]!, items[below]!)) below++;
      if (!isBefore(items[below]!, last)) break;
      items[at] = items[below]!;
      at = below;
    }
    items[at] = last;
  }
}

function isBefore(one: Happening, other: Happening): boolean {
  return one.at < other.at || (one.at === other.at && one.order < other.order);
}
