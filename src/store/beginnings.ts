import type { Filter } from '../model/topic.ts';

/** The prefixes of topics that some patterns match, up to the dot before the first wildcard. */
export interface Beginnings {
  /** By their first segment. A beginning that another one covers is left out: `a.b.c.` where there is `a.b.`. */
  readonly bySegment: ReadonlyMap<string, readonly string[]>;
  /** Whether a pattern begins with a wildcard: then any topic may match. */
  readonly areOpen: boolean;
}

/** `a.b.*.c` and `a.b.>` have the beginning `a.b.`, which stands for all topics from there up to `endOf` it. */
export function beginningsOf({ patterns }: Filter): Beginnings {
  const all = [...new Set(patterns.map((pattern) => pattern.slice(0, pattern.search(/[*>]/))))].sort();
  const bySegment = new Map<string, string[]>();
  let last: string | undefined;
  for (const beginning of all) {
    // In this order, entries that begin with `last` follow it.
    if (last !== undefined && beginning.startsWith(last)) continue;
    last = beginning;
    const segment = beginning.slice(0, beginning.indexOf('.'));
    const there = bySegment.get(segment);
    if (there === undefined) bySegment.set(segment, [beginning]);
    else there.push(beginning);
  }
  return { bySegment, areOpen: all[0] === '' };
}

/** Compared byte by byte, all topics with a beginning stand before this text: the slash is the next character after the dot. */
export function endOf(beginning: string): string {
  return `${beginning.slice(0, -1)}/`;
}

/** Whether a beginning is longer than the first segment. The index has first segments. */
export function isDeep(beginning: string): boolean {
  return beginning.indexOf('.') < beginning.length - 1;
}
