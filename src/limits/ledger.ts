/**
 * Where the instances of a log add up what each of them has counted. It holds nothing that an instance could not do without: while it is away, each instance counts alone, with the same
 * numbers. `bus/redis/limit-ledger.ts` is the one that several processes share; `NO_LEDGER` is that of a single one.
 *
 * Every method but `join` and `close` rejects when there is no answer to be had, at once where that is known. None is called twice for one count.
 */
export interface Ledger {
  /** Whether questions are answered within `LEDGER_WAIT_MS`. */
  readonly isUp: boolean;

  /**
   * Begins with one log: ledgers of two logs never meet. Called once; never throws.
   * @param onReturn Called when it has become usable, also after it was late, and whenever it may have forgotten what this instance holds. Says whether it may have.
   */
  join(logId: string, onReturn: (mayHaveForgotten: boolean) => void): void;

  /** Takes from buckets. One answer for each debit, in their order. */
  spend(debits: readonly Debit[]): Promise<readonly Balance[]>;

  /** Adds topics to a publisher's set of the present window. The first topic opens a window. */
  addTopics(owner: string, topics: readonly string[], windowMs: number): Promise<TopicCount>;

  /** Says how many places this instance holds for some owners. One answer for each, in their order. */
  hold(holdings: readonly Holding[]): Promise<readonly boolean[]>;

  /** Leaves: what this instance holds is free. Does not wait for a server that hangs. */
  close(): Promise<void>;
}

/** How long an answer is waited for. Stops a slow Redis from slowing publishers down. */
export const LEDGER_WAIT_MS = 20;

export interface Debit {
  /** The bucket: the name of the limit, and its owner. */
  readonly bucket: string;
  /** By how much later the bucket is full again; negative where something is given back. Milliseconds. */
  readonly costMs: number;
  /** Takes nothing if the bucket would be full only after this time. Milliseconds. */
  readonly onlyWithinMs?: number;
}

/** How a bucket stands afterwards. */
export interface Balance {
  readonly isTaken: boolean;
  /** When it is full again. Milliseconds from now. */
  readonly fullInMs: number;
}

export interface TopicCount {
  /** About: within a few percent. */
  readonly topics: number;
  readonly windowLeftMs: number;
}

export interface Holding {
  readonly owner: string;
  /** How many this instance holds now. */
  readonly places: number;
  /** The most places of the owner on all instances. Beyond it nothing is held, and the answer is false. */
  readonly most?: number;
}

/** The ledger gives no answer. */
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
