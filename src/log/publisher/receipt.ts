/** A publisher's receipt for one request: its messages have the numbers `first`, `first` + 1, … and one time. */
export interface Receipt {
  readonly epoch: string;
  readonly first: number;
  readonly time: number;
  /** Whether this is the answer of an earlier request with the same key. */
  readonly replayed: boolean;
}

/** A step of a source was not the next one: another instance owns the source, or has moved its position. Nothing was stored. */
export class OutdatedStep extends Error {
  override name = 'OutdatedStep';
}
