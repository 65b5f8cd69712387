/**
 * One look at the log for all requests that come at about the same time. A request that comes while a look is under way shares the next look, so
 * no answer is older than its question.
 */
export class SharedLook<Result> {
  readonly #look: () => Promise<Result>;
  #current: Promise<unknown> | undefined;
  #next: Promise<Result> | undefined;

  constructor(look: () => Promise<Result>) {
    this.#look = look;
  }

  /** Rejects as the look does. */
  fresh(): Promise<Result> {
    return (this.#next ??= this.#begin());
  }

  async #begin(): Promise<Result> {
    await this.#current;
    this.#next = undefined;
    const looked = this.#look();
    // Only the next look waits for this one to end. The requests of this look get its result.
    this.#current = looked.then(() => undefined, () => undefined);
    return looked;
  }
}
