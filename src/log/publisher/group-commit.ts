import type { Clock, Timer } from '../../runtime/clock.ts';
import type { Counters } from '../../runtime/counters.ts';
import { CommitTiming } from '../../store/commit-timing.ts';
import { StoreError, type Appended, type Appends, type Outcome } from '../../store/store.ts';
import { CONCURRENT_COMMITS, type CommitSize, type Stored } from './commit-size.ts';
import type { PublishQueue, Waiting } from './publish-queue.ts';
import type { Pace } from '../retention/retention.ts';
import type { Knowledge } from '../tail/known-log.ts';
import type { Tail } from '../tail/tail.ts';

/**
 * A commit that was handed to the store and is not answered yet. With a shared writer, the store is another process, which may hang:
 *
 *   under way ── no answer for a second ──► late: no longer counts as one of the two concurrent commits
 *   under way, late ── publishers waited too long ──► given up: they got `outcome-unknown`; messages still go to the tail if the commit succeeds
 */
export interface Commit extends Stored {
  readonly requests: readonly Waiting[];
  /** Whether publishers were answered before the commit ended. */
  isGivenUp: boolean;
  /** Whether the answer of another process is overdue. Then the next commit does not wait for this one. */
  isLate: boolean;
}

/** Called at the end of each commit. */
export interface CommitListener {
  /** @param before The tail's knowledge when the commit began. */
  stored(requests: readonly Waiting[], before: Knowledge, appended: Appended): void;
  failed(requests: readonly Waiting[], error: StoreError): void;
}

export interface GroupCommitDependencies {
  readonly store: Pick<Appends, 'append' | 'isShared'>;
  readonly queue: PublishQueue;
  readonly commitSize: CommitSize;
  readonly tail: Pick<Tail, 'knowledge'>;
  readonly clock: Clock;
  readonly counters: Pick<Counters, 'commitMilliseconds'>;
  readonly pace: Pace;
  readonly listener: CommitListener;
}

/**
 * Group commit: requests that arrive during a commit go into the next one. The store gets the next commit when it is as large as the one under way, or when
 * that one is finished. An idle store rests for a moment first, so that more requests share its commit (store/commit-timing.ts). The store performs
 * commits one after the other. If one fails, the next may still succeed.
 */
export class GroupCommit {
  readonly #store: GroupCommitDependencies['store'];
  readonly #queue: PublishQueue;
  readonly #commitSize: CommitSize;
  readonly #tail: Pick<Tail, 'knowledge'>;
  readonly #clock: Clock;
  readonly #counters: Pick<Counters, 'commitMilliseconds'>;
  readonly #pace: Pace;
  readonly #listener: CommitListener;
  readonly #timing: CommitTiming;
  /** Waits before the next commit to an idle store, so that more requests share it (`CommitTiming.restMs`). */
  #restTimer: Timer | undefined;
  /** The commits under way, in the order in which the store got them. */
  readonly #commits: Commit[] = [];
  /** How many of them are late. */
  #late = 0;
  /** Whether `#next` is due at the end of this turn of the event loop. */
  #willLook = false;

  constructor({ store, queue, commitSize, tail, clock, counters, pace, listener }: GroupCommitDependencies) {
    this.#store = store;
    this.#queue = queue;
    this.#commitSize = commitSize;
    this.#tail = tail;
    this.#clock = clock;
    this.#counters = counters;
    this.#pace = pace;
    this.#listener = listener;
    this.#timing = store.isShared === true ? CommitTiming.ofWriter(clock) : CommitTiming.ofStore(clock);
    pace.whenCaughtUp(() => this.#next());
  }

  get underWay(): readonly Commit[] {
    return this.#commits;
  }

  /** A request was queued. Begins a commit at the end of this turn of the event loop, so that all requests of the turn share it. */
  queued(): void {
    if (this.#willLook || this.#busy === CONCURRENT_COMMITS) return;
    this.#willLook = true;
    this.#clock.soon(() => {
      this.#willLook = false;
      this.#next();
    });
  }

