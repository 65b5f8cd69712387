import { PatternTree } from './pattern-tree.ts';
import type { Filter } from './topic.ts';

/** A value that an index finds by its filter. */
export interface Indexed {
  /** Set by the index: the last match that visited this value. So a topic that several names of its filter match visits it once. */
  lastMatch: number;
}

/** The memory that each name takes in a filter and an index besides its text, and each segment of a pattern: measured, and rounded up. Bytes. */
const NAME_HELD_BYTES = 384;
const SEGMENT_HELD_BYTES = 384;
/** Each character is in the name and in the filter's key. It takes two bytes in each if the text has a character beyond Latin-1. */
const CHARACTER_HELD_BYTES = 4;

/** The most memory of a filter in an index. Bytes. */
export function indexedBytes({ topics, patterns }: Filter): number {
  let bytes = 0;
  for (const topic of topics) bytes += NAME_HELD_BYTES + CHARACTER_HELD_BYTES * topic.length;
  for (const pattern of patterns) bytes += NAME_HELD_BYTES + CHARACTER_HELD_BYTES * pattern.length + SEGMENT_HELD_BYTES * pattern.split('.').length;
  return bytes;
}

/**
 * Finds the values whose filters match a topic. It looks up exact names in a map, and patterns in a tree (pattern-tree.ts). So the cost depends on the
 * topic's depth and on the matches, not on the number of filters.
 */
export class FilterIndex<Value extends Indexed> {
  readonly #exact = new Map<string, Set<Value>>();
  readonly #patterns = new PatternTree<Value>();
  #matches = 0;

  add({ topics, patterns }: Filter, value: Value): void {
    for (const topic of topics) {
      const there = this.#exact.get(topic);
      if (there === undefined) this.#exact.set(topic, new Set([value]));
      else there.add(value);
    }
    for (const pattern of patterns) this.#patterns.add(pattern.split('.'), value);
  }

  remove({ topics, patterns }: Filter, value: Value): void {
    for (const topic of topics) {
      const there = this.#exact.get(topic);
      there?.delete(value);
      if (there?.size === 0) this.#exact.delete(topic);
    }
    for (const pattern of patterns) this.#patterns.remove(pattern.split('.'), value);
  }

  /** Calls `visit` once with every value whose filter matches the topic. */
  match(topic: string, visit: (value: Value) => void): void {
    const match = ++this.#matches;
    const once = (value: Value): void => {
      if (value.lastMatch === match) return;
      value.lastMatch = match;
      visit(value);
    };
    const exact = this.#exact.get(topic);
    if (exact !== undefined) for (const value of exact) once(value);
    if (!this.#patterns.isEmpty && !topic.startsWith('$')) this.#patterns.match(topic.split('.'), once);
  }
}
