import { Ancestry } from '../../model/ancestry.ts';
import type { LogState } from '../../model/epochs.ts';
import { locate, type Start } from '../../model/gap.ts';
import type { Position } from '../../model/position.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/logging/logger.ts';
import type { Store } from '../../store/store.ts';
import { LostEpochs } from './lost-epochs.ts';

/** The tail's end and its newest state of the log at one moment. Taken before a query to the store, it shows whether either changed before the answer. */
export interface Knowledge {
  /** The end of the tail. */
  readonly position: Position;
  /** undefined before the log is open. */
  readonly log: LogState | undefined;
}

/**
 * The meaning of a snapshot for the tail. Suppose that the tail ended at b-8 when it sent a query, and ends at b-10 when the answer comes:
 *
 * | the snapshot | verdict |
 * |---|---|
 * | has b-8. It may lack b-9 and b-10, because it may be older | `current` |
 * | lacks epoch c, which another answer brought in the meantime | `outdated`: it may show a log that has been replaced, so query again |
 * | has epoch c from number 9 on: c-9 and c-10 are other messages than b-9 and b-10 | a start at b-8, gap `forked` |
 * | begins at number 50, because retention deleted the messages before | a start at number 49, gap `expired` |
 * | has no epoch b, and its name leads to no other | a start before the oldest message, gap `unknown-log` |
 */
export type Verdict = 'current' | 'outdated' | Start;

export interface KnownLogDependencies {
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * The newest known state of the log, and the epochs that the log has lost. Judges whether a snapshot is older than that state, or shows a log that
 * took its place (invariant 8).
 */
export class KnownLog {
  #log: LogState | undefined;
  /** The origins of all epochs that any snapshot named. */
  readonly #ancestry = new Ancestry();
  readonly #lostEpochs: LostEpochs;

  constructor({ store, clock, logger }: KnownLogDependencies) {
    this.#lostEpochs = new LostEpochs({ store, ancestry: this.#ancestry, clock, logger });
  }

  /** The newest known state; undefined before the log is open. */
  get log(): LogState | undefined {
    return this.#log;
  }

  stop(): void {
    this.#lostEpochs.stop();
  }

  /**
   * Judges the answer of a query.
   *
   * @param before The tail's knowledge before the query. The snapshot must have its position; an older snapshot may lack a later end.
   * @param end The present end of the tail.
   */
  judge(before: Knowledge, end: Position, snapshot: LogState): Verdict {
    const verdict = this.judgeCommit(before, end, snapshot);
    if (verdict !== 'current') return verdict;
    const start = this.locate(before.position, snapshot);
    return start.gap === undefined ? 'current' : start;
  }

  /** As `judge`, for the answer of a commit. Leaves retention aside: the next read of the tail notices it. */
  judgeCommit(before: Knowledge, end: Position, snapshot: LogState): Verdict {
    if (this.isOutdated(before, snapshot)) return 'outdated';
    return this.#isForked(end, snapshot) ? this.locate(end, snapshot) : 'current';
  }

  /**
   * Whether the log may have been replaced since the snapshot. It may if the tail learned an epoch during the query, and the snapshot lacks that epoch.
   * Then the snapshot's messages may be lost, and their numbers given to other messages.
   */
  isOutdated(before: Knowledge, log: LogState): boolean {
    const known = this.#log;
    return known !== before.log && known !== undefined && before.log !== undefined && isNewer(known, log) && isNewer(known, before.log);
  }

  /**
   * Whether the snapshot's log gave the numbers at the tail's end to other messages. The end may come from a replaced log, whose messages arrived during the
   * query. However old the snapshot is, nothing may be added after such an end.
   */
  #isForked(end: Position, log: LogState): boolean {
    const shared = log.lineage.shared(end);
    return shared === undefined ? isNewer(log, this.#log!) : shared < end.seq;
  }

  /** Takes over a snapshot, unless a newer state is known. Returns whether the known log got a new epoch. */
  adopt(log: LogState): boolean {
    this.#learn(log);
    const before = this.#log;
    if (before === undefined || isNewer(log, before) || (log.head >= before.head && !isNewer(before, log))) this.#log = log;
    return before !== undefined && isNewer(this.#log!, before);
  }

  /** Takes over a snapshot although its head may be smaller: another log took the place of the known one, or retention overtook the tail. */
  replace(log: LogState): void {
    this.#learn(log);
    this.#log = log;
  }

  /** Where a reader with this cursor goes on in a log. Also finds the place for epochs that the log has lost, if their origins are known. */
  locate(cursor: Position, log: LogState): Start {
    return locate(cursor, log, this.#ancestry);
  }

  /** Reads the origins of lost epochs that other instances stored. Rejects with a `StoreError`. */
  recallLost(): Promise<void> {
    return this.#lostEpochs.recall();
  }

  #learn({ lineage }: LogState): void {
    this.#ancestry.learn(lineage);
    const before = this.#log?.lineage;
    // The log lost epochs if each side has a newest epoch that the other side lacks. A snapshot that is only older lacks epochs, but has no epoch of its own.
    const newest = lineage.epochs.at(-1)!.epoch;
    if (before !== undefined && !before.knows(newest) && !lineage.knows(before.epochs.at(-1)!.epoch)) this.#lostEpochs.keep(lineage);
  }
}

/** Whether a snapshot has an epoch that another snapshot lacks. Then it is newer, even if its head is smaller: the log was replaced. */
function isNewer(log: LogState, than: LogState): boolean {
  return log.lineage !== than.lineage && !than.lineage.knows(log.lineage.epochs.at(-1)!.epoch);
}
