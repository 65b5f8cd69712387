export interface DiskBudgetOptions {
  /** What may be held; 0 is no bound. */
  readonly most: number;
  /** Beyond the bound by this factor, the held bytes are growing. */
  readonly wake: number;
  /** Beyond it by this much more, the budget is overdrawn. */
  readonly debt: number;
  /** How long looks may find nothing deleted while it is overdrawn. Milliseconds. */
  readonly vainMs: number;
}

/** One bound of what the log holds. An instance adds its own stored bytes to the size of the store at the last look. */
export class DiskBudget {
  readonly #options: DiskBudgetOptions;
  #held = 0;
  #stored = 0;
  /** The stored bytes from before the look that is under way. */
  #looked = 0;
  /** The least that was held at any look. */
  #least = Infinity;
  #isGrowing = false;
  /** The first of the last looks in a row, while it was overdrawn, at which nothing had been deleted. */
  #vainSince = Infinity;

  constructor(options: DiskBudgetOptions) {
    this.#options = options;
  }

  /** At the last look. */
  get held(): number {
    return this.#held;
  }

  /** Whether more is stored than small steps delete: until all that is beyond the bound is gone. */
  get isGrowing(): boolean {
    return this.#isGrowing;
  }

  /** Whether more is stored than retention deletes at all. */
  get isOverdrawn(): boolean {
    return this.#growth > this.#options.debt;
  }

  add(stored: number): void {
    this.#stored += stored;
    this.#judge();
  }

  /** The question to the store is under way. Its answer may leave out bytes stored from now on. */
  beginLook(): void {
    this.#looked = this.#stored;
  }

  /**
   * @param deleted How much the step deleted that the store was asked for.
   * @param now By a clock that never goes back. Milliseconds.
   * @returns Whether the bound counted as the held bytes, because nothing was deleted for too long.
   */
  look(held: number, deleted: number, now: number): boolean {
    const isVain = this.isOverdrawn && held >= this.#held && deleted === 0;
    this.#vainSince = isVain ? Math.min(this.#vainSince, now) : Infinity;
    this.#held = held;
    this.#stored -= this.#looked;
    this.#looked = 0;
    this.#least = Math.min(this.#least, held);
    this.#judge();
    if (now - this.#vainSince < this.#options.vainMs) return false;
    this.acceptHeld();
    return true;
  }

  /** Uses the present size as the bound until retention deletes some: no publisher waits for undeletable messages. */
  acceptHeld(): void {
    this.#vainSince = Infinity;
    this.#least = this.#held;
    this.#judge();
  }

  /** Beyond the bound, or beyond what retention has come down to: a bound that was lowered makes no publisher wait. */
  get #growth(): number {
    const { most } = this.#options;
    return most === 0 ? 0 : this.#held + this.#stored - Math.max(most, this.#least);
  }

  #judge(): void {
    const growth = this.#growth;
    this.#isGrowing = growth >= this.#options.wake || (this.#isGrowing && growth > 0);
  }
}
