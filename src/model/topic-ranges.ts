import { byBytes } from './byte-order.ts';
import { TOPIC_MAX_BYTES } from './topic.ts';

/** A stretch of names in the order of their bytes. */
export interface NameRange {
  /** The smallest name that the range may contain. */
  readonly from: string;
  /** All names of the range are smaller than this. */
  readonly before: string;
}

/** After every topic. */
const LAST_CHARACTER = '\u{10ffff}';
const END = LAST_CHARACTER.repeat(Math.ceil(TOPIC_MAX_BYTES / 4));
/** The smallest character of any topic. So `name + '!'` is the smallest name after `name` that a topic can have. */
const NEXT_CHARACTER = '!';

/** The ranges of names that begin with any of these prefixes and come after a name. A prefix within another one (`a.b` within `a.`) adds no range. */
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

/** The prefixes of all names that begin with `prefix` and match a topic or pattern of `scope`. Other names may begin with them too. */
export function prefixesWithin(scope: readonly string[], prefix: string): string[] {
  return scope.map((name) => {
    const wildcard = name.search(/[*>]/);
    return wildcard === -1 ? name : name.slice(0, wildcard);
  }).flatMap((beginning) => {
    if (beginning.startsWith(prefix)) return [beginning];
    return prefix.startsWith(beginning) ? [prefix] : [];
  });
}

/** The smallest text after every name that begins with a prefix: its last character is raised by one. */
function endOf(prefix: string): string {
  const characters = Array.from(prefix);
  while (characters.at(-1) === LAST_CHARACTER) characters.pop();
  const last = characters.pop();
  if (last === undefined) return END;
  const next = last.codePointAt(0)! + 1;
  // Surrogates are no characters.
  return characters.join('') + String.fromCodePoint(next === 0xd800 ? 0xe000 : next);
}
