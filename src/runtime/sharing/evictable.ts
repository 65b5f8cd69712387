/** One item that a gate has admitted. The gate implements these callbacks. */
export interface Evictable {
  /** Evicts the item, to make room for a newcomer. The gate must answer the request that waits for the item. */
  takeBack(): void;
  /**
   * For an item with several holders: charges it to the next holder that was not yet tried in this round, instead of evicting it.
   * @param round The number of the attempt to make room.
   * @returns False if every holder was tried: then the item is evicted.
   */
  passOn?(round: number): boolean;
  /** A counter that changes while the client makes progress, for example the bytes sent to it. Omit it if the gate reports progress by `Charge.grow`. */
  progress?(): number;
  /** Whether the item waits for this service, not for its client. Such an item is never evicted for a lack of progress. */
  readonly waitsForUs?: boolean;
}

/** The room of one item, as the gate changes it. */
export interface Charge {
  /** Charges more, and counts that as progress. */
  grow(amount: number): void;
  /** Charges less, but not nothing. */
  shrink(amount: number): void;
  /** Protects the item from eviction from now on. */
  pin(): void;
  /** Gives all room back. A second call does nothing. */
  release(): void;
}
