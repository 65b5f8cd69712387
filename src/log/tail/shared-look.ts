/**
 * Lets requests share looks at the log. Calls during a look share the next look, not the present one. So no answer is older than its call.
 *
 * Example: call A starts a look. B and C come during it. When it ends, a second look serves both.
 */
export class SharedLook<Result> {
  readonly #look: () => Promise<Result>;
  #current: Promise<unknown> | undefined;
  #next: Promise<Result> | undefined;

  constructor(look: () => Promise<Result>) {
    this.#look = look;
  }

  /** Returns the result of a look that begins after this call. Rejects if the look does. */
  fresh(): Promise<Result> {
    return (this.#next ??= this.#begin());
  }

  async #begin(): Promise<Result> {
    await this.#current;
    this.#next = undefined;
    const looked = this.#look();
    // The next look waits for this one, whether it succeeds or fails. Only this look's callers see its error.
    this.#current = looked.then(() => undefined, () => undefined);
    return looked;
  }
}
