import type { StoreClock } from '../log/store-clock.ts';
import type { Tail } from '../log/tail.ts';
import type { LogState } from '../model/epochs.ts';
import { startWithGap } from '../model/gap.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Counters } from '../runtime/counters.ts';
import type { Logger } from '../runtime/logger.ts';
import { StoreError, type Page, type Store } from '../store/store.ts';
import { Backlog, Elevator, nextPlace } from './catchup-backlog.ts';
import { STEP_BYTES, STEP_MESSAGES, Steps } from './catchup-steps.ts';
import { CatchupTurns } from './catchup-turns.ts';
import { walk, WalkSize, type NearReaders, type Share } from './catchup-walk.ts';
import { cachedChunk, tailChunks, type ChunkSource } from './chunk-cache.ts';
import type { Group } from './reader-group.ts';
import type { Reader } from './reader.ts';

/** How many reads of the log run at once for readers. Stops a storm of readers from keeping the database from the publishers. */
const CATCHUP_READS = 4;
/**
 * How far behind a reader may be to be served from the tail. Bounds the search: the tail is searched message by message, while the log has an index.
 */
const NEAR_TAIL_MESSAGES = 20_000;
/** How long one turn of the event loop serves readers. */
const CATCHUP_TURN_MS = 8;
/** How long a group waits after the log could not be read. */
const CATCHUP_RETRY_MS = 500;
/** How many groups get a turn by their clients before each walk. Stops a storm of streams from making one turn of the event loop long. */
const WALK_TURN_MAX_ENTRIES = 1_024;
/** How many readers of a group stand for its clients. Stops a group of thousands from costing much. */
const WALK_TURN_READERS = 64;
/** How many readers are served between two looks at the clock. */
const LOOK_EVERY_READERS = 64;

export interface CatchupDependencies {
  readonly store: Store;
  readonly tail: Tail;
  readonly clock: Clock;
  readonly storeClock: StoreClock;
  readonly counters: Counters;
  readonly logger: Logger;
}

/**
 * Serves readers that are behind, until they are live.
 *
 * Readers near the end of the tail are served from memory, by a walk that many groups share (catchup-walk.ts). Readers further behind are served from the
 * log. One read serves all readers of a group whose cursors it covers. It begins at the smallest cursor after the last read, as an elevator does. So
 * thousands of readers that come back at once with near cursors cost a few reads, and none starves. Where groups wait, for a walk or a read, their clients take turns
 * (catchup-turns.ts).
 *
 * A reader takes one step at a time, and the next only when its socket has room. A step that ends at the end of the
 * tail makes the reader live in the same turn of the event loop. So there is no seam between replay and live.
 */
export class Catchup {
  readonly #store: Store;
  readonly #tail: Tail;
  readonly #clock: Clock;
  readonly #storeClock: StoreClock;
  readonly #counters: Counters;
  readonly #logger: Logger;
  readonly #tailChunks: ChunkSource;
  readonly #backlogs = new Map<Group, Backlog>();
  /** Groups that wait for a walk through the tail, in order of arrival. */
  readonly #queue = new Set<Group>();
  /** Groups of the queue once one walk has no room for all of them: their clients take turns. */
  readonly #walkTurns: CatchupTurns;
  /** Groups that wait for a read of the log: their clients take turns. */
  readonly #readTurns: CatchupTurns;
  readonly #walkSize = new WalkSize();
  /** Where the next walk through the tail begins. */
  readonly #elevator = new Elevator();
  #isScheduled = false;
  #reads = 0;
  /** Whether the last read failed: the log says that once, not for each group and attempt. */
  #hasFailed = false;
  #isStopped = false;

  constructor({ store, tail, clock, storeClock, counters, logger }: CatchupDependencies) {
    this.#store = store;
    this.#tail = tail;
    this.#clock = clock;
    this.#storeClock = storeClock;
    this.#counters = counters;
    this.#logger = logger;
    this.#tailChunks = tailChunks(tail);
    this.#walkTurns = new CatchupTurns(counters);
    this.#readTurns = new CatchupTurns(counters);
  }

  get readsUnderWay(): number {
    return this.#reads;
  }

  stop(): void {
    this.#isStopped = true;
  }

  /** Goes on with a reader: it was just opened, its socket has drained, or the tail has changed under it. */
  resume(reader: Reader): void {
    if (!canGoOn(reader)) return;
    this.#backlog(reader.group).readers.add(reader);
    this.#enqueue(reader.group);
  }

