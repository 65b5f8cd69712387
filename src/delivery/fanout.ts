import type { KnownErasure } from '../log/known-erasures.ts';
import type { Named } from '../log/recent-messages.ts';
import type { TailListener } from '../log/tail-listener.ts';
import type { Tail } from '../log/tail.ts';
import type { Message } from '../model/message.ts';
import type { Position } from '../model/position.ts';
import type { Clock, Timer } from '../runtime/clock.ts';
import type { Counters } from '../runtime/counters.ts';
import type { Audience } from './audience.ts';
import type { Catchup } from './catchup.ts';
import { tailChunks } from './chunk-cache.ts';
import { ErasureNews } from './erasure-news.ts';
import { Sweep, WRITE_BYTES, type SweepDependencies } from './fanout-sweep.ts';
import type { Group } from './reader-group.ts';
import type { Reader } from './reader.ts';
import { restAfter } from './write-coalescing.ts';

/** Bounds what is pending for all groups together, and so how long messages are held that the tail has let go. So much may be in a sweep besides. Bytes of data. */
const PENDING_BYTES = 1024 * 1024;

/** How many readers get news of erasures between two looks at the clock. */
const TELL_LOOK_EVERY_READERS = 16;
/** How often a message may be pending, once for each group that wants it. Stops many small messages, which many groups want, from filling the memory with the lists of those groups. */
const PENDING_MAX_ENTRIES = 4 * 1024 * 1024;

/** How long readers are written to before the event loop goes on with other things. It bounds how long a publisher waits for a sweep. */
const SWEEP_PART_MS = 4;

export interface FanoutDependencies extends Omit<SweepDependencies, 'chunkOf'> {
  readonly catchup: Catchup;
  readonly counters: Pick<Counters, 'deliveryMilliseconds'>;
}

