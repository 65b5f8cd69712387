import { type Charge, enough, type Evictable, FairShares, type FairSharesDependencies, type Holder, UNNAMED } from './fair-shares.ts';

/**
 * A bound of memory that many callers share. A caller counts its bytes from `take` to `give`, and refuses its work if they do not fit (invariant 12).
 * A budget with a gate also evicts items of the largest holders (fair-shares.ts). All bytes of such a budget must be counted by a `Hold`.
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
   * Counts more bytes. Returns false, and counts nothing, if they do not fit.
   * @param own The bytes that the caller has already taken. A caller that holds all taken bytes may exceed the bound: otherwise nobody could ever have an item larger than the bound.
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
   * Evicts items of larger holders, if that makes room for more bytes. Returns whether the bytes fit now.
   * @param own The bytes that the caller has already taken, as for `take`.
   */
  makeRoom(holder: Holder, bytes: number, own = 0): boolean {
    const missing = Math.min(this.#heldBytes + bytes - this.maxBytes, this.#heldBytes - own);
    return this.#shares?.makeRoom(holder, bytes, enough(missing)) === true;
  }

  /** Whether the taken bytes are within the bound. After a `mustTake` beyond the bound, it first evicts items of the largest holders. */
  isWithinBound(holder: Holder): boolean {
    while (this.#heldBytes > this.maxBytes) {
      if (this.#shares?.makeRoom(holder, 0, enough(this.#heldBytes - this.maxBytes)) !== true) return false;
    }
    return true;
  }

  /** Counts bytes that the caller can no longer refuse, even beyond the bound. Later callers may find no room. */
  mustTake(bytes: number): void {
    this.#heldBytes += bytes;
  }

  give(bytes: number): void {
    this.#heldBytes -= bytes;
  }

  /** Charges bytes to a holder; undefined without a gate. Only `Hold` calls it. */
  chargeFor(holder: Holder, bytes: number, item: Evictable): Charge | undefined {
    return this.#shares?.charge(holder, bytes, item);
  }
}

/** The item of pinned bytes, which are never evicted. */
const PINNED: Evictable = { takeBack: () => undefined };

/** The bytes that one caller takes of a budget. The bytes are pinned until `loosen` names an item, which the budget may evict. A second `release` does nothing. */
export class Hold {
  readonly #budget: Budget;
  readonly #holder: Holder;
  #item: Evictable | undefined;
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

  /** Whether the budget has evicted it. From then on `grow` fails. */
  get isTakenBack(): boolean {
    return this.#isTakenBack;
  }

  /** From now on the budget may evict these bytes. It releases them first, and then calls `item.takeBack`. */
  loosen(item: Evictable): void {
    this.#item = item;
    if (this.#charge === undefined) return;
    this.#charge.release();
    this.#charge = this.#newCharge();
  }

  /** From now on the budget cannot evict these bytes. */
  pin(): void {
    this.#item = undefined;
    this.#charge?.pin();
  }

  /** Takes more bytes, and makes room for them if necessary. Returns false if they do not fit. */
  grow(bytes: number): boolean {
    if (this.#isTakenBack) return false;
    while (!this.#budget.take(bytes, this.#bytes)) {
      if (!this.#budget.makeRoom(this.#holder, bytes, this.#bytes)) return false;
    }
    this.#count(bytes);
    return true;
  }

  /** As `grow`, for bytes that the caller can no longer refuse. */
  mustGrow(bytes: number): void {
    this.#budget.mustTake(bytes);
    this.#count(bytes);
  }

  /** Gives bytes back, so that this many remain. */
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
    const item = this.#item;
    const charge = this.#budget.chargeFor(this.#holder, this.#bytes, item === undefined ? PINNED : { ...item, takeBack: () => this.#takeBack(item) });
    if (item === undefined) charge?.pin();
    return charge;
  }

  #takeBack(item: Evictable): void {
    this.#isTakenBack = true;
    this.release();
    item.takeBack();
  }

  #endCharge(): void {
    this.#charge?.release();
    this.#charge = undefined;
  }
}
