import { byBytes } from './byte-order.ts';
import { TOPIC_MAX_BYTES } from './topic.ts';

/** A stretch of names in the order of their bytes. */
export interface NameRange {
  /** The first that may be one. */
  readonly from: string;
  /** All are less than this. */
  readonly before: string;
}

/** After every topic. */
const LAST_CHARACTER = '\u{10ffff}';
const END = LAST_CHARACTER.repeat(Math.ceil(TOPIC_MAX_BYTES / 4));
/** Before this stands every name that goes on from another: no topic has a character below it. */
const NEXT_CHARACTER = '!';

/** The names that begin with any of these, after a name, in order. Each prefix stands for a range; one that begins with another one lies within that. */
export function rangesOf(prefixes: readonly string[], after: string): NameRange[] {
  const least = after === '' ? '' : after + NEXT_CHARACTER;
  const ranges: NameRange[] = [];
  let last: string | undefined;
  for (const prefix of [...new Set(prefixes)].sort(byBytes)) {
    if (last !== undefined && prefix.startsWith(last)) continue;
    last = prefix;
    const before = endOf(prefix);
    const from = byBytes(least, prefix) > 0 ? least : prefix;
    if (byBytes(from, before) < 0) ranges.push({ from, before });
  }
  return ranges;
}

/** The prefixes of names that have a given prefix and match some topic or pattern. There may be others that begin so. */
export function prefixesWithin(scope: readonly string[], prefix: string): string[] {
  return scope.map((name) => {
    const wildcard = name.search(/[*>]/);
    return wildcard === -1 ? name : name.slice(0, wildcard);
  }).flatMap((beginning) => {
    if (beginning.startsWith(prefix)) return [beginning];
    return prefix.startsWith(beginning) ? [prefix] : [];
  });
}

/** After every name that begins so. */
function endOf(prefix: string): string {
  const characters = Array.from(prefix);
  while (characters.at(-1) === LAST_CHARACTER) characters.pop();
  const last = characters.pop();
  if (last === undefined) return END;
  const next = last.codePointAt(0)! + 1;
  // Surrogates are no characters.
  return characters.join('') + String.fromCodePoint(next === 0xd800 ? 0xe000 : next);
}
