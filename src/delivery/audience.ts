import { FilterIndex, indexedBytes } from '../model/filter-index.ts';
import type { Filter } from '../model/topic.ts';
import { Budget } from '../runtime/budget.ts';
import { Group } from './reader-group.ts';

/** A filter up to here, such as one topic or a short pattern, is never refused: `MAX_STREAMS` bounds the sum of those. Stops clients that ask for a hundred topics from keeping others out. */
const SMALL_FILTER_BYTES = 2 * 1024;

export interface AudienceOptions {
  /** Stops larger filters from filling the memory: each stream may bring one of its own. */
  readonly maxFilterBytes: number;
}

/** The groups of readers, each with its filter, and the index from topics to them. */
export class Audience {
  readonly #groups = new Map<string, Group>();
  readonly #index = new FilterIndex<Group>();
  /** For filters that are not small. */
  readonly #room: Budget;

  constructor({ maxFilterBytes }: AudienceOptions) {
    this.#room = new Budget(maxFilterBytes);
  }

  get groups(): Iterable<Group> {
    return this.#groups.values();
  }

  /** How many groups there are. */
  get size(): number {
    return this.#groups.size;
  }

  /** What filters hold that are not small. */
  get filterBytes(): number {
    return this.#room.heldBytes;
  }

  /** Whether a reader or waiter with this filter may join. Equal filters are held once. */
  hasRoomFor(filter: Filter): boolean {
    return this.#groups.has(filter.key) || this.#room.hasRoomFor(countedBytes(filter));
  }

  /** The group of a filter; a new one is put into the index. The caller adds its reader or waiter to it, and calls `leave` after it has removed that again. */
  join(filter: Filter): Group {
    let group = this.#groups.get(filter.key);
    if (group === undefined) {
      group = new Group(filter, countedBytes(filter));
      this.#room.mustTake(group.filterBytes);
      this.#groups.set(filter.key, group);
      this.#index.add(filter, group);
    }
    return group;
  }

  /** Takes a group that has become empty out of the index. */
  leave(group: Group): void {
    if (!group.isEmpty || this.#groups.get(group.filter.key) !== group) return;
    this.#groups.delete(group.filter.key);
    this.#index.remove(group.filter, group);
    this.#room.give(group.filterBytes);
  }

  /** Calls `visit` once with every group that wants the topic. */
  match(topic: string, visit: (group: Group) => void): void {
    this.#index.match(topic, visit);
  }
}

/** What counts for a filter; 0 for a small one. */
function countedBytes(filter: Filter): number {
  const bytes = indexedBytes(filter);
  return bytes <= SMALL_FILTER_BYTES ? 0 : bytes;
}
