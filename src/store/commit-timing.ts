import type { Clock } from '../runtime/clock.ts';

/**
 * Decides when a store gets the next commit (group commit). A commit costs the same for one message as for ten: its sync, and its way to the store's thread and
 * back. So requests should share commits.
 *
 * | the store | gets the next commit |
 * |---|---|
 * | idle, after a rest | at once |
 * | idle, in a rest | at once if as many requests wait as lately waited together (the crowd), because more are not expected; otherwise when the rest ends |
 * | busy with a commit | when the next commit is as large as the one under way; on a slow disk, when it is full |
 *
 * A publisher that is alone is a crowd of one, so it never waits. Example: a commit of eight publishers took 0.4 ms, so the rest lasts 2.4 ms. When all
 * eight have sent their next request, the next commit begins, even if the rest has just begun.
 */

/** A rest lasts as long as this many commits like the last one. So commits take at most a seventh of the time. */
const COMMIT_REST_FACTOR = 6;

/** The longest rest. Bounds how long a message waits only so that others share its commit. */
const COMMIT_REST_MAX_MS = 2.5;

/**
 * The longest rest of a worker that hands its requests on to the writing worker, which itself rests as well. It is well below the writer's rest. So requests
 * that a worker gathers during its rest reach the writer before the writer's rest ends, and are in the same commit.
 */
const HAND_ON_REST_MAX_MS = 1.25;

/** A shorter rest is left out: a timer cannot end it in time. */
const COMMIT_REST_MIN_MS = 0.5;

/** A crowd of this size does not wait for more requests: their share of a commit is already little more than their own rows. */
const CROWD_REQUESTS = 16;

/** The crowd is the most requests that waited at the end of one of this many commits. So a burst is forgotten after as many commits. */
const REMEMBERED_COMMITS = 8;

/**
 * On a slow disk, where the last commit took longer than this, do not queue a second commit unless it is full: everyone who just missed the first would wait
 * for both.
 */
const COMMIT_QUICK_MS = 3;

/** The receiver of the requests. */
interface Target {
  /** The longest rest. */
  readonly restMaxMs: number;
  /** A commit that took longer shows a slow disk. */
  readonly quickMs: number;
}

const STORE: Target = { restMaxMs: COMMIT_REST_MAX_MS, quickMs: COMMIT_QUICK_MS };
/** The writing worker puts the requests of all workers into one commit. So no request waits for two commits, and a late answer does not show a slow disk. */
const WRITER: Target = { restMaxMs: HAND_ON_REST_MAX_MS, quickMs: Infinity };

/** The rhythm of commits to one target: see the table above. */
export class CommitTiming {
  readonly #clock: Clock;
  readonly #target: Target;
  /** When the last commit ended, and how long it took. */
  #endedAt = 0;
  #tookMs = 0;
  /** The end of the rest. */
  #restsUntil = -Infinity;
  /** A ring: how many requests waited when each of the last commits ended. The next one is written at `#next`. */
  readonly #crowds = new Array<number>(REMEMBERED_COMMITS).fill(1);
  #next = 0;
  /** The largest of `#crowds`, at most CROWD_REQUESTS. */
  #crowd = 1;

  private constructor(clock: Clock, target: Target) {
    this.#clock = clock;
    this.#target = target;
  }

  static ofStore(clock: Clock): CommitTiming {
    return new CommitTiming(clock, STORE);
  }

  /** For a worker that hands its requests on to the worker that writes for all. */
  static ofWriter(clock: Clock): CommitTiming {
    return new CommitTiming(clock, WRITER);
  }

  /**
   * Call it when a commit has ended.
   * @param waiting How many requests waited, in this commit and for the next.
   * @returns How long the commit took, in milliseconds, without the time for which it waited for the commit before it.
   */
  ended(beganAt: number, waiting: number): number {
    const now = this.#clock.monotonic();
    this.#tookMs = now - Math.max(beganAt, this.#endedAt);
    this.#endedAt = now;
    this.#restsUntil = now + Math.min(this.#tookMs * COMMIT_REST_FACTOR, this.#target.restMaxMs);
    this.#crowds[this.#next] = waiting;
    this.#next = (this.#next + 1) % REMEMBERED_COMMITS;
    this.#crowd = Math.min(Math.max(...this.#crowds), CROWD_REQUESTS);
    return this.#tookMs;
  }

  /** How many milliseconds an idle store must still rest before it gets this number of requests; 0: send them now. */
  restMs(requests: number): number {
    if (requests >= this.#crowd) return 0;
    const left = this.#restsUntil - this.#clock.monotonic();
    return left < COMMIT_REST_MIN_MS ? 0 : left;
  }

  /**
   * Whether a busy store gets a next commit of this number of messages.
   * @param before How many messages the commit under way has.
   * @param most How many messages a full commit has.
   */
  mayFollow(before: number, messages: number, most: number): boolean {
    const isDiskSlow = this.#tookMs > this.#target.quickMs;
    return messages >= (isDiskSlow ? most : Math.min(before, most));
  }
}
