import { FilterIndex } from '../model/filter-index.ts';
import type { Filter } from '../model/topic.ts';
import type { Counters } from '../runtime/counters.ts';
import { type NamedHolder, UNNAMED } from '../runtime/sharing/fair-shares.ts';
import { countedBytes, FilterMemory, type FilterUser } from './filter-memory.ts';
import { Group } from './reader/reader-group.ts';

export interface AudienceOptions {
  /** The most memory of larger filters together. */
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

  /** The memory of larger filters. */
  get filterBytes(): number {
    return this.#memory.heldBytes;
  }

  /** Whether a reader or waiter with this filter may join, or another one would have to give way. Equal filters are held once. */
  hasRoomFor(filter: Filter, holder: () => NamedHolder = () => UNNAMED): boolean {
    return this.#groups.has(filter.key) || this.#memory.hasRoomFor(filter, holder);
  }

  /** As `hasRoomFor`, for a reader that joins in the same turn: larger holders make room for it. */
  makeRoom(filter: Filter, holder: () => NamedHolder): boolean {
    return this.#groups.has(filter.key) || this.#memory.makeRoom(filter, holder);
  }

  /** The group of a filter; a new one is put into the index. The caller adds its reader or waiter to it, and calls `leave` after it has removed that again. */
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

  /** A reader or waiter that has joined a group can give way. It counts only where the filter is not small. */
  enter(group: Group, member: object, user: FilterUser): void {
    this.#memory.enter(group, member, user);
  }

  /** Takes a group that has become empty out of the index. @param member What has left it, if it had entered. */
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
