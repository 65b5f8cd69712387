import { FilterIndex } from '../model/filter-index.ts';
import type { Filter } from '../model/topic.ts';
import type { Counters } from '../runtime/counters.ts';
import { type NamedHolder, UNNAMED } from '../runtime/sharing/fair-shares.ts';
import { countedBytes, FilterMemory, type FilterUser } from './filter-memory.ts';
import { Group } from './reader/reader-group.ts';

export interface AudienceOptions {
  /** The most memory of all larger filters together. Bytes. */
  readonly maxFilterBytes: number;
  readonly counters: Pick<Counters, 'evicted'>;
}

/** The groups of readers, each with its filter, and the index from topics to them. */
export class Audience {
  readonly #groups = new Map<string, Group>();
  readonly #index = new FilterIndex<Group>();
  readonly #memory: FilterMemory;

  constructor({ maxFilterBytes, counters }: AudienceOptions) {
    this.#memory = new FilterMemory({ maxBytes: maxFilterBytes, counters });
  }

  get groups(): Iterable<Group> {
    return this.#groups.values();
  }

  /** How many groups there are. */
  get size(): number {
    return this.#groups.size;
  }

  /** The memory of all larger filters. */
  get filterBytes(): number {
    return this.#memory.heldBytes;
  }

  /** Whether the memory has room for this filter, or an eviction could free it. A filter that a group already has takes no more memory. */
  hasRoomFor(filter: Filter, holder: () => NamedHolder = () => UNNAMED): boolean {
    return this.#groups.has(filter.key) || this.#memory.hasRoomFor(filter, holder);
  }

  /** As `hasRoomFor`, but evicts readers or waiters of larger holders if need be. Join in the same turn of the event loop. */
  makeRoom(filter: Filter, holder: () => NamedHolder): boolean {
    return this.#groups.has(filter.key) || this.#memory.makeRoom(filter, holder);
  }

  /** Returns the group of a filter, or makes and indexes a new group. Add a reader or waiter to it, and call `leave` after you have removed it again. */
  join(filter: Filter): Group {
    let group = this.#groups.get(filter.key);
    if (group === undefined) {
      group = new Group(filter, countedBytes(filter));
      this.#memory.begin(group);
      this.#groups.set(filter.key, group);
      this.#index.add(filter, group);
    }
    return group;
  }

  /** Counts the filter's memory to a reader or waiter that has joined, so that it can be evicted. Does nothing for a small filter. */
  enter(group: Group, member: object, user: FilterUser): void {
    this.#memory.enter(group, member, user);
  }

  /**
   * Removes a group from the index if it is empty.
   * @param member The reader or waiter that has left, if `enter` was called for it
   */
  leave(group: Group, member?: object): void {
    if (this.#groups.get(group.filter.key) !== group) return;
    if (group.isEmpty) {
      this.#groups.delete(group.filter.key);
      this.#index.remove(group.filter, group);
      this.#memory.end(group);
    } else if (member !== undefined && group.filterBytes > 0) {
      this.#memory.leave(group, member);
    }
  }

  /** Calls `visit` once with every group that wants the topic. */
  match(topic: string, visit: (group: Group) => void): void {
    this.#index.match(topic, visit);
  }
}
