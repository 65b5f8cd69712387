import { type Charge, enough, type Evictable, FairShares, type FairSharesDependencies, type Holder, UNNAMED } from './fair-shares.ts';

/**
 * Memory that many may hold together. Each counts its bytes from taking until releasing them; the caller refuses the excess (invariant 12).
 * A budget with a gate makes room for newcomers at the cost of its largest holders (fair-shares.ts); there everything is counted by a `Hold`.
 */
export class Budget {
  readonly maxBytes: number;
  readonly #shares: FairShares | undefined;
  #heldBytes = 0;

  constructor(maxBytes: number, gate?: FairSharesDependencies) {
    this.maxBytes = maxBytes;
    this.#shares = gate && new FairShares(gate);
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /**
   * Counts more bytes; false if they do not fit.
   * @param own The caller's bytes of it: a caller that holds everything may exceed the bound, or could never have a larger thing.
   */
  take(bytes: number, own = 0): boolean {
    if (bytes > 0 && this.#heldBytes > own && this.#heldBytes + bytes > this.maxBytes) return false;
    this.#heldBytes += bytes;
    return true;
  }

  /** Whether more bytes would fit. */
  hasRoomFor(bytes: number): boolean {
    return bytes === 0 || this.#heldBytes === 0 || this.#heldBytes + bytes <= this.maxBytes;
  }

  /**
   * Takes back what larger holders have, where that makes room for more bytes. Returns whether they fit now.
   * @param own The caller's bytes of it, as for `take`.
   */
  makeRoom(holder: Holder, bytes: number, own = 0): boolean {
    const missing = Math.min(this.#heldBytes + bytes - this.maxBytes, this.#heldBytes - own);
    return this.#shares?.makeRoom(holder, bytes, enough(missing)) === true;
  }

  /** Whether no more is held than the bound. Where it was exceeded, for what could not be refused, the largest holders make room. */
  isWithinBound(holder: Holder): boolean {
    while (this.#heldBytes > this.maxBytes) if (this.#shares?.makeRoom(holder, 0, enough(this.#heldBytes - this.maxBytes)) !== true) return false;
    return true;
  }

  /** Counts bytes that cannot be refused any more. A later caller may find no room. */
  mustTake(bytes: number): void {
    this.#heldBytes += bytes;
  }

  give(bytes: number): void {
    this.#heldBytes -= bytes;
  }

  /** Says who holds a part of it; undefined where nobody asks. Only `Hold` calls it. */
  chargeFor(holder: Holder, bytes: number, holding: Evictable): Charge | undefined {
    return this.#shares?.charge(holder, bytes, holding);
  }
}

/** Pinned bytes are never taken back. */
const PINNED: Evictable = { takeBack: () => undefined };

/** A part of a budget: it grows and shrinks, and is released once, however often that is asked. It is pinned, unless `loosen` says how it is taken back. */
export class Hold {
  readonly #budget: Budget;
  readonly #holder: Holder;
  #holding: Evictable | undefined;
  #charge: Charge | undefined;
  #bytes = 0;
  #isTakenBack = false;

  constructor(budget: Budget, holder: Holder = UNNAMED) {
    this.#budget = budget;
    this.#holder = holder;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get holder(): Holder {
    return this.#holder;
  }

  /** Whether another holder got its room. It never gets any again. */
  get isTakenBack(): boolean {
    return this.#isTakenBack;
  }

  /** From now on others may get its room. It is released before its holder is told. */
  loosen(holding: Evictable): void {
    this.#holding = holding;
    if (this.#charge === undefined) return;
    this.#charge.release();
    this.#charge = this.#newCharge();
  }

  /** From now on the hold is not taken back. */
  pin(): void {
    this.#holding = undefined;
    this.#charge?.pin();
  }

  /** Holds more bytes, and makes room for them if need be; false if they do not fit. */
  grow(bytes: number): boolean {
    if (this.#isTakenBack) return false;
    while (!this.#budget.take(bytes, this.#bytes)) if (!this.#budget.makeRoom(this.#holder, bytes, this.#bytes)) return false;
    this.#count(bytes);
    return true;
  }

  /** As `grow`, for bytes that cannot be refused any more. */
  mustGrow(bytes: number): void {
    this.#budget.mustTake(bytes);
    this.#count(bytes);
  }

  /** Holds only this many bytes from now on. */
  shrinkTo(bytes: number): void {
    if (bytes >= this.#bytes) return;
    this.#budget.give(this.#bytes - bytes);
    if (bytes > 0) this.#charge?.shrink(this.#bytes - bytes);
    else this.#endCharge();
    this.#bytes = bytes;
  }

  release(): void {
    this.shrinkTo(0);
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    if (this.#charge !== undefined) this.#charge.grow(bytes);
    else if (this.#bytes > 0) this.#charge = this.#newCharge();
  }

  #newCharge(): Charge | undefined {
    const holding = this.#holding;
    const charge = this.#budget.chargeFor(this.#holder, this.#bytes, holding === undefined ? PINNED : { ...holding, takeBack: () => this.#takeBack(holding) });
    if (holding === undefined) charge?.pin();
    return charge;
  }

  #takeBack(holding: Evictable): void {
    this.#isTakenBack = true;
    this.release();
    holding.takeBack();
  }

  #endCharge(): void {
    this.#charge?.release();
    this.#charge = undefined;
  }
}
