import type { StoreClock } from '../../log/tail/store-clock.ts';
import type { Tail } from '../../log/tail/tail.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Counters } from '../../runtime/counters.ts';
import type { Logger } from '../../runtime/logging/logger.ts';
import type { Store } from '../../store/store.ts';
import { Backlog, isWritable, Elevator, isNear } from './catchup-backlog.ts';
import { CatchupReads } from './catchup-reads.ts';
import { Steps } from './catchup-steps.ts';
import { CatchupTurns } from './catchup-turns.ts';
import { walk, WalkSize, type NearReaders, type WalkShare } from './catchup-walk.ts';
import { tailChunks, type ChunkSource } from '../frames/chunk-cache.ts';
import type { Group } from '../reader/reader-group.ts';
import type { Reader } from '../reader/reader.ts';

/**
 * This room serves readers that are not live. Readers come in with their cursors. Bundles of messages go out to them in bounded steps, from the tail or from the log,
 * until they are live. Readers of a group with close cursors share one read. Clients take turns.
 *
 * Read this file first, then the state of a group (`catchup-backlog.ts`), the shared walk through the tail (`catchup-walk.ts`), reads of the log
 * (`catchup-reads.ts`), and last the steps and turns of both (`catchup-steps.ts`, `catchup-turns.ts`).
 */

/** How long catch-up serves readers in one turn of the event loop. Stops it from delaying publishers and live readers. */
const CATCHUP_TURN_MS = 8;
/** At most this many groups move from the queue to `#walkTurns` before a walk. Stops a storm of streams from making one turn of the event loop long. */
const WALK_TURN_MAX_ENTRIES = 1_024;
/** `CatchupTurns` looks at no more than this many readers of a group to find its clients. Stops a group of thousands from costing much. */
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
 * A reader whose cursor is in the newer part of the tail is served from memory, by a walk that many groups share (catchup-walk.ts). For the others the
 * log is read (catchup-reads.ts).
 *
 * A reader takes one step at a time, and the next only when its socket has room. A step that ends at the end of the
 * tail makes the reader live in the same turn of the event loop. So there is no seam between replay and live.
 */
export class Catchup {
  readonly #tail: Tail;
  readonly #clock: Clock;
  readonly #storeClock: StoreClock;
  readonly #tailChunks: ChunkSource;
  readonly #backlogs = new Map<Group, Backlog>();
  /** Groups that wait for a walk through the tail, in order of arrival. */
  readonly #queue = new Set<Group>();
  /** If one walk cannot hold all queued groups, they wait here, and their clients take turns. */
  readonly #walkTurns: CatchupTurns;
  /** Serves readers that the tail does not serve (`isNear`). */
  readonly #reads: CatchupReads;
  readonly #walkSize = new WalkSize();
  /** Where the next walk through the tail begins. */
  readonly #elevator = new Elevator();
  #isScheduled = false;
  #isStopped = false;

  constructor({ store, tail, clock, storeClock, counters, logger }: CatchupDependencies) {
    this.#tail = tail;
    this.#clock = clock;
    this.#storeClock = storeClock;
    this.#tailChunks = tailChunks(tail);
    this.#walkTurns = new CatchupTurns(counters);
    this.#reads = new CatchupReads({ store, tail, clock, storeClock, counters, logger, backlogOf: (group) => this.#backlogs.get(group), requeue: (group) => this.#requeue(group) });
  }

  stop(): void {
    this.#isStopped = true;
    this.#reads.stop();
  }

  /** Queues a reader if it is behind and its socket has room. Call it after the reader was opened, has drained, has changed its group, or has fallen behind. */
  resume(reader: Reader): void {
    if (!isWritable(reader)) return;
    this.#backlog(reader.group).readers.add(reader);
    this.#enqueue(reader.group);
  }

  /** Drops a reader that was closed or leaves its group. */
  forget(reader: Reader): void {
    this.#backlogs.get(reader.group)?.readers.delete(reader);
    this.#tidy(reader.group);
  }

