import type { Clock } from '../../runtime/clock.ts';
import { ANYBODY, FairShares, type FairSharesDependencies, type Holder, type Holding, type Share } from '../../runtime/sharing/fair-shares.ts';

/** How long requests walk through the tail in one turn of the event loop. Stops many walks from keeping everything else waiting. */
const WALKS_TURN_MS = 4;

/** A walk that waits. Nothing is taken back: each belongs to a request that has its place already. */
interface Waiting extends Holding {
  readonly walk: () => void;
  share: Share | undefined;
}

export interface WalkTurnsDependencies extends Pick<FairSharesDependencies, 'counters'> {
  readonly clock: Clock;
}

/**
 * Walks through the tail for requests: for the newest messages of a pattern, and for pages that begin near its end. A walk is short, but has no index. Where many are asked for at once, clients
 * take turns, so nobody waits for all walks of another.
 */
export class WalkTurns {
  readonly #clock: Clock;
  readonly #waiting: FairShares<Waiting>;
  /** Whether walks have been taken in this turn of the event loop. */
  #hasBegun = false;
  #until = 0;

  constructor({ clock, counters }: WalkTurnsDependencies) {
    this.#clock = clock;
    this.#waiting = new FairShares({ gate: 'reads', counters });
  }

  /** Takes a walk when it is its turn: nearly always at once. */
  pass<Result>(walk: () => Result, holder: Holder = ANYBODY): Result | Promise<Result> {
    this.#begin();
    if (this.#waiting.total === 0 && !this.#isOver) return walk();
    return new Promise((resolve) => {
      // An error of the walk is its caller's.
      const waiting: Waiting = { share: undefined, takeBack: () => undefined, walk: () => resolve(new Promise<Result>((done) => done(walk()))) };
      waiting.share = this.#waiting.hold(holder, 1, waiting);
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
      next.share!.release();
      next.walk();
    } while (!this.#isOver);
  }
}
