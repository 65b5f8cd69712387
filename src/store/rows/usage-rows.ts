import type { Holding, StoredStretch } from '../contracts/usage-store.ts';

/** A row of `usage`. */
export interface UsageRow {
  readonly id: string;
  readonly version: number;
  readonly first: number;
  readonly last: number;
  readonly topics: string;
  readonly senders: string;
}

export function holdingsText(holdings: readonly Holding[]): string {
  return JSON.stringify(holdings);
}

/** Throws at a text that no store could have written. */
export function stretchOf({ topics, senders, ...row }: UsageRow): StoredStretch {
  return { ...row, topics: holdingsOf(topics), senders: holdingsOf(senders) };
}

function holdingsOf(text: string): readonly Holding[] {
  const holdings: unknown = JSON.parse(text);
  if (!Array.isArray(holdings)) throw wrongHoldings();
  return holdings.map((holding: unknown) => {
    if (!Array.isArray(holding)) throw wrongHoldings();
    const [name, bytes] = holding as readonly unknown[];
    if (typeof name !== 'string' || typeof bytes !== 'number') throw wrongHoldings();
    return [name, bytes];
  });
}

function wrongHoldings(): TypeError {
  return new TypeError('the usage of topics and senders is not what this program stores');
}