  #backlog(group: Group): Backlog {
    let backlog = this.#backlogs.get(group);
    if (backlog === undefined) this.#backlogs.set(group, (backlog = new Backlog()));
    return backlog;
  }

  /** Forgets a group for which there is nothing to do. */
  #tidy(group: Group): void {
    if (this.#backlogs.get(group)?.isDone !== true) return;
    this.#backlogs.delete(group);
    this.#walkTurns.leave(group);
    this.#reads.leave(group);
  }

  /** Queues the group again if it has readers that are behind; otherwise forgets it. */
  #requeue(group: Group): void {
    const backlog = this.#backlogs.get(group);
    if (backlog !== undefined && backlog.readers.size > 0) this.#enqueue(group);
    this.#tidy(group);
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

  /** Removes and returns the next group for a walk: in order of arrival, or by the turns of the clients. */
  #nextForWalk(): Group | undefined {
    const group = this.#walkTurns.isEmpty ? this.#queue.values().next().value : this.#walkTurns.next();
    if (group !== undefined) this.#queue.delete(group);
    return group;
  }

  /** Moves groups from the queue to the turns of their clients, if the next walk has no room for all of them. */
  #shareWalk(): void {
    if (this.#walkTurns.isEmpty && this.#fitsIntoWalk()) return;
    let groups = 0;
    for (const group of this.#queue) {
      if (++groups > WALK_TURN_MAX_ENTRIES) return;
      this.#queue.delete(group);
      const readers = firstOf(this.#backlogs.get(group)?.readers ?? []);
      // A group without readers has no client to wait under, so `next()` would never return it.
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

  /** Takes the groups of the next walk, with their readers that the tail serves. Begins reads of the log for their other readers. */
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
        if (!isWritable(reader)) backlog.readers.delete(reader);
        else if (isNear(this.#tail, reader.cursorSeq)) near.push(reader);
        else far.push(reader);
      }
      if (far.length > 0) this.#reads.serve(group, backlog, far);
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
    // A gap can move a cursor back to where the logs part, before the part of the tail that serves readers. Then no walk: the requeued reader gets a read of the log.
    const reachedGroups = isNear(this.#tail, from) ? this.#walk(near, from, until) : 0;
    // Queue the groups that this walk did not reach before those it did. So one busy group cannot starve the others.
    for (const { group } of [...near.slice(reachedGroups), ...near.slice(0, reachedGroups)]) this.#requeue(group);
  }

  /**
   * Walks through the tail after the number `from`, and serves the readers whose cursors the walk covers.
   * @returns How many groups it reached before the time was up. It may have served only a part of the last one's readers.
   */
  #walk(near: readonly NearReaders[], from: number, until: number): number {
    const { shares, matches, end } = walk(near, this.#tail, from);
    this.#walkSize.learn(matches);
    this.#elevator.moveTo(end.seq);
    const now = this.#storeClock.now();
    let servedReaders = 0;
    for (const [index, share] of shares.entries()) {
      const steps = new Steps({ messages: share.messages, now, chunkOf: this.#tailChunks });
      for (const reader of share.readers) {
        if (!this.#serve(reader, share, steps, from)) continue;
        if (++servedReaders % LOOK_EVERY_READERS !== 0 || this.#clock.monotonic() < until) continue;
        // Time is up: walk this stretch again next, for its readers that were not served.
        this.#elevator.moveTo(from);
        return index + 1;
      }
    }
    return shares.length;
  }

  /**
   * Takes one step with a reader, if the walk covers its cursor; otherwise another walk serves the reader. After a walk from 100 to 600:
   *
   *   cursor 80   not covered: its messages 81 to 100 are missing here
   *   cursor 300  gets a step of the messages after 300
   *   cursor 600  not covered, because the walk has nothing after 600; but covered, and live, if the tail ends at 600
   * @returns Whether the walk covered the cursor
   */
  #serve(reader: Reader, { backlog, messages, end }: WalkShare, steps: Steps, from: number): boolean {
    const isEnd = end.seq === this.#tail.last;
    if (reader.cursorSeq < from || (reader.cursorSeq >= end.seq && !isEnd)) return false;
    backlog.readers.delete(reader);
    const step = steps.after(reader.cursorSeq);
    const stepEnd = step.isLast ? end : messages[step.end - 1]!;
    reader.catchUp(step.bundle, stepEnd);
    if (step.isLast && isEnd) reader.goLive();
    backlog.putBack(reader);
    return true;
  }
}

function namesIn({ filter: { topics, patterns } }: Group): number {
  return topics.length + patterns.length;
}

function firstOf(readers: Iterable<Reader>): Reader[] {
  const first: Reader[] = [];
  for (const reader of readers) if (first.push(reader) === WALK_TURN_READERS) break;
  return first;
}
