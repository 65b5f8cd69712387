/** The receipt for one request: its messages have the numbers `first`, `first` + 1, …, all with the same time. */
export interface Receipt {
  readonly epoch: string;
  readonly first: number;
  readonly time: number;
  /** Whether an earlier request with the same key got this receipt. */
  readonly replayed: boolean;
}

/** A source's step (its messages with its new position) is outdated: another instance owns the source, or moved its position. Nothing was stored. */
export class OutdatedStep extends Error {
  override name = 'OutdatedStep';
}
