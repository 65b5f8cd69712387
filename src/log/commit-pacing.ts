/**
 * When publishers share commits. A commit costs the same sync and the same changes of thread for one message as for twenty. So where commits take much of the time,
 * the next one rests before it begins. Its rest follows what the last one took. Whoever publishes meanwhile goes into it. Nobody rests for nobody: a publisher that is
 * alone has its commit at once, and so have publishers who all wait already.
 */

/** The share of the time that commits may take before they rest, and that a rest leaves them. */
const COMMIT_SHARE = 0.05;
/** From the beginning of a commit to the end of the rest after it, at most. Bounds how late a rest makes a publish. After a commit that took as long there is none. */
const INTERVAL_MAX_MS = 3;
/** As many requests share a commit well enough: more would save little for each. */
const SHARED_REQUESTS = 16;
/** Over how long it is remembered what commits took, and how many requests waited at once. */
const MEMORY_MS = 100;
/**
 * The most commits in a row that do not rest, since nobody came in the rests before. After each such rest they are twice as many, from one on; after a rest in which
 * somebody came, half as many. So a publisher that has company only now and then hardly waits for it.
 */
const RESTLESS_COMMITS = 32;

/** Decides for one publisher how long its next commit rests. Knows the time only as it is told, by one clock that never goes back. */
export class CommitPacing {
  #endedAt = 0;
  #restMs = 0;
  /** What the commits of late took together, and the most requests that waited at once: both fade. */
  #busyMs = 0;
  #crowd = 0;
  /** Requests that waited when the rest began; undefined when none is under way. */
  #began: number | undefined;
  /** How many commits are not to rest after one that gained nothing, and how many of them are left. */
  #restless = 0;
  #skip = 0;

  /** A request came: so many wait now, those of commits that are under way among them. */
  came(waiting: number): void {
    if (waiting > this.#crowd) this.#crowd = waiting;
  }

  /** A commit has ended, which took so long by itself. */
  ended(now: number, tookMs: number): void {
    const kept = Math.exp((this.#endedAt - now) / MEMORY_MS);
    this.#busyMs = this.#busyMs * kept + tookMs;
    this.#crowd *= kept;
    this.#endedAt = now;
    this.#restMs = Math.max(0, Math.min(tookMs / COMMIT_SHARE, INTERVAL_MAX_MS) - tookMs);
  }

  /** How long so many requests still wait for others to share their commit. Milliseconds; 0 where they do not. */
  rest(now: number, queued: number): number {
    if (queued >= SHARED_REQUESTS || queued >= Math.ceil(this.#crowd) || this.#skip > 0 || this.#busyMs < COMMIT_SHARE * MEMORY_MS) return 0;
    const left = Math.max(0, this.#endedAt + this.#restMs - now);
    if (left > 0) this.#began ??= queued;
    return left;
  }

  /** The rest is over, whatever is left of it: timers count whole milliseconds. */
  rested(): void {
    this.#restMs = 0;
  }

  /** A commit begins, with all that waited. */
  begins(queued: number): void {
    if (this.#began === undefined) {
      if (this.#skip > 0) this.#skip--;
      return;
    }
    this.#restless = queued > this.#began ? this.#restless >> 1 : Math.min(Math.max(1, this.#restless * 2), RESTLESS_COMMITS);
    this.#skip = this.#restless;
    this.#began = undefined;
  }
}
