import type { StoreClock } from '../../log/tail/store-clock.ts';
import type { Tail } from '../../log/tail/tail.ts';
import type { LogState } from '../../model/epochs.ts';
import { startWithGap } from '../../model/gap.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Counters } from '../../runtime/counters.ts';
import type { Logger } from '../../runtime/logging/logger.ts';
import { StoreError, type Page, type Store } from '../../store/store.ts';
import { canGoOn, isNear, nextPlace, type Backlog } from './catchup-backlog.ts';
import { STEP_BYTES, STEP_MESSAGES, Steps } from './catchup-steps.ts';
import { CatchupTurns } from './catchup-turns.ts';
import { cachedChunk } from '../frames/chunk-cache.ts';
import type { Group } from '../reader/reader-group.ts';
import type { Reader } from '../reader/reader.ts';

/** Bounds the reads of the log under way for readers, so that a storm of them leaves the database to the publishers. */
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
  /** A read for the group has ended: catch-up looks at its readers again. */
  readonly goOn: (group: Group) => void;
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
  readonly #goOn: CatchupReadsDependencies['goOn'];
  /** Groups that wait for one of the reads to end. */
  readonly #readTurns: CatchupTurns;
  #underWay = 0;
  /** Whether the last read failed: the log says that once, not for each group and attempt. */
  #hasFailed = false;
  #isStopped = false;

  constructor({ store, tail, clock, storeClock, counters, logger, backlogOf, goOn }: CatchupReadsDependencies) {
    this.#store = store;
    this.#tail = tail;
    this.#clock = clock;
    this.#storeClock = storeClock;
    this.#counters = counters;
    this.#logger = logger;
    this.#backlogOf = backlogOf;
    this.#goOn = goOn;
    this.#readTurns = new CatchupTurns(counters);
  }

  stop(): void {
    this.#isStopped = true;
  }

  /** @param readers Those of the group that are far behind. */
  serve(group: Group, backlog: Backlog, readers: readonly Reader[]): void {
    if (backlog.isReading) return;
    if (this.#underWay >= CATCHUP_READS || !this.#readTurns.isEmpty) this.#readTurns.wait(group, readers);
    else void this.#read(group, backlog, nextPlace(readers, group.readUpTo));
  }

  /** The group waits for no read any more. */
  leave(group: Group): void {
    this.#readTurns.leave(group);
  }

  /** Begins the reads that there are places for. */
  #readNext(): void {
    while (this.#underWay < CATCHUP_READS) {
      const group = this.#readTurns.next();
      if (group === undefined) return;
      const backlog = this.#backlogOf(group)!;
      const readers = [...backlog.readers].filter((reader) => canGoOn(reader) && !isNear(this.#tail, reader.cursorSeq));
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
      this.#clock.after(CATCHUP_RETRY_MS, () => this.#goOn(group));
      return;
    }
    this.#hasFailed = false;
    this.#distribute(group, backlog, after, page);
    if (page.scanned <= after && !isNear(this.#tail, after)) this.#waitForTail(group, page.log);
    else this.#goOn(group);
  }

  #distribute(group: Group, backlog: Backlog, after: number, page: Page): void {
    this.#counters.reads++;
    this.#counters.rowsExamined += page.examined;
    group.readUpTo = page.scanned;
    const { log } = page;
    const end = log.lineage.at(page.scanned);
    const steps = new Steps({ messages: page.messages, now: this.#storeClock.now(), chunkOf: cachedChunk });
    for (const reader of backlog.readers) {
      if (!canGoOn(reader)) {
        backlog.readers.delete(reader);
        continue;
      }
      // Invariant 9: the page and the oldest number are of one snapshot, so what the page lacks was deleted.
      if (reader.cursorSeq < log.oldest - 1) reader.gap(startWithGap(reader.position(), log.oldest - 1, 'expired', log));
      if (reader.cursorSeq < after || reader.cursorSeq >= page.scanned) continue;
      backlog.readers.delete(reader);
      if (!log.lineage.isGood(reader.position())) reader.gap(this.#tail.locate(reader.position(), log));
      else {
        // The whole page: it has the bounds of a step.
        reader.catchUp(steps.after(reader.cursorSeq, Infinity).bundle, end);
        this.#counters.readsServed++;
        if (reader.cursorSeq >= this.#tail.last) reader.goLive();
      }
      backlog.goOn(reader);
    }
  }

  /** The tail is further than the log: the tail must look again, and the group waits for that. */
  #waitForTail(group: Group, log: LogState): void {
    this.#logger.warn({ tail: this.#tail.last, head: log.head }, 'the log ends before the tail');
    void this.#tail.look();
    this.#clock.after(CATCHUP_RETRY_MS, () => this.#goOn(group));
  }
}
