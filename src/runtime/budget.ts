/** Memory that many may hold together. Each counts what it holds from when it takes it until it lets go; what does not fit is its caller's to refuse (invariant 12). */
export class Budget {
  readonly maxBytes: number;
  #heldBytes = 0;

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /**
   * Counts so many bytes more; false where they do not fit.
   * @param own What its caller holds of it already: whoever holds all that is held may have more than the bound, or could never have what is larger.
   */
  take(bytes: number, own = 0): boolean {
    if (this.#heldBytes > own && this.#heldBytes + bytes > this.maxBytes) return false;
    this.#heldBytes += bytes;
    return true;
  }

  /** Whether so many bytes more would fit. */
  hasRoomFor(bytes: number): boolean {
    return bytes === 0 || this.#heldBytes === 0 || this.#heldBytes + bytes <= this.maxBytes;
  }

  /** Counts what cannot be refused any more. Whoever comes after it may find no room. */
  mustTake(bytes: number): void {
    this.#heldBytes += bytes;
  }

  give(bytes: number): void {
    this.#heldBytes -= bytes;
  }
}

/** What one holds of a budget: it grows, shrinks, and is let go of once, however often that is asked. */
export class Hold {
  readonly #budget: Budget;
  #bytes = 0;

  constructor(budget: Budget) {
    this.#budget = budget;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Holds so many bytes more; false where they do not fit. */
  grow(bytes: number): boolean {
    if (!this.#budget.take(bytes, this.#bytes)) return false;
    this.#bytes += bytes;
    return true;
  }

  /** Holds only so many bytes from now on. */
  shrinkTo(bytes: number): void {
    if (bytes >= this.#bytes) return;
    this.#budget.give(this.#bytes - bytes);
    this.#bytes = bytes;
  }

  release(): void {
    this.shrinkTo(0);
  }
}
