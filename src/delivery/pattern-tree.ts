import type { Group } from './reader-group.ts';

/**
 * How deep the tree is; longer patterns are compared one by one. Stops one stream, whose URL has room for thousands of
 * segments, from taking a node for each of them.
 */
const TREE_SEGMENTS = 8;

/** A node of the tree of patterns: the groups whose patterns end here, and what goes on from here. Most nodes have only one of these. */
export class PatternTree {
  #next: Map<string, PatternTree> | undefined;
  #here: Set<Group> | undefined;
  #rest: Set<Group> | undefined;
  /** Groups with a pattern that is longer than the tree is deep. */
  #beyond: Set<Group> | undefined;

  get isEmpty(): boolean {
    return this.#next === undefined && this.#here === undefined && this.#rest === undefined && this.#beyond === undefined;
  }

  add(segments: readonly string[], group: Group, at = 0): void {
    const segment = segments[at];
    if (segment === undefined) (this.#here ??= new Set()).add(group);
    else if (segment === '>') (this.#rest ??= new Set()).add(group);
    else if (at === TREE_SEGMENTS) (this.#beyond ??= new Set()).add(group);
    else {
      this.#next ??= new Map();
      let next = this.#next.get(segment);
      if (next === undefined) this.#next.set(segment, (next = new PatternTree()));
      next.add(segments, group, at + 1);
    }
  }

  remove(segments: readonly string[], group: Group, at = 0): void {
    const segment = segments[at];
    if (segment === undefined) this.#here = without(this.#here, group);
    else if (segment === '>') this.#rest = without(this.#rest, group);
    else if (at === TREE_SEGMENTS) this.#beyond = without(this.#beyond, group);
    else {
      const next = this.#next?.get(segment);
      next?.remove(segments, group, at + 1);
      if (next?.isEmpty === true) this.#next?.delete(segment);
      if (this.#next?.size === 0) this.#next = undefined;
    }
  }

  match(topic: readonly string[], at: number, visit: (group: Group) => void): void {
    const segment = topic[at];
    if (segment === undefined) {
      for (const group of this.#here ?? NOBODY) visit(group);
      return;
    }
    for (const group of this.#rest ?? NOBODY) visit(group);
    for (const group of this.#beyond ?? NOBODY) if (group.filter.matches(topic.join('.'))) visit(group);
    this.#next?.get(segment)?.match(topic, at + 1, visit);
    this.#next?.get('*')?.match(topic, at + 1, visit);
  }
}

const NOBODY: readonly Group[] = [];

function without(groups: Set<Group> | undefined, group: Group): Set<Group> | undefined {
  groups?.delete(group);
  return groups?.size === 0 ? undefined : groups;
}
