import type { KnownErasure } from '../log/tail/known-erasures.ts';
import type { Named } from '../log/tail/recent-messages.ts';
import type { TailListener } from '../log/tail/tail-listener.ts';
import type { Tail } from '../log/tail/tail.ts';
import type { Message } from '../model/message.ts';
import type { Position } from '../model/position.ts';
import type { Clock, Timer } from '../runtime/clock.ts';
import type { Counters } from '../runtime/counters.ts';
import type { Audience } from './audience.ts';
import type { Catchup } from './catchup/catchup.ts';
import { tailChunks } from './frames/chunk-cache.ts';
import { ErasureNews } from './frames/erasure-news.ts';
import { Sweep, WRITE_BYTES, type SweepDependencies } from './fanout-sweep.ts';
import type { Group } from './reader/reader-group.ts';
import type { Reader } from './reader/reader.ts';
import { restAfter } from './write-coalescing.ts';

/** Pending messages of all groups together: at this bound they are written at once, at twice the bound catch-up takes over. Stops them from outliving the tail for long. A sweep may hold as much again. Bytes of data. */
const PENDING_BYTES = 1024 * 1024;
/** Bounds the entries in the pending lists of all groups. Stops many small messages that many groups want from filling the memory. */
const PENDING_MAX_ENTRIES = 4 * 1024 * 1024;

/** How long one turn of the event loop writes to readers. Bounds how long a publisher waits for a sweep. */
const SWEEP_PART_MS = 4;

/** How many readers get news of erasures between two looks at the clock. */
const TELL_LOOK_EVERY_READERS = 16;

export interface FanoutDependencies extends Omit<SweepDependencies, 'chunkOf'> {
  readonly catchup: Catchup;
  readonly counters: Pick<Counters, 'deliveryMilliseconds'>;
}

/**
 * Delivers new messages to the readers that are live.
 *
 * The cost of delivery is in the writes to sockets, hardly in the messages. So each message becomes pending for the groups that want it.
 * From time to time a sweep makes one buffer of a group's pending messages and writes it to each of its readers. No work is done per reader and
 * message.
 *
 * A sweep begins at the end of the turn of the event loop in which a message came, unless a rest is under way. A rest follows each sweep, and
 * depends on how long the sweep took (write-coalescing.ts). Each message that shares a write makes the next rest longer, until sweeps take
 * little of the time at any rate of publishing. A rest of fixed length would delay messages needlessly with few readers, and be too short with many.
 *
 * When much is pending, an urgent write does not wait for the end of the rest, and takes no longer than a part. When messages come faster than that,
 * the readers of a group with too many fall behind, and catch-up serves them. So no turn of the event loop grows with the messages and their readers.
 *
 * Long sweeps are taken in parts. `Group.isWaiting` is true while messages are pending for a group, or a sweep is in it: some of its live readers may not
 * be at the end of the tail. Code that writes anything else to a reader checks that first, or calls `flush`. So nothing overtakes a message (invariant 4).
 */
export class Fanout implements TailListener {
  readonly #tail: Tail;
  readonly #audience: Audience;
  readonly #catchup: Catchup;
  readonly #clock: Clock;
  readonly #counters: Pick<Counters, 'deliveryMilliseconds'>;
  readonly #sweepDependencies: SweepDependencies;
  /** Readers whose full sockets hold messages of a group that they have left: an erasure there concerns them. */
  readonly #moved = new Set<Reader>();
  /** Groups for which messages are pending. */
  #pendingGroups = new Set<Group>();
  #pendingBytes = 0;
  #pendingEntries = 0;
  #sweep: Sweep | undefined;
  /** When the rest after the last sweep is over. */
  #restUntil = 0;
  #isScheduled = false;
  /** When the urgent writes of this turn of the event loop must stop; undefined before the first of them. */
  #urgentDeadline: number | undefined;
  /** Runs while the next sweep waits for the end of a rest. */
  #restTimer: Timer | undefined;

  constructor({ tail, audience, catchup, clock, storeClock, counters }: FanoutDependencies) {
    this.#tail = tail;
    this.#audience = audience;
    this.#catchup = catchup;
    this.#clock = clock;
    this.#counters = counters;
    this.#sweepDependencies = { tail, audience, clock, storeClock, chunkOf: tailChunks(tail) };
  }

