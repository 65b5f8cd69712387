import { Problem } from '../model/problem.ts';

/** Lets a few do something at once. The others wait in their order, up to a bound; beyond it they are sent away. */
export class Gate {
  readonly #maxWaiting: number;
  readonly #waiting: (() => void)[] = [];
  #free: number;

  constructor(options: { places: number; maxWaiting: number }) {
    this.#free = options.places;
    this.#maxWaiting = options.maxWaiting;
  }

  /** Does the work when it is its turn. Rejects with what the work does, or with a Problem `overloaded`. */
  async pass<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#free > 0) this.#free--;
    else if (this.#waiting.length >= this.#maxWaiting) throw new Problem('overloaded', 'Too many requests are waiting for the message log.');
    // Whoever leaves hands its place on, so that nobody who comes meanwhile takes it.
    else await new Promise<void>((enter) => void this.#waiting.push(enter));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    }
  }
}
