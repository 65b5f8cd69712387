import { isWithin } from '../../runtime/wrong-letters.ts';
import type { Query } from './query-string.ts';

/**
 * Names of parameters that are nearly one of ours. They are mistakes: ignored, they would get an answer with the wrong content. All other unknown names are
 * parameters of strangers, such as cache busters and trackers, and mean nothing here.
 */

/** A parameter that was given, and the one that it must have been meant for. */
export interface NearParameter {
  readonly given: string;
  readonly meant: string;
}

/** The parameters that an endpoint takes: once, or several times. */
export interface TakenParameters {
  readonly once: readonly string[];
  readonly many?: readonly string[];
}

/** Shorter names are cache busters (`_`, `t`, `ts`, `v`, `cb`) rather than mistakes. */
const SHORTEST_CHARACTERS = 4;

/** Our names of this length or more may be two mistakes away, and shorter names one. */
const LONG_CHARACTERS = 8;

/** Stops a URL of thousands of names from taking long. */
const LOOKED_AT_MAX_ENTRIES = 100;

/** Our words for what one of the parameters takes. */
const OTHER_WORDS: ReadonlyMap<string, string> = new Map([['cursor', 'after'], ['latest', 'last'], ['tail', 'last']]);

/**
 * The first parameter that is nearly one of ours. Case, `-`, `_`, and brackets at the end (`topic[]`) do not count. A name is near when one
 * letter is missing, added or replaced, or two neighbours are swapped. In a long name this may happen twice.
 */
export function nearParameter(query: Query, { once, many = [] }: TakenParameters): NearParameter | undefined {
  let lookedAt = 0;
  for (const given in query) {
    if (once.includes(given) || many.includes(given)) continue;
    if (++lookedAt > LOOKED_AT_MAX_ENTRIES) return undefined;
    const ours = [...once, ...many];
    const name = folded(given);
    const meant = ours.find((one) => isNear(name, folded(one))) ?? otherWord(name, ours);
    if (meant !== undefined) return { given, meant };
  }
  return undefined;
}

function otherWord(name: string, ours: readonly string[]): string | undefined {
  const meant = OTHER_WORDS.get(name);
  return meant !== undefined && ours.includes(meant) ? meant : undefined;
}

function folded(name: string): string {
  return name.toLowerCase().replace(/\[[^\]]*\]$/, '').replace(/[-_]/g, '');
}

function isNear(name: string, ours: string): boolean {
  return name.length >= SHORTEST_CHARACTERS && isWithin(ours.length < LONG_CHARACTERS ? 1 : 2, name, ours);
}
