import { Problem } from '../model/problem.ts';

/** Lets a few calls of the database run at the same time. Others wait in their order, up to a bound; beyond it they are refused. */
export class CallLimiter {
  readonly #maxWaiting: number;
  readonly #waiting: (() => void)[] = [];
  #free: number;

  constructor(options: { places: number; maxWaiting: number }) {
    this.#free = options.places;
    this.#maxWaiting = options.maxWaiting;
  }

  /** Makes a call when it is its turn. Rejects with the error of the call, or with a Problem `overloaded`. */
  async pass<Result>(call: () => Promise<Result>): Promise<Result> {
    if (this.#free > 0) this.#free--;
    else if (this.#waiting.length >= this.#maxWaiting) throw new Problem('overloaded', 'Too many requests are waiting for the database.');
    // A call that ends hands its place on, so that no newcomer takes it.
    else await new Promise<void>((enter) => void this.#waiting.push(enter));
    try {
      return await call();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    }
  }
}
