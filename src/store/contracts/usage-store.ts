/** How many stretches a log keeps. Stops instances that start again and again from filling it: the oldest go. */
export const USAGE_MAX_ENTRIES = 1_000;

/** How many stretches one answer has. Bounds its size: each may name as many topics and senders as `heavy-hitters.ts` leaves. */
export const USAGE_PAGE_ENTRIES = 50;

/** A name, and the bytes of the messages that it stands for. */
export type Holding = readonly [name: string, bytes: number];

/** How much one instance has stored in a stretch of the log, by the largest topics and senders. Others may have stored what lies between. */
export interface UsageStretch {
  /** Random: no two stretches ever have the same. */
  readonly id: string;
  readonly first: number;
  readonly last: number;
  readonly topics: readonly Holding[];
  readonly senders: readonly Holding[];
}

/** A stretch as it is stored. */
export interface StoredStretch extends UsageStretch {
  readonly version: number;
}

export interface UsageChanges {
  /** All stretches that are stored, and the version of each. */
  readonly alive: readonly (readonly [id: string, version: number])[];
  /** Usage of a later version than the given one, in the order of versions: the first entries. */
  readonly changed: readonly StoredStretch[];
}

/** How much of the log each topic and sender has stored. Instances share this with each other and with later ones. Each call is a transaction of its own; each rejects with a `StoreError`. */
export interface UsageStore {
  /**
   * Stores stretches, in the place of their earlier versions. A stretch gets a later version than any that is stored. Forgets stretches of which nothing is held any more, and the oldest of
   * more than `USAGE_MAX_ENTRIES`. May be repeated, also where it is not known whether it happened.
   */
  write(stretches: readonly UsageStretch[]): Promise<void>;

  /** @param after The newest version that is known. A restored log may have given it again: `alive` tells. */
  changes(after: number): Promise<UsageChanges>;
}
