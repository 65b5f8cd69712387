import { type Charge, FairShares, type FairSharesDependencies, type Holder, UNNAMED } from './fair-shares.ts';

export interface CallLimiterOptions extends Pick<FairSharesDependencies, 'gate' | 'counters'> {
  /** How many run at the same time. */
  readonly places: number;
  readonly maxWaiting: number;
  /** The error of a call that may not wait. */
  readonly refusal: () => Error;
}

/** A call that waits. */
interface Waiting {
  readonly enter: () => void;
  readonly takeBack: () => void;
}

/**
 * Lets a few calls, such as those of the database, run at the same time. Others wait, up to a bound: clients take turns, and the calls of each keep their order. Beyond the bound the client that has most calls
 * waiting loses the last of them to one that has fewer.
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

  /** Makes a call when it is its turn. Rejects with the error of the call, or with the refusal. */
  async pass<Result>(call: () => Promise<Result>, holder: Holder = UNNAMED): Promise<Result> {
    if (this.#free > 0) this.#free--;
    // A call that ends hands its place on, so that no newcomer takes it.
    else await this.#turn(holder);
    try {
      return await call();
    } finally {
      this.#leave();
    }
  }

  #turn(holder: Holder): Promise<void> {
    while (this.#waiting.total >= this.#maxWaiting) if (!this.#waiting.makeRoom(holder, 1)) return Promise.reject(this.#refusal());
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
