import type { Filter } from '../model/topic.ts';

/**
 * The beginnings of patterns: the prefix of each pattern up to the dot before its first wildcard. Both stores use them to find the topics that a pattern may
 * match in an index, and then compare only these topics with the pattern.
 *
 * | patterns | beginnings |
 * |---|---|
 * | `a.b.*.c`, `a.b.>` | `a.b.` |
 * | `a.>`, `a.b.*` | `a.` (it covers `a.b.`) |
 * | `*.b` | none: `areOpen` |
 */
export interface Beginnings {
  /** From a first segment to its beginnings. A beginning that starts with another one is left out. */
  readonly bySegment: ReadonlyMap<string, readonly string[]>;
  /** Whether a pattern begins with a wildcard, so that any topic may match. */
  readonly areOpen: boolean;
}

export function beginningsOf({ patterns }: Filter): Beginnings {
  const all = [...new Set(patterns.map((pattern) => pattern.slice(0, pattern.search(/[*>]/))))].sort();
  const bySegment = new Map<string, string[]>();
  let last: string | undefined;
  for (const beginning of all) {
    // `all` is sorted, so all entries that start with `last` follow it directly.
    if (last !== undefined && beginning.startsWith(last)) continue;
    last = beginning;
    const segment = beginning.slice(0, beginning.indexOf('.'));
    const there = bySegment.get(segment);
    if (there === undefined) bySegment.set(segment, [beginning]);
    else there.push(beginning);
  }
  return { bySegment, areOpen: all[0] === '' };
}

/** The topics with a beginning are those from the beginning up to this text, by the order of bytes: `a.b.` to `a.b/`, because the slash follows the dot. */
export function endOf(beginning: string): string {
  return `${beginning.slice(0, -1)}/`;
}

/** Whether a beginning has more than the first segment. For one segment alone, the index of first segments finds the messages at once. */
export function isDeep(beginning: string): boolean {
  return beginning.indexOf('.') < beginning.length - 1;
}
