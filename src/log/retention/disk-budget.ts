export interface DiskBudgetOptions {
  /** The bound: bytes or keys; 0 disables it. */
  readonly most: number;
  /** This far above the bound, `isGrowing` becomes true: retention deletes at once, in large steps. */
  readonly wake: number;
  /** This far above the bound, `isOverdrawn` is true: publishers wait. */
  readonly debt: number;
  /** How long steps may delete nothing while it is overdrawn. Milliseconds. */
  readonly lockedMs: number;
}

/** One bound of the log: bytes or keys. The size is estimated: the size at the last look, plus the amount that this instance has stored since. */
export class DiskBudget {
  readonly #options: DiskBudgetOptions;
  #held = 0;
  #stored = 0;
  /** The part of `#stored` that the answer of the look under way surely includes. */
  #looked = 0;
  /** The smallest size at any look. */
  #least = Infinity;
  #isGrowing = false;
  /** Since when steps have deleted nothing although the budget is overdrawn. */
  #lockedSince = Infinity;

  constructor(options: DiskBudgetOptions) {
    this.#options = options;
  }

  /** The size at the last look. */
  get held(): number {
    return this.#held;
  }

  /** Whether small steps cannot keep up. Stays true until the size is within the bound again. */
  get isGrowing(): boolean {
    return this.#isGrowing;
  }

  /** Whether even large steps cannot keep up. */
  get isOverdrawn(): boolean {
    return this.#growth > this.#options.debt;
  }

  add(stored: number): void {
    this.#stored += stored;
    this.#judge();
  }

  /** Call it before each look. Its answer may lack everything that is stored from now on. */
  beginLook(): void {
    this.#looked = this.#stored;
  }

  /**
   * Takes over the answer of a look.
   * @param deleted How much the step deleted.
   * @param now By a clock that never goes back. Milliseconds.
   * @returns Whether nothing was deleted for too long, so that the present size becomes the bound.
   */
  look(held: number, deleted: number, now: number): boolean {
    const isLocked = this.isOverdrawn && held >= this.#held && deleted === 0;
    this.#lockedSince = isLocked ? Math.min(this.#lockedSince, now) : Infinity;
    this.#held = held;
    this.#stored -= this.#looked;
    this.#looked = 0;
    this.#least = Math.min(this.#least, held);
    this.#judge();
    if (now - this.#lockedSince < this.#options.lockedMs) return false;
    this.acceptHeld();
    return true;
  }

  /** Uses the present size as the bound until retention deletes some: no publisher waits for undeletable messages. */
  acceptHeld(): void {
    this.#lockedSince = Infinity;
    this.#least = this.#held;
    this.#judge();
  }

  /** The size above the bound, or above the smallest size so far: a lowered bound makes no publisher wait. */
  get #growth(): number {
    const { most } = this.#options;
    return most === 0 ? 0 : this.#held + this.#stored - Math.max(most, this.#least);
  }

  #judge(): void {
    const growth = this.#growth;
    this.#isGrowing = growth >= this.#options.wake || (this.#isGrowing && growth > 0);
  }
}
