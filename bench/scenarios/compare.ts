import { ratios } from '../report/statistics.ts';
import type { Lookup, Target } from './scenario.ts';

/** How targets look at the rounds of a run: one value for each round. */

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

/** The largest of several cases over the smallest. */
export function spreadOfCases(titles: readonly string[], peer: string, key: string): Value {
  return (lookup) => {
    const cases = titles.map((title) => figure(lookup, title, peer, key));
    const first = cases[0];
    if (first === undefined || cases.includes(undefined)) return undefined;
    return first.map((_, round) => {
      const values = cases.flatMap((one) => one?.[round] ?? []);
      return Math.max(...values) / Math.min(...values);
    });
  };
}