  stop(): void {
    this.#restTimer?.cancel();
  }

  /** Hands the next commit to the store, if it is due. */
  #next(): void {
    if (this.#queue.length === 0 || !this.#isTime()) return;
    const queued = this.#queue.messages;
    const requests = this.#queue.takeCommit(this.#busy > 0);
    if (requests.length === 0) return;
    const commit: Commit = { messages: queued - this.#queue.messages, bytes: requests.reduce((sum, { bytes }) => sum + bytes, 0), requests, isGivenUp: false, isLate: false };
    this.#commits.push(commit);
    void this.#commit(commit, requests, () => {
      this.#commits.splice(this.#commits.indexOf(commit), 1);
      if (commit.isLate) this.#late--;
      // Hand over the next commit before the publishers are answered, because the store may be idle.
      this.#next();
    });
    // Requests that did not fit may be a second commit.
    this.#next();
  }

  #isTime(): boolean {
    if (this.#pace.isBehind) return false;
    const before = this.#commits.findLast(({ isLate }) => !isLate);
    if (before === undefined) return this.#hasRested();
    if (this.#busy === CONCURRENT_COMMITS) return false;
    const { request: { drafts }, bytes } = this.#queue.first;
    if (!this.#commitSize.leavesRoom(before) || !this.#commitSize.leavesRoom({ messages: drafts.length, bytes })) return false;
    return this.#timing.mayFollow(before.messages, this.#queue.messages, this.#commitSize.messages);
  }

  #hasRested(): boolean {
    if (this.#queue.messages >= this.#commitSize.messages) return true;
    const leftMs = this.#timing.restMs(this.#queue.length);
    if (leftMs === 0) return true;
    this.#restTimer ??= this.#clock.after(leftMs, () => {
      this.#restTimer = undefined;
      this.#next();
    });
    return false;
  }

  /** How many commits under way are not late. */
  get #busy(): number {
    return this.#commits.length - this.#late;
  }

  /** The process that writes the commit may hang. Later publishers do not wait for it. */
  #becameLate(commit: Commit): void {
    if (commit.isLate || !this.#commits.includes(commit)) return;
    commit.isLate = true;
    this.#late++;
    this.#next();
  }

  /**
   * @param requests The requests of the commit, or a part of them.
   * @param done Called when the store has finished these requests, before their publishers are answered.
   */
  async #commit(commit: Commit, requests: readonly Waiting[], done: () => void): Promise<void> {
    const began = this.#clock.monotonic();
    const before = this.#tail.knowledge;
    try {
      const appended = await this.#store.append(requests.map(({ request }) => request), () => this.#becameLate(commit));
      const tookMs = this.#timing.ended(began, this.#waitingRequests);
      // Count before `done`: retention may hold back the next commit.
      this.#countStored(requests, appended.outcomes);
      done();
      this.#counters.commitMilliseconds.observe(tookMs);
      this.#listener.stored(requests, before, appended);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      if (error.kind === 'refused' && requests.length > 1) {
        // Invariant 13: only the request that the store refuses may fail. Halve the commit until that request is alone.
        const middle = requests.length >> 1;
        await this.#commit(commit, requests.slice(0, middle), () => undefined);
        await this.#commit(commit, requests.slice(middle), done);
        return;
      }
      done();
      this.#listener.failed(requests, error);
    }
  }

  get #waitingRequests(): number {
    return this.#commits.reduce((sum, { requests, isLate }) => isLate ? sum : sum + requests.length, this.#queue.length);
  }

  #countStored(requests: readonly Waiting[], outcomes: readonly Outcome[]): void {
    let bytes = 0;
    let keys = 0;
    for (const [index, { kind }] of outcomes.entries()) {
      if (kind !== 'stored') continue;
      const { request: { key }, diskBytes } = requests[index]!;
      bytes += diskBytes;
      if (key !== undefined) keys++;
    }
    this.#pace.stored(bytes, keys);
  }
}
