import { type Charge, FairShares, type FairSharesDependencies, type Holder, UNNAMED } from './fair-shares.ts';

export interface CallLimiterOptions extends Pick<FairSharesDependencies, 'gate' | 'counters'> {
  /** The most calls that run at the same time. */
  readonly places: number;
  readonly maxWaiting: number;
  /** The error of a call that finds no room in the queue, or is evicted from it. */
  readonly refusal: () => Error;
}

/** A call that waits. */
interface Waiting {
  readonly enter: () => void;
  readonly takeBack: () => void;
}

/**
 * Bounds concurrent calls, such as calls of the database. Further calls wait in a bounded queue. Clients take turns, and the calls of one client keep their order. If the queue
 * is full, the client with the most waiting calls loses its newest to a client with fewer.
 */
export class CallLimiter {
  readonly #maxWaiting: number;
  readonly #refusal: () => Error;
  readonly #waiting: FairShares<Waiting>;
  readonly #charges = new Map<Waiting, Charge>();
  #free: number;

  constructor({ places, maxWaiting, refusal, gate, counters }: CallLimiterOptions) {
    this.#free = places;
    this.#maxWaiting = maxWaiting;
    this.#refusal = refusal;
    this.#waiting = new FairShares({ gate, counters });
  }

  /** Waits for the call's turn, and makes the call. Rejects with the error of the call, or with the refusal. */
  async pass<Result>(call: () => Promise<Result>, holder: Holder = UNNAMED): Promise<Result> {
    // A call that ends passes its place to the next call directly, so a free place means that no call waits.
    if (this.#free > 0) this.#free--;
    else await this.#turn(holder);
    try {
      return await call();
    } finally {
      this.#leave();
    }
  }

  #turn(holder: Holder): Promise<void> {
    while (this.#waiting.total >= this.#maxWaiting) {
      if (!this.#waiting.makeRoom(holder, 1)) return Promise.reject(this.#refusal());
    }
    return new Promise((enter, reject) => {
      const waiting: Waiting = { enter, takeBack: () => {
        this.#charges.delete(waiting);
        reject(this.#refusal());
      } };
      this.#charges.set(waiting, this.#waiting.charge(holder, 1, waiting));
    });
  }

  #leave(): void {
    const next = this.#waiting.next();
    if (next === undefined) {
      this.#free++;
      return;
    }
    this.#charges.get(next)!.release();
    this.#charges.delete(next);
    next.enter();
  }
}
