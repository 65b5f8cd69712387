/**
 * Adds up the counts of all instances of a log. Instances can do without it: while it is unavailable, each counts alone, with the same limits. Several processes
 * share one in Redis or in the hub. `NO_LEDGER` is for a single process.
 *
 * `spend`, `addTopics` and `hold` reject with `LedgerAway` if there is no answer, and at once if the ledger is known to be down. A caller never repeats a call for the same count.
 */
export interface Ledger {
  /** Whether the ledger is expected to answer within `LEDGER_WAIT_MS`. */
  readonly isUp: boolean;

  /**
   * Begins to count for one log. The ledgers of two logs are separate. Called once; never throws.
   * @param onReturn Called when the ledger is usable again after it was down or late, and when it may have lost this instance's places. `mayHaveForgotten` tells the two apart.
   */
  join(logId: string, onReturn: (mayHaveForgotten: boolean) => void): void;

  /** Takes tokens from buckets. Returns one balance for each debit, in their order. */
  spend(debits: readonly Debit[]): Promise<readonly Balance[]>;

  /** Adds topics to a publisher's set of the present window. The first topic opens a window. */
  addTopics(owner: string, topics: readonly string[], windowMs: number): Promise<TopicCount>;

  /** Reports how many places this instance holds for some owners. Returns for each, in their order, whether the ledger grants them. */
  hold(holdings: readonly Holding[]): Promise<readonly boolean[]>;

  /** Gives up all places of this instance. Does not wait for a server that hangs. */
  close(): Promise<void>;
}

/** How long callers wait for an answer. Stops a slow Redis from delaying publishers. */
export const LEDGER_WAIT_MS = 20;

/** Tokens that an owner takes from its bucket. */
export interface Debit {
  /** The bucket: the name of the limit, and its owner. */
  readonly bucket: string;
  /** How much later the bucket becomes full: the number of tokens times `tokenMs`. Negative if tokens are given back. Milliseconds. */
  readonly costMs: number;
  /** Takes nothing if the bucket would be full only after this time. Milliseconds. */
  readonly onlyWithinMs?: number;
}

/** The state of a bucket after a debit. */
export interface Balance {
  readonly isTaken: boolean;
  /** When it is full again. Milliseconds from now. */
  readonly fullInMs: number;
}

/** The topics of one publisher in the present window. */
export interface TopicCount {
  /** An estimate, within a few percent. */
  readonly topics: number;
  readonly windowLeftMs: number;
}

/** The places of one owner on this instance. */
export interface Holding {
  readonly owner: string;
  /** The number of its places on this instance. */
  readonly places: number;
  /** The most places of the owner on all instances. Beyond it the ledger changes nothing, and answers false. */
  readonly most?: number;
}

/** The ledger is down or late. */
export class LedgerAway extends Error {
  override name = 'LedgerAway';
}

/** For a process that shares its limits with no other. */
export const NO_LEDGER: Ledger = {
  isUp: false,
  join: () => undefined,
  spend: () => Promise.reject(new LedgerAway()),
  addTopics: () => Promise.reject(new LedgerAway()),
  hold: () => Promise.reject(new LedgerAway()),
  close: () => Promise.resolve(),
};