  /** Forgets a reader that was closed. */
  forget(reader: Reader): void {
    this.#backlogs.get(reader.group)?.readers.delete(reader);
    this.#tidy(reader.group);
  }

  #backlog(group: Group): Backlog {
    let backlog = this.#backlogs.get(group);
    if (backlog === undefined) this.#backlogs.set(group, (backlog = new Backlog()));
    return backlog;
  }

  #tidy(group: Group): void {
    if (this.#backlogs.get(group)?.isDone !== true) return;
    this.#backlogs.delete(group);
    this.#walkTurns.leave(group);
    this.#readTurns.leave(group);
  }

  #enqueue(group: Group): void {
    this.#queue.add(group);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled || this.#isStopped) return;
    this.#isScheduled = true;
    this.#clock.soon(() => {
      this.#isScheduled = false;
      this.#serveInTurn();
    });
  }

  #serveInTurn(): void {
    if (this.#isStopped) return;
    const until = this.#clock.monotonic() + CATCHUP_TURN_MS;
    while (this.#hasQueued) {
      this.#serveFromTail(this.#takeFromQueue(), until);
      if (this.#clock.monotonic() >= until) break;
    }
    if (this.#hasQueued) this.#schedule();
  }

  get #hasQueued(): boolean {
    return this.#queue.size > 0 || !this.#walkTurns.isEmpty;
  }

  /** The next group for a walk: in order of arrival, or by the turns of the clients. */
  #nextForWalk(): Group | undefined {
    const group = this.#walkTurns.isEmpty ? this.#queue.values().next().value : this.#walkTurns.next();
    if (group !== undefined) this.#queue.delete(group);
    return group;
  }

  /** Moves groups from the queue to the turns of their clients, where the next walk has no room for all. */
  #shareWalk(): void {
    if (this.#walkTurns.isEmpty && this.#fitsIntoWalk()) return;
    let groups = 0;
    for (const group of this.#queue) {
      if (++groups > WALK_TURN_MAX_ENTRIES) return;
      this.#queue.delete(group);
      const readers = firstOf(this.#backlogs.get(group)?.readers ?? []);
      // Only a group with readers comes up again.
      if (readers.length > 0) this.#walkTurns.wait(group, readers);
      else this.#tidy(group);
    }
  }

  #fitsIntoWalk(): boolean {
    let groups = 0;
    let names = 0;
    for (const group of this.#queue) {
      if (!this.#walkSize.hasRoom(groups++, names)) return false;
      names += namesIn(group);
    }
    return true;
  }

  /** Groups whose readers share a walk through the tail. The log is read for readers that are further behind. */
  #takeFromQueue(): NearReaders[] {
    const all: NearReaders[] = [];
    let names = 0;
    this.#shareWalk();
    for (let groups = 0; this.#walkSize.hasRoom(groups, names); groups++) {
      const group = this.#nextForWalk();
      if (group === undefined) break;
      const backlog = this.#backlogs.get(group);
      if (backlog === undefined) continue;
      const near: Reader[] = [];
      const far: Reader[] = [];
      for (const reader of backlog.readers) {
        if (!canGoOn(reader)) backlog.readers.delete(reader);
        else if (this.#isNear(reader.cursorSeq)) near.push(reader);
        else far.push(reader);
      }
      if (far.length > 0) this.#serveFromLog(group, backlog, far);
      if (near.length === 0) this.#tidy(group);
      else {
        all.push({ group, backlog, readers: near });
        names += namesIn(group);
      }
    }
    return all;
  }

  #serveFromTail(near: readonly NearReaders[], until: number): void {
    if (near.length === 0) return;
    const readers = near.flatMap((one) => one.readers);
    const log = this.#tail.log!;
    for (const reader of readers) {
      const at = reader.position();
      if (!log.lineage.isGood(at)) reader.gap(this.#tail.locate(at, log));
    }
    const from = this.#elevator.next(readers, this.#tail.last);
    const reached = this.#isNear(from) ? this.#walk(near, from, until) : 0;
    // Groups that this turn did not reach come first in the next one. So a group that always has readers keeps no other waiting.
    for (const { group, backlog } of [...near.slice(reached), ...near.slice(0, reached)]) {
      if (backlog.readers.size > 0) this.#enqueue(group);
      this.#tidy(group);
    }
  }

  /** Returns how many groups were reached before the time was up. */
  #walk(near: readonly NearReaders[], from: number, until: number): number {
    const { shares, matches, end } = walk(near, this.#tail.after(from, () => true, Infinity));
    this.#walkSize.learn(matches);
    this.#elevator.moveTo(end.seq);
    const now = this.#storeClock.now();
    let served = 0;
    for (const [index, share] of shares.entries()) {
      const steps = new Steps({ messages: share.messages, now, chunkOf: this.#tailChunks });
      for (const reader of share.readers) {
        if (!this.#serve(reader, share, steps, from)) continue;
        if (++served % LOOK_EVERY_READERS !== 0 || this.#clock.monotonic() < until) continue;
        // The next turn begins with the readers of this stretch that were not served.
        this.#elevator.moveTo(from);
        return index + 1;
      }
    }
    return shares.length;
  }

  /** Returns whether the walk covered the reader's cursor. Otherwise another walk serves the reader. */
  #serve(reader: Reader, { backlog, messages, end }: Share, steps: Steps, from: number): boolean {
    const isEnd = end.seq === this.#tail.last;
    if (reader.cursorSeq < from || (reader.cursorSeq >= end.seq && !isEnd)) return false;
    backlog.readers.delete(reader);
    const step = steps.after(reader.cursorSeq);
    reader.catchUp(step.bundle, step.isLast ? end : messages[step.end - 1]!);
    if (step.isLast && isEnd) reader.goLive();
    this.#keepIfBehind(reader, backlog);
    return true;
  }

  #isNear(seq: number): boolean {
    return this.#tail.covers(seq) && seq >= this.#tail.last - NEAR_TAIL_MESSAGES;
  }

  #keepIfBehind(reader: Reader, backlog: Backlog): void {
    if (canGoOn(reader)) backlog.readers.add(reader);
  }

  #serveFromLog(group: Group, backlog: Backlog, readers: readonly Reader[]): void {
    if (backlog.isReading) return;
    if (this.#reads >= CATCHUP_READS || !this.#readTurns.isEmpty) this.#readTurns.wait(group, readers);
    else void this.#read(group, backlog, nextPlace(readers, group.readUpTo));
  }

  /** Begins the reads that there are places for. */
  #readNext(): void {
    while (this.#reads < CATCHUP_READS) {
      const group = this.#readTurns.next();
      if (group === undefined) return;
      const backlog = this.#backlogs.get(group)!;
      const readers = [...backlog.readers].filter((reader) => canGoOn(reader) && !this.#isNear(reader.cursorSeq));
      if (readers.length > 0) void this.#read(group, backlog, nextPlace(readers, group.readUpTo));
    }
  }

  async #read(group: Group, backlog: Backlog, after: number): Promise<void> {
    backlog.isReading = true;
    this.#reads++;
    let page: Page | undefined;
    try {
      page = await this.#tail.ask(() => this.#store.read({ after, filter: group.filter, limit: STEP_MESSAGES, maxBytes: STEP_BYTES }));
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      if (!this.#hasFailed) this.#logger.warn({ err: error }, 'the log cannot be read for streams that are behind; they wait');
      this.#hasFailed = true;
    } finally {
      backlog.isReading = false;
      this.#reads--;
    }
    if (this.#isStopped) return;
    this.#readNext();
    if (page === undefined) {
      this.#clock.after(CATCHUP_RETRY_MS, () => this.#enqueue(group));
      return;
    }
    this.#hasFailed = false;
    this.#distribute(group, backlog, after, page);
    if (page.scanned <= after && !this.#isNear(after)) this.#waitForTail(group, page.log);
    else if (backlog.readers.size > 0) this.#enqueue(group);
    this.#tidy(group);
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
      this.#keepIfBehind(reader, backlog);
    }
  }

  /** The tail has numbers beyond the head of the log: it must look again, and the group waits for that. */
  #waitForTail(group: Group, log: LogState): void {
    this.#logger.warn({ tail: this.#tail.last, head: log.head }, 'the log ends before the tail');
    void this.#tail.look();
    this.#clock.after(CATCHUP_RETRY_MS, () => this.#enqueue(group));
  }
}

/** A reader in a backlog may have been dismissed meanwhile, or a heartbeat may have filled its socket. */
function canGoOn(reader: Reader): boolean {
  return reader.state === 'behind';
}

function namesIn({ filter: { topics, patterns } }: Group): number {
  return topics.length + patterns.length;
}

function firstOf(readers: Iterable<Reader>): Reader[] {
  const first: Reader[] = [];
  for (const reader of readers) if (first.push(reader) === WALK_TURN_READERS) break;
  return first;
}