  append(seq: number, topic: string, message: () => Message): void {
    let wanted: Message | undefined;
    let isFull = false;
    let tooMuch: Group[] | undefined;
    this.#audience.match(topic, (group) => {
      const { pending } = group;
      wanted ??= message();
      group.firstUntold ??= seq;
      if (pending.bytes >= WRITE_BYTES) return void (tooMuch ??= []).push(group);
      if (!pending.hasMessages) this.#pendingGroups.add(group);
      pending.add(wanted);
      this.#pendingEntries++;
      isFull ||= pending.bytes >= WRITE_BYTES;
    });
    if (tooMuch !== undefined) for (const group of tooMuch) this.#leaveToCatchup(group);
    if (wanted === undefined) return;
    this.#pendingBytes += wanted.data.length;
    if (this.#pendingBytes >= 2 * PENDING_BYTES || this.#pendingEntries >= PENDING_MAX_ENTRIES) this.#leaveAllToCatchup();
    else if (isFull || this.#pendingBytes >= PENDING_BYTES) this.#writeNow();
    else this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    const rest = this.#sweep === undefined ? this.#restUntil - this.#clock.monotonic() : 0;
    if (rest > 0) this.#restTimer = this.#clock.after(Math.ceil(rest), this.#sweepTurn);
    else this.#clock.soon(this.#sweepTurn);
  }

  readonly #sweepTurn = (): void => {
    this.#isScheduled = false;
    this.#restTimer = undefined;
    if (this.#sweep === undefined && this.#pendingGroups.size > 0) {
      // A flush may have come in between, and a new rest with it.
      if (this.#clock.monotonic() < this.#restUntil) return this.#schedule();
      this.#beginSweep();
    }
    if (this.#sweep !== undefined) this.#continueSweep(SWEEP_PART_MS);
    if (this.#sweep !== undefined || this.#pendingGroups.size > 0) this.#schedule();
  };

  #beginSweep(): void {
    this.#sweep = new Sweep([...this.#pendingGroups], this.#sweepDependencies);
    this.#pendingGroups.clear();
    this.#pendingEntries = 0;
    this.#pendingBytes = 0;
  }

  #continueSweep(milliseconds: number): void {
    const sweep = this.#sweep!;
    if (!sweep.goOn(milliseconds)) return;
    this.#sweep = undefined;
    // A message's time never decreases along the log, so it may be ahead of the clock.
    if (sweep.oldestTime < Infinity) this.#counters.deliveryMilliseconds.observe(Math.max(0, this.#sweepDependencies.storeClock.now() - sweep.oldestTime));
    this.#restUntil = this.#clock.monotonic() + restAfter(sweep);
  }

  /** Writes pending messages without waiting for the end of a rest. The next turns of the event loop write what is left. */
  #writeNow(): void {
    if (!this.#writeUntil(this.#deadlineOfTurn())) this.#endRest();
  }

  /** Urgent writes of one turn of the event loop share this deadline. The first of them sets it. */
  #deadlineOfTurn(): number {
    if (this.#urgentDeadline !== undefined) return this.#urgentDeadline;
    this.#urgentDeadline = this.#clock.monotonic() + SWEEP_PART_MS;
    this.#clock.soon(() => {
      this.#urgentDeadline = undefined;
    });
    return this.#urgentDeadline;
  }

  /** Returns whether everything that is pending was written before the deadline. */
  #writeUntil(deadline: number): boolean {
    while (this.#sweep !== undefined || this.#pendingGroups.size > 0) {
      const leftMs = deadline - this.#clock.monotonic();
      if (leftMs <= 0) return false;
      if (this.#sweep === undefined) this.#beginSweep();
      this.#continueSweep(leftMs);
    }
    return true;
  }

  /** Writes until a deadline, and leaves the rest to catch-up. Afterwards no group is waiting. */
  #settle(deadline: number): void {
    if (this.#writeUntil(deadline)) return;
    this.#leaveAllToCatchup();
    this.#sweep = undefined;
  }

  #endRest(): void {
    this.#restUntil = 0;
    if (this.#restTimer !== undefined) {
      this.#restTimer.cancel();
      this.#restTimer = undefined;
      this.#isScheduled = false;
    }
    this.#schedule();
  }

  /** Gives up the pending messages of a group. Catch-up serves its readers, each from its own cursor. */
  #leaveToCatchup(group: Group): void {
    const { pending, readers } = group;
    if (!group.isWaiting) return;
    const [first] = pending.messages;
    this.#pendingGroups.delete(group);
    this.#sweep?.leave(group);
    if (first !== undefined) {
      const end = this.#tail.log!.lineage.at(first.seq - 1);
      for (const reader of readers) reader.leaveBehind(end);
      pending.clear();
    }
    for (const reader of readers) this.#catchup.resume(reader);
    group.wake();
    this.#audience.leave(group);
  }

  /** Includes groups that the current sweep has yet to reach. */
  #leaveAllToCatchup(): void {
    for (const group of this.#audience.groups) this.#leaveToCatchup(group);
    this.#pendingGroups.clear();
    this.#pendingEntries = 0;
    this.#pendingBytes = 0;
  }

  /** Writes everything that is pending, at once. For thousands of streams that takes up to 100 ms. */
  flush(): void {
    this.#writeUntil(Infinity);
  }

  /** Writes pending messages for one part of a sweep. A group that it does not reach is still waiting. */
  writeSome(): void {
    this.#writeNow();
  }

  /** Everything up to this position was written to the reader, also while its group is waiting. */
  positionOf(reader: Reader): Position {
    const { group } = reader;
    const [first] = group.pending.messages;
    const end = this.#sweep?.startOf(group) ?? (first === undefined ? this.#tail.position : this.#tail.log!.lineage.at(first.seq - 1));
    return reader.position(end);
  }

  /** Makes a live reader fall behind at its cursor, so that it can leave its group and the messages pending there. */
  setAside(reader: Reader): void {
    reader.leaveBehind(this.positionOf(reader));
  }

  /** A reader has left its group. Its socket may be full, and may still hold messages of the group. */
  leftGroup(reader: Reader): void {
    if (reader.isFull) this.#moved.add(reader);
  }

  /** The socket of a reader has drained, or is gone. */
  forget(reader: Reader): void {
    this.#moved.delete(reader);
  }

  moveEnd(change: () => void): void {
    this.#settle(this.#deadlineOfTurn());
    for (const group of this.#audience.groups) for (const reader of group.readers) reader.fallBehind();
    change();
    for (const group of this.#audience.groups) {
      for (const reader of group.readers) this.#catchup.resume(reader);
      group.wake();
      this.#audience.leave(group);
    }
  }

  epochAdded(): void {
    for (const group of this.#audience.groups) {
      for (const reader of group.readers) {
        // The tail judges its own end, and with it the readers there. A reader ahead of the tail is judged here: if the log was exchanged,
        // it would wait for sequence numbers that were reassigned.
        if (!reader.isLive || reader.cursorSeq <= this.#tail.last) continue;
        reader.fallBehind();
        this.#catchup.resume(reader);
      }
    }
  }

  erased(erasures: readonly KnownErasure[], isErased: (message: Named) => boolean): void {
    for (const group of this.#audience.groups) {
      for (const message of group.pending.messages) if (isErased(message)) message.erase();
    }
    this.#sweep?.erased(isErased);
    // Every live reader's position is known then, and nothing overtakes a message (invariant 4).
    const deadline = this.#deadlineOfTurn();
    this.#settle(deadline);
    const byGroup = new Map<Group, KnownErasure[]>();
    for (const erasure of erasures) {
      this.#audience.match(erasure.topic, (group) => {
        const known = byGroup.get(group);
        if (known === undefined) byGroup.set(group, [erasure]);
        else known.push(erasure);
      });
    }
    for (const reader of this.#moved) reader.tellErased(new ErasureNews(erasures));
    let told = 0;
    let isOver = false;
    for (const [group, known] of byGroup) {
      const news = new ErasureNews(known);
      for (const reader of group.readers) {
        if (told++ % TELL_LOOK_EVERY_READERS === 0) isOver ||= this.#clock.monotonic() >= deadline;
        if (isOver) this.#tellLater(reader, news);
        else reader.tellErased(news);
      }
    }
  }

  #tellLater(reader: Reader, news: ErasureNews): void {
    reader.tellErasedLater(news);
    this.#catchup.resume(reader);
  }
}