/**
 * Delivers new messages to the readers that are live.
 *
 * The cost of delivery is in the writes to sockets, hardly in the messages. So each message becomes pending for the groups that want it, and
 * from time to time a sweep makes one buffer of what is pending for a group and writes that to every reader of it. Nothing is done per reader and
 * message.
 *
 * A sweep begins at the end of the turn of the event loop in which a message came, unless a rest is under way. A rest follows each sweep, and is
 * measured by what the sweep took (write-coalescing.ts). Each message that shares a write makes the next rest longer, until little of the time is
 * spent on sweeps, whatever is published. A rest of fixed length would delay messages needlessly with few readers, and be too short with many.
 *
 * Much that is pending is written at once, for as long as a part may take. Catch-up takes what comes faster than that, in turns of
 * its own: the readers of a group with too much pending fall behind. So no turn of the event loop grows with what is published and how many read it.
 *
 * Long sweeps are taken in parts. So a live reader is at the end of the tail only while nothing is pending for its group and no sweep is in it:
 * `Group.isWaiting` says so. Code that would write anything else to a reader asks it, or calls `flush` first. So nothing overtakes a
 * message (invariant 4).
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
  /** Until when what has become much may be written in this turn of the event loop; undefined before the first time. */
  #writesUntil: number | undefined;
  /** While the next turn waits for the end of a rest. */
  #rest: Timer | undefined;

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

  /** A sweep does not write the pending messages of a group: catch-up goes on with its readers, each from its own cursor. */
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

  /** Those too that a sweep has yet to reach. */
  #leaveAllToCatchup(): void {
    for (const group of this.#audience.groups) this.#leaveToCatchup(group);
    this.#pendingGroups.clear();
    this.#pendingEntries = 0;
    this.#pendingBytes = 0;
  }

  /** Sweeps pending messages, one part in each turn of the event loop. The rest goes on at the end of the turn, without a pause. */
  #writeNow(): void {
    if (!this.#writeUntil(this.#turnsEnd())) this.#endRest();
  }

  /** Until when may be written in this turn of the event loop otherwise than by a sweep of its own. */
  #turnsEnd(): number {
    if (this.#writesUntil !== undefined) return this.#writesUntil;
    this.#writesUntil = this.#clock.monotonic() + SWEEP_PART_MS;
    this.#clock.soon(() => {
      this.#writesUntil = undefined;
    });
    return this.#writesUntil;
  }

  /** Returns whether everything that is pending was written before the time was up. */
  #writeUntil(until: number): boolean {
    while (this.#sweep !== undefined || this.#pendingGroups.size > 0) {
      const left = until - this.#clock.monotonic();
      if (left <= 0) return false;
      if (this.#sweep === undefined) this.#begin();
      this.#goOn(left);
    }
    return true;
  }

  /** Afterwards no group is waiting: what cannot be written in this turn is left to catch-up. */
  #settle(until: number): void {
    if (this.#writeUntil(until)) return;
    this.#leaveAllToCatchup();
    this.#sweep = undefined;
  }

  #endRest(): void {
    this.#restUntil = 0;
    if (this.#rest !== undefined) {
      this.#rest.cancel();
      this.#rest = undefined;
      this.#isScheduled = false;
    }
    this.#schedule();
  }

  /** Writes everything that is pending, at once. For thousands of streams that takes up to 100 ms. */
  flush(): void {
    this.#writeUntil(Infinity);
  }

  /** Writes pending messages for one part of a sweep. A group that it does not reach is still waiting. */
  writeSome(): void {
    this.#writeNow();
  }

  /** Up to where a reader was written, also while its group is waiting. */
  placeOf(reader: Reader): Position {
    const { group } = reader;
    const [first] = group.pending.messages;
    const end = this.#sweep?.startOf(group) ?? (first === undefined ? this.#tail.position : this.#tail.log!.lineage.at(first.seq - 1));
    return reader.position(end);
  }

  /** Ends a reader's being live at its cursor: it leaves its group and the messages pending there. */
  setAside(reader: Reader): void {
    reader.leaveBehind(this.placeOf(reader));
  }

  /** A reader has left its group, and was told so. That may have filled its socket, which may hold messages of the group still. */
  moved(reader: Reader): void {
    if (reader.isFull) this.#moved.add(reader);
  }

  /** The socket of a reader has drained, or is gone. */
  forget(reader: Reader): void {
    this.#moved.delete(reader);
  }

  moveEnd(change: () => void): void {
    this.#settle(this.#turnsEnd());
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
    // Every live reader's place is known then, and nothing overtakes a message (invariant 4).
    const until = this.#turnsEnd();
    this.#settle(until);
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
        if (told++ % TELL_LOOK_EVERY_READERS === 0) isOver ||= this.#clock.monotonic() >= until;
        if (isOver) this.#tellLater(reader, news);
        else reader.tellErased(news);
      }
    }
  }

  #tellLater(reader: Reader, news: ErasureNews): void {
    reader.tellErasedLater(news);
    this.#catchup.resume(reader);
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    const rest = this.#sweep === undefined ? this.#restUntil - this.#clock.monotonic() : 0;
    if (rest > 0) this.#rest = this.#clock.after(Math.ceil(rest), this.#turn);
    else this.#clock.soon(this.#turn);
  }

  readonly #turn = (): void => {
    this.#isScheduled = false;
    this.#rest = undefined;
    if (this.#sweep === undefined && this.#pendingGroups.size > 0) {
      // A flush may have come in between, and a new rest with it.
      if (this.#clock.monotonic() < this.#restUntil) return this.#schedule();
      this.#begin();
    }
    if (this.#sweep !== undefined) this.#goOn(SWEEP_PART_MS);
    if (this.#sweep !== undefined || this.#pendingGroups.size > 0) this.#schedule();
  };

  #begin(): void {
    this.#sweep = new Sweep([...this.#pendingGroups], this.#sweepDependencies);
    this.#pendingGroups.clear();
    this.#pendingEntries = 0;
    this.#pendingBytes = 0;
  }

  #goOn(milliseconds: number): void {
    const sweep = this.#sweep!;
    if (!sweep.goOn(milliseconds)) return;
    this.#sweep = undefined;
    // A message's time never decreases along the log, so it may be ahead of the clock.
    if (sweep.oldestTime < Infinity) this.#counters.deliveryMilliseconds.observe(Math.max(0, this.#sweepDependencies.storeClock.now() - sweep.oldestTime));
    this.#restUntil = this.#clock.monotonic() + restAfter(sweep);
  }
}
