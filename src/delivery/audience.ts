import { FilterIndex } from '../model/filter-index.ts';
import type { Filter } from '../model/topic.ts';
import { Group } from './reader-group.ts';

/** The groups of readers, each with its filter, and the index from topics to them. */
export class Audience {
  readonly #groups = new Map<string, Group>();
  readonly #index = new FilterIndex<Group>();

  get groups(): Iterable<Group> {
    return this.#groups.values();
  }

  /** How many groups there are. */
  get size(): number {
    return this.#groups.size;
  }

  /** The group of a filter; a new one is put into the index. The caller adds its reader or waiter to it, and calls `leave` after it has removed that again. */
  join(filter: Filter): Group {
    let group = this.#groups.get(filter.key);
    if (group === undefined) {
      group = new Group(filter);
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
  }

  /** Calls `visit` once with every group that wants the topic. */
  match(topic: string, visit: (group: Group) => void): void {
    this.#index.match(topic, visit);
  }
}
