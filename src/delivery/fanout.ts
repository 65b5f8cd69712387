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

/**
 * The most pending messages of all groups together, in bytes of data. At this bound a sweep begins at once; at twice the bound, catch-up takes over. Stops pending messages
 * from keeping messages in memory long after the tail has dropped them. The current sweep may keep as much again.
 */
const PENDING_BYTES = 1024 * 1024;
/** The most entries in the pending lists of all groups. Stops small messages that many groups want from filling the memory with list entries. */
const PENDING_MAX_ENTRIES = 4 * 1024 * 1024;

/** How long one turn of the event loop writes to readers. Bounds how long a publisher waits for a sweep. */
const SWEEP_PART_MS = 4;

/** How many readers get an announcement of erasures between two looks at the clock. */
const TELL_LOOK_EVERY_READERS = 16;

export interface FanoutDependencies extends Omit<SweepDependencies, 'chunkOf'> {
  readonly catchup: Catchup;
  readonly counters: Pick<Counters, 'deliveryMilliseconds'>;
}

/**
 * Delivers new messages to the readers that are live.
 *
 * Writes to sockets cost much more than messages. So each message first becomes pending for the groups that want it. Then a sweep makes one buffer of a group's
 * pending messages, and writes it to each of the group's readers. No work is done per reader and message.
 *
 *   append ─► pending ─ sweep ─────────► one write to each live reader       the usual way
 *                     ─ leaveToCatchup ► the group's readers fall behind     too much is pending
 *
 * When a sweep begins:
 * - At the end of the turn of the event loop in which a message came, unless a rest is under way.
 * - After the rest. A rest follows each sweep. It grows with the sweep's duration and with the number of messages in each write (write-coalescing.ts). A rest of
 *   fixed length would delay messages needlessly with few readers, and be too short with many.
 * - At once if much is pending (`#writeNow`). All such urgent writes of one turn of the event loop share `SWEEP_PART_MS`.
 *
 * A long sweep runs in parts of `SWEEP_PART_MS`. If messages come faster than the sweeps write them, the readers of the largest groups fall behind. So no turn of the
 * event loop grows with the messages and their readers.
 *
 * `Group.isWaiting` is true while messages are pending for a group, or a sweep is in it: some of its live readers may not be at the end of the tail. Before code writes
 * anything with a position to a reader, it checks that, or calls `flush`. So nothing overtakes a message (invariant 4).
 */
export class Fanout implements TailListener {
  readonly #tail: Tail;
  readonly #audience: Audience;
  readonly #catchup: Catchup;
  readonly #clock: Clock;
  readonly #counters: Pick<Counters, 'deliveryMilliseconds'>;
  readonly #sweepDependencies: SweepDependencies;
  /** Readers whose full sockets may contain messages of a group that they have left. They need announcements of erasures in that group, too. */
  readonly #withOldMessages = new Set<Reader>();
  /** Groups for which messages are pending. */
  #pendingGroups = new Set<Group>();
  #pendingBytes = 0;
  #pendingEntries = 0;
  #sweep: Sweep | undefined;
  /** When the rest after the last sweep ends, by the monotonic clock. Milliseconds. */
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
      // A flush may have run before this turn, and begun a new rest.
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

  /** Writes pending messages without waiting for the end of a rest, until the deadline of this turn. The next turns of the event loop write the others. */
  #writeNow(): void {
    if (!this.#writeUntil(this.#deadlineOfTurn())) this.#endRest();
  }

  /** The deadline that all urgent writes of one turn of the event loop share. The first urgent write sets it. */
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

  /** Writes pending messages until a deadline, and leaves the others to catch-up. Afterwards no group is waiting. */
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

  /** Drops the pending messages of a group. Its readers fall behind, and catch-up serves each from its own cursor. */
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

  /** Goes through all groups, and not only `#pendingGroups`, which lacks the groups that the current sweep has not reached yet. */
  #leaveAllToCatchup(): void {
    for (const group of this.#audience.groups) this.#leaveToCatchup(group);
    this.#pendingGroups.clear();
    this.#pendingEntries = 0;
    this.#pendingBytes = 0;
  }

  /** Writes all pending messages in this turn of the event loop. For thousands of streams that takes up to 100 ms. */
  flush(): void {
    this.#writeUntil(Infinity);
  }

  /** Writes pending messages for at most `SWEEP_PART_MS`. A group that it does not reach is still waiting. */
  writeSome(): void {
    this.#writeNow();
  }

  /** The position up to which the reader got all its messages. Right even while its group is waiting, unlike `reader.position()`. */
  positionOf(reader: Reader): Position {
    const { group } = reader;
    const [first] = group.pending.messages;
    const end = this.#sweep?.startOf(group) ?? (first === undefined ? this.#tail.position : this.#tail.log!.lineage.at(first.seq - 1));
    return reader.position(end);
  }

  /** Makes a live reader fall behind at its true position. Then it can leave its group and the messages pending there without losing any. */
  setAside(reader: Reader): void {
    reader.leaveBehind(this.positionOf(reader));
  }

  /** Call it when a reader has left its group. If its socket is full, it may still contain messages of that group. */
  leftGroup(reader: Reader): void {
    if (reader.isFull) this.#withOldMessages.add(reader);
  }

  /** Call it when the socket of a reader has drained or closed. */
  forget(reader: Reader): void {
    this.#withOldMessages.delete(reader);
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
    // After `#settle` no group is waiting. So each reader's position is known, and the announcement overtakes no message (invariant 4).
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
    for (const reader of this.#withOldMessages) reader.tellErased(new ErasureNews(erasures));
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
