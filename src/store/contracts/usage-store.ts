/** The most stretches that are kept; the oldest are deleted. Stops instances that start again and again from filling the database. */
export const USAGE_MAX_ENTRIES = 1_000;

/** The most stretches of one answer. Bounds its size: each may name as many topics and senders as `heavy-hitters.ts` keeps. */
export const USAGE_PAGE_ENTRIES = 50;

/** The name of a topic or sender, and the bytes of its messages. */
export type Holding = readonly [name: string, bytes: number];

/** How much one instance has stored with the numbers `first` to `last`, by its largest topics and senders. Other instances may have stored messages with numbers between them. */
export interface UsageStretch {
  /** Random, and new for each stretch. */
  readonly id: string;
  readonly first: number;
  readonly last: number;
  readonly topics: readonly Holding[];
  readonly senders: readonly Holding[];
}

/** A stretch in the database. Each write of a stretch takes the next version. */
export interface StoredStretch extends UsageStretch {
  readonly version: number;
}

export interface UsageChanges {
  /** The ids and versions of all stored stretches. */
  readonly alive: readonly (readonly [id: string, version: number])[];
  /** The stretches after the given version, in the order of their versions, at most `USAGE_PAGE_ENTRIES`. */
  readonly changed: readonly StoredStretch[];
}

/**
 * How much of the log each topic and sender has stored, in summaries that instances write of their own messages. So each instance knows the usage of all, also
 * after a restart. Each call is one transaction.
 */
export interface UsageStore {
  /**
   * Stores stretches, and replaces their earlier versions. Deletes stretches whose messages retention has deleted, and the oldest stretches beyond
   * `USAGE_MAX_ENTRIES`. May be repeated, also after `outcome-unknown`.
   */
  write(stretches: readonly UsageStretch[]): Promise<void>;

  /** Reads the stretches after a version. After a restore a version may stand for another stretch, so compare with `alive`, too. @param after The newest version that the caller knows. */
  changes(after: number): Promise<UsageChanges>;
}
