import type { StoreClock } from '../../log/tail/store-clock.ts';
import type { Tail } from '../../log/tail/tail.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Counters } from '../../runtime/counters.ts';
import type { Logger } from '../../runtime/logging/logger.ts';
import type { Store } from '../../store/store.ts';
import { Backlog, canGoOn, Elevator, isNear } from './catchup-backlog.ts';
import { CatchupReads } from './catchup-reads.ts';
import { Steps } from './catchup-steps.ts';
import { CatchupTurns } from './catchup-turns.ts';
import { walk, WalkSize, type NearReaders, type Share } from './catchup-walk.ts';
import { tailChunks, type ChunkSource } from '../frames/chunk-cache.ts';
import type { Group } from '../reader/reader-group.ts';
import type { Reader } from '../reader/reader.ts';

/**
 * This room serves readers that are not live. Readers come in with their positions; their frames go out in bounded steps, from the tail or from the log,
 * until they are live. Readers at one position share one read. Clients take turns.
 */

/** How long readers are served before the event loop goes on with other things. */
const CATCHUP_TURN_MS = 8;
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
  /** Groups of the queue once one walk has no room for all of them: their clients take turns. */
  readonly #walkTurns: CatchupTurns;
  /** Serves readers that are far behind. */
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
    this.#reads = new CatchupReads({ store, tail, clock, storeClock, counters, logger, backlogOf: (group) => this.#backlogs.get(group), goOn: (group) => this.#goOn(group) });
  }

  stop(): void {
    this.#isStopped = true;
    this.#reads.stop();
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
    this.#reads.leave(group);
  }

  /** Serves those of its readers that are still behind, and forgets a group without any. */
  #goOn(group: Group): void {
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
    const reached = isNear(this.#tail, from) ? this.#walk(near, from, until) : 0;
    // Readers left over by this turn come first in the next one: a group that always has readers to serve keeps no other waiting.
    for (const { group } of [...near.slice(reached), ...near.slice(0, reached)]) this.#goOn(group);
  }

  /** Returns how many groups were reached before the time was up. */
  #walk(near: readonly NearReaders[], from: number, until: number): number {
    const { shares, matches, end } = walk(near, this.#tail, from);
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
    backlog.goOn(reader);
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
