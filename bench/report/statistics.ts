/** Of the few values that rounds give: nothing more than their middle and their ends says anything. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const low = sorted[Math.floor((sorted.length - 1) / 2)];
  const high = sorted[Math.ceil((sorted.length - 1) / 2)];
  const min = sorted[0];
  const max = sorted.at(-1);
  if (low === undefined || high === undefined || min === undefined || max === undefined) throw new Error('there is no median of nothing');
  return { median: (low + high) / 2, min, max };
}

/** Round by round, since neighbours in time saw the same machine. */
export function ratios(of: readonly number[] | undefined, over: readonly number[] | undefined): number[] | undefined {
  if (of === undefined || over === undefined) return undefined;
  const pairs = of.slice(0, over.length).map((value, round) => value / (over[round] ?? Number.NaN));
  const finite = pairs.filter((ratio) => Number.isFinite(ratio));
  return finite.length > 0 ? finite : undefined;
}
