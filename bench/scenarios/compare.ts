import { ratios, spread } from '../report/statistics.ts';
import type { Lookup, Target } from './scenario.ts';

/** How targets look at the rounds of a run: one value for each round, or one for all. */

type Value = Target['value'];

export function figure(lookup: Lookup, title: string, peer: string, key: string): number[] | undefined {
  const values = lookup(title, peer)?.map((round) => round.figures[key]).filter((value) => value !== undefined);
  return values === undefined || values.length === 0 ? undefined : values;
}

export function valueOf(title: string, peer: string, key: string): Value {
  return (lookup) => figure(lookup, title, peer, key);
}

export function ratioTo(other: string, title: string, peer: string, key: string): Value {
  return (lookup) => ratios(figure(lookup, title, peer, key), figure(lookup, title, other, key));
}

/** Of one peer in two cases. */
export function ratioOfCases(title: string, over: string, peer: string, key: string): Value {
  return (lookup) => ratios(figure(lookup, title, peer, key), figure(lookup, over, peer, key));
}

export function differenceOfCases(title: string, minus: string, peer: string, key: string): Value {
  return (lookup) => {
    const subtracted = figure(lookup, minus, peer, key);
    return figure(lookup, title, peer, key)?.flatMap((value, round) => {
      const less = subtracted?.[round];
      return less === undefined ? [] : [value - less];
    });
  };
}

/** The largest of several cases over the smallest, by the medians of each: the spread of single rounds would be that of the noise. */
export function spreadOfCases(titles: readonly string[], peer: string, key: string): Value {
  return (lookup) => {
    const medians = titles.map((title) => figure(lookup, title, peer, key)).map((values) => values === undefined ? undefined : spread(values).median);
    const known = medians.filter((value) => value !== undefined);
    return known.length < titles.length ? undefined : [Math.max(...known) / Math.min(...known)];
  };
}
