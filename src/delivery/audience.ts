import { PatternTree } from '../model/pattern-tree.ts';
import type { Filter } from '../model/topic.ts';
import { Group } from './reader-group.ts';

/**
 * The index from topics to groups of readers. Exact names are looked up in a map, patterns in a tree with one level for each segment;
 * so finding the groups that want a message costs the length of its topic, not the number of readers.
 */
export class Audience {
  readonly #groups = new Map<string, Group>();
  readonly #exact = new Map<string, Set<Group>>();
  readonly #patterns = new PatternTree<Group>();
  #matches = 0;

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
      for (const topic of filter.topics) {
        const there = this.#exact.get(topic);
        if (there === undefined) this.#exact.set(topic, new Set([group]));
        else there.add(group);
      }
      for (const pattern of filter.patterns) this.#patterns.add(pattern.split('.'), group);
    }
    return group;
  }

  /** Takes a group that has become empty out of the index. */
  leave(group: Group): void {
    if (!group.isEmpty || this.#groups.get(group.filter.key) !== group) return;
    this.#groups.delete(group.filter.key);
    for (const topic of group.filter.topics) {
      const there = this.#exact.get(topic);
      there?.delete(group);
      if (there?.size === 0) this.#exact.delete(topic);
    }
    for (const pattern of group.filter.patterns) this.#patterns.remove(pattern.split('.'), group);
  }

  /** Calls `visit` once with every group that wants the topic. */
  match(topic: string, visit: (group: Group) => void): void {
    const match = ++this.#matches;
    const once = (group: Group): void => {
      if (group.lastMatch === match) return;
      group.lastMatch = match;
      visit(group);
    };
    const exact = this.#exact.get(topic);
    if (exact !== undefined) for (const group of exact) once(group);
    if (!this.#patterns.isEmpty && !topic.startsWith('$')) this.#patterns.match(topic.split('.'), once);
  }
}
