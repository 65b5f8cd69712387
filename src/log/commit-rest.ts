import type { Clock } from '../runtime/clock.ts';

/**
 * A rest lasts as long as this many commits like the last one, so commits take at most a seventh of the time. A commit costs the same for one message as for ten:
 * its sync, and its way to the store's thread and back.
 */
const COMMIT_REST_FACTOR = 6;

/** The longest that a message waits only so that others share its commit. */
const COMMIT_REST_MAX_MS = 2.5;

/** A timer cannot end a rest that is shorter. */
const COMMIT_REST_MIN_MS = 0.5;

/** This number does not wait for more: of a commit that they share, each costs little more than its own row. */
const CROWD_REQUESTS = 16;

/** How many commits it takes to forget that many publishers waited at once. */
const REMEMBERED_COMMITS = 8;

/**
 * Says when an idle store gets the next commit. After a commit it rests, so that publishers share the next one. The rest ends early when as many requests wait as lately waited at
 * once: more are not expected. So a publisher that is alone never waits, and publishers that wait for their answers are not held up for others.
 */
export class CommitRest {
  readonly #clock: Clock;
  /** Before it, only a full crowd is committed. */
  #until = -Infinity;
  /** How many requests waited at once when the last commits ended, the newest at `#next - 1`. */
  readonly #crowds = new Array<number>(REMEMBERED_COMMITS).fill(1);
  #next = 0;
  #crowd = 1;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A commit has ended. `waiting`: how many requests waited for it or for the next one. */
  ended(tookMs: number, waiting: number): void {
    this.#until = this.#clock.monotonic() + Math.min(tookMs * COMMIT_REST_FACTOR, COMMIT_REST_MAX_MS);
    this.#crowds[this.#next] = waiting;
    this.#next = (this.#next + 1) % REMEMBERED_COMMITS;
    this.#crowd = Math.min(Math.max(...this.#crowds), CROWD_REQUESTS);
  }

  /** For how many milliseconds this number of requests still rests; 0 where they go now. */
  leftMs(queued: number): number {
    if (queued >= this.#crowd) return 0;
    const left = this.#until - this.#clock.monotonic();
    return left < COMMIT_REST_MIN_MS ? 0 : left;
  }
}
