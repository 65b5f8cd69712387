import type { Clock } from '../runtime/clock.ts';

/**
 * A rest lasts as long as this many commits like the last one, so commits take at most a seventh of the time. A commit costs the same for one message as for ten:
 * its sync, and its way to the store's thread and back.
 */
const COMMIT_REST_FACTOR = 6;

/** The longest that a message waits only so that others share its commit. */
const COMMIT_REST_MAX_MS = 2.5;

/**
 * The same before requests go to the worker that writes, which itself rests once more. It is well below that worker's rest: what workers gather meanwhile reaches it before the rest ends, and is in
 * the same commit.
 */
const HAND_ON_REST_MAX_MS = 1.25;

/** A timer cannot end a rest that is shorter. */
const COMMIT_REST_MIN_MS = 0.5;

/** This number does not wait for more: of a commit that they share, each costs little more than its own row. */
const CROWD_REQUESTS = 16;

/** How many commits it takes to forget that many publishers waited at once. */
const REMEMBERED_COMMITS = 8;

/**
 * On a slow disk, where the last commit took longer than this, a second one is not queued: everyone who just missed the first would wait for both.
 * A full commit is queued even there, because nothing more could go into it.
 */
const COMMIT_QUICK_MS = 3;

/** The receiver of the requests. */
interface Target {
  readonly restMaxMs: number;
  readonly quickMs: number;
}

const STORE: Target = { restMaxMs: COMMIT_REST_MAX_MS, quickMs: COMMIT_QUICK_MS };
/** The writer gathers the requests of all workers meanwhile. So none waits for two commits, and the time until its answer says nothing of the disk. */
const WRITER: Target = { restMaxMs: HAND_ON_REST_MAX_MS, quickMs: Infinity };

/**
 * Says when a store gets the next commit. After a commit an idle store rests, so that publishers share the next one. The rest ends early when as many requests wait as lately waited at
 * once: more are not expected. So a publisher that is alone never waits, and publishers that wait for their answers are not held up for others. A busy store gets the next commit when it is as
 * large as the one before.
 */
export class CommitTiming {
  readonly #clock: Clock;
  readonly #target: Target;
  /** When the last commit ended, and how long it took. */
  #endedAt = 0;
  #tookMs = 0;
  /** Before it, an idle store gets only a full crowd. */
  #restsUntil = -Infinity;
  /** How many requests waited at once when the last commits ended, the newest at `#next - 1`. */
  readonly #crowds = new Array<number>(REMEMBERED_COMMITS).fill(1);
  #next = 0;
  #crowd = 1;

  private constructor(clock: Clock, target: Target) {
    this.#clock = clock;
    this.#target = target;
  }

  static ofStore(clock: Clock): CommitTiming {
    return new CommitTiming(clock, STORE);
  }

  /** For requests that a worker hands on to the one that writes for all. */
  static ofWriter(clock: Clock): CommitTiming {
    return new CommitTiming(clock, WRITER);
  }

  /**
   * A commit has ended.
   * @param waiting How many requests waited for it or for the next one.
   * @returns How long it took, in milliseconds: while it waited for the commit before it, it took no time itself.
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

  /** For how many milliseconds an idle store still rests before it gets this number of requests; 0 where it gets them now. */
  restMs(requests: number): number {
    if (requests >= this.#crowd) return 0;
    const left = this.#restsUntil - this.#clock.monotonic();
    return left < COMMIT_REST_MIN_MS ? 0 : left;
  }

  /** Whether a busy store gets a next commit of this number of messages. @param before Those of the commit under way. @param most Those of a full commit. */
  mayFollow(before: number, messages: number, most: number): boolean {
    return messages >= (this.#tookMs > this.#target.quickMs ? most : Math.min(before, most));
  }
}
