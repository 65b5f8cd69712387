import type { StoreClock } from '../../log/tail/store-clock.ts';
import type { Tail } from '../../log/tail/tail.ts';
import type { LogState } from '../../model/epochs.ts';
import { startWithGap } from '../../model/gap.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Counters } from '../../runtime/counters.ts';
import type { Logger } from '../../runtime/logging/logger.ts';
import { StoreError, type Page, type Store } from '../../store/store.ts';
import { isWritable, isNear, nextPlace, type Backlog } from './catchup-backlog.ts';
import { STEP_BYTES, STEP_MESSAGES, Steps } from './catchup-steps.ts';
import { CatchupTurns } from './catchup-turns.ts';
import { cachedChunk } from '../frames/chunk-cache.ts';
import type { Group } from '../reader/reader-group.ts';
import type { Reader } from '../reader/reader.ts';

/** The most reads of the log under way at once. Stops a storm of returning readers from taking the database from publishers. */
const CATCHUP_READS = 4;
/** How long a group waits after the log could not be read. */
const CATCHUP_RETRY_MS = 500;

export interface CatchupReadsDependencies {
  readonly store: Pick<Store, 'read'>;
  readonly tail: Tail;
  readonly clock: Clock;
  readonly storeClock: StoreClock;
  readonly counters: Counters;
  readonly logger: Logger;
  readonly backlogOf: (group: Group) => Backlog | undefined;
  /** Puts the group into the queue of catch-up again after a read, for its readers that are still behind. */
  readonly requeue: (group: Group) => void;
}

/**
 * Reads the log for readers that are far behind.
 *
 * One read serves all readers of a group whose cursors it covers. It begins at the smallest cursor after the last read, as an elevator does. So thousands that come
 * back at once with cursors close to each other cost a few reads, and none starves. Where many groups wait for a read, their clients take turns (catchup-turns.ts).
 */
export class CatchupReads {
  readonly #store: Pick<Store, 'read'>;
  readonly #tail: Tail;
  readonly #clock: Clock;
  readonly #storeClock: StoreClock;
  readonly #counters: Counters;
  readonly #logger: Logger;
  readonly #backlogOf: CatchupReadsDependencies['backlogOf'];
  readonly #requeue: CatchupReadsDependencies['requeue'];
  /** Groups that wait until one of the reads under way ends. */
  readonly #readTurns: CatchupTurns;
  #underWay = 0;
  /** Whether the last read failed. Only the first failure is logged, not one for each group and attempt. */
  #hasFailed = false;
  #isStopped = false;

  constructor({ store, tail, clock, storeClock, counters, logger, backlogOf, requeue }: CatchupReadsDependencies) {
    this.#store = store;
    this.#tail = tail;
    this.#clock = clock;
    this.#storeClock = storeClock;
    this.#counters = counters;
    this.#logger = logger;
    this.#backlogOf = backlogOf;
    this.#requeue = requeue;
    this.#readTurns = new CatchupTurns(counters);
  }

  stop(): void {
    this.#isStopped = true;
  }

  /**
   * Reads the log for a group, at once or when its turn comes. Does nothing if a read for it is under way, because its end requeues the group.
   * @param readers The readers of the group that the tail does not serve
   */
  serve(group: Group, backlog: Backlog, readers: readonly Reader[]): void {
    if (backlog.isReading) return;
    if (this.#underWay >= CATCHUP_READS || !this.#readTurns.isEmpty) this.#readTurns.wait(group, readers);
    else void this.#read(group, backlog, nextPlace(readers, group.readUpTo));
  }

  /** Takes the group out of the turns: none of its readers waits for a read any more. */
  leave(group: Group): void {
    this.#readTurns.leave(group);
  }

  /** Begins reads for waiting groups until `CATCHUP_READS` are under way. */
  #readNext(): void {
    while (this.#underWay < CATCHUP_READS) {
      const group = this.#readTurns.next();
      if (group === undefined) return;
      const backlog = this.#backlogOf(group)!;
      const readers = [...backlog.readers].filter((reader) => isWritable(reader) && !isNear(this.#tail, reader.cursorSeq));
      if (readers.length > 0) void this.#read(group, backlog, nextPlace(readers, group.readUpTo));
    }
  }

  async #read(group: Group, backlog: Backlog, after: number): Promise<void> {
    backlog.isReading = true;
    this.#underWay++;
    let page: Page | undefined;
    try {
      page = await this.#tail.ask(() => this.#store.read({ after, filter: group.filter, limit: STEP_MESSAGES, maxBytes: STEP_BYTES }));
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      if (!this.#hasFailed) this.#logger.warn({ err: error }, 'the log cannot be read for streams that are behind; they wait');
      this.#hasFailed = true;
    } finally {
      backlog.isReading = false;
      this.#underWay--;
    }
    if (this.#isStopped) return;
    this.#readNext();
    if (page === undefined) {
      this.#clock.after(CATCHUP_RETRY_MS, () => this.#requeue(group));
      return;
    }
    this.#hasFailed = false;
    this.#distribute(group, backlog, after, page);
    // A page that goes no further than its beginning, although the tail does, would be read again without end.
    if (page.scanned <= after && !isNear(this.#tail, after)) this.#waitForTail(group, page.log);
    else this.#requeue(group);
  }

  /**
   * Writes the page to the readers whose cursors it covers. After a page for 100 to 600, of a log whose oldest message is 51:
   *
   *   cursor 30   gap to 50 (its messages 31 to 50 were deleted), and a later read
   *   cursor 80   a later read
   *   cursor 300  gets the messages from 301 on, and its cursor moves to 600
   *   cursor 700  a later read
   */
  #distribute(group: Group, backlog: Backlog, after: number, page: Page): void {
    this.#counters.reads++;
    this.#counters.rowsExamined += page.examined;
    group.readUpTo = page.scanned;
    const { log } = page;
    const end = log.lineage.at(page.scanned);
    const steps = new Steps({ messages: page.messages, now: this.#storeClock.now(), chunkOf: cachedChunk });
    for (const reader of backlog.readers) {
      if (!isWritable(reader)) {
        backlog.readers.delete(reader);
        continue;
      }
      // Invariant 9: the page and the oldest number are of one snapshot, so what the page lacks was deleted.
      if (reader.cursorSeq < log.oldest - 1) reader.gap(startWithGap(reader.position(), log.oldest - 1, 'expired', log));
      if (reader.cursorSeq < after || reader.cursorSeq >= page.scanned) continue;
      backlog.readers.delete(reader);
      if (!log.lineage.isGood(reader.position())) reader.gap(this.#tail.locate(reader.position(), log));
      else {
        // No bound for this step, because the read of the page had the bounds of a step.
        reader.catchUp(steps.after(reader.cursorSeq, Infinity).bundle, end);
        this.#counters.readsServed++;
        if (reader.cursorSeq >= this.#tail.last) reader.goLive();
      }
      backlog.putBack(reader);
    }
  }

  /** The log in the database ends before the tail, for example because an older copy took its place. The tail looks at the log again; meanwhile the group waits. */
  #waitForTail(group: Group, log: LogState): void {
    this.#logger.warn({ tail: this.#tail.last, head: log.head }, 'the log ends before the tail');
    void this.#tail.look();
    this.#clock.after(CATCHUP_RETRY_MS, () => this.#requeue(group));
  }
}
