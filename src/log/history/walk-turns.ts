import type { Clock } from '../../runtime/clock.ts';
import { type Charge, type Evictable, FairShares, type FairSharesDependencies, type Holder, UNNAMED } from '../../runtime/sharing/fair-shares.ts';

/** How long walks may take in one turn of the event loop. Stops many walks from blocking it. */
const WALKS_TURN_MS = 4;

/** A waiting walk. It is never evicted: its request was already admitted elsewhere. */
interface Waiting extends Evictable {
  readonly walk: () => void;
  charge: Charge | undefined;
}

export interface WalkTurnsDependencies extends Pick<FairSharesDependencies, 'counters'> {
  readonly clock: Clock;
}

/**
 * The gate for walks through the tail, which search for the newest messages or read a page near the end. A walk is short, but has no index. If many come at once, they spread over several
 * turns of the event loop, and clients take turns. So no client waits for all walks of another client.
 */
export class WalkTurns {
  readonly #clock: Clock;
  readonly #waiting: FairShares<Waiting>;
  /** Whether a walk ran in this turn of the event loop. */
  #hasBegun = false;
  /** When the time of this turn is used up. */
  #until = 0;

  constructor({ clock, counters }: WalkTurnsDependencies) {
    this.#clock = clock;
    this.#waiting = new FairShares({ gate: 'reads', counters });
  }

  /** Runs a walk: at once if this turn of the event loop has time left and none waits, otherwise in a later turn. */
  pass<Result>(walk: () => Result, holder: Holder = UNNAMED): Result | Promise<Result> {
    this.#begin();
    if (this.#waiting.total === 0 && !this.#isOver) return walk();
    return new Promise((resolve) => {
      // The inner promise hands an error of the walk to its caller.
      const waiting: Waiting = { charge: undefined, takeBack: () => undefined, walk: () => resolve(new Promise<Result>((done) => done(walk()))) };
      waiting.charge = this.#waiting.charge(holder, 1, waiting);
    });
  }

  get #isOver(): boolean {
    return this.#clock.monotonic() >= this.#until;
  }

  #begin(): void {
    if (this.#hasBegun) return;
    this.#hasBegun = true;
    this.#until = this.#clock.monotonic() + WALKS_TURN_MS;
    this.#clock.soon(() => this.#turn());
  }

  #turn(): void {
    this.#hasBegun = false;
    if (this.#waiting.total === 0) return;
    this.#begin();
    do {
      const next = this.#waiting.next();
      if (next === undefined) return;
      next.charge!.release();
      next.walk();
    } while (!this.#isOver);
  }
}
