import type { StoreClock } from '../log/store-clock.ts';
import type { Tail } from '../log/tail.ts';
import type { Message } from '../model/message.ts';
import type { Position } from '../model/position.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Counters } from '../runtime/counters.ts';
import type { Audience, Group } from './audience.ts';
import { Bundle, type Reader } from './reader.ts';

/** How many readers and groups are seen to between two looks at the clock, which cost little, but not nothing. */
const LOOK_EVERY = 64;

/**
 * Bounds what is written to one socket at once, and so what a socket that turns out to be full holds: of as many streams as there may be, whose
 * filters are all different, each may hold one. Larger writes cost no less. Bytes of data.
 */
export const WRITE_BYTES = 128 * 1024;

export interface SweepOptions {
  readonly tail: Tail;
  readonly audience: Audience;
  readonly clock: Clock;
  readonly storeClock: StoreClock;
  readonly counters: Counters;
}

/**
 * One walk through the live readers of some groups, which writes each of them what waits for its group.
 *
 * It can be taken in parts, with anything else between them: the tail may grow, readers may come, go, fall behind and catch up. Messages that come
 * between two parts are written to those whom the sweep has yet to come to together with what they were to get, and stay on their
 * group's list for the next sweep, which passes over who has them already. So a message is never later than by one sweep and one rest, and who
 * comes first in one sweep waits no longer than who comes last. What holds all the while is that each live reader has been written everything that its
 * group was up to one place: the end of the tail where this part, the last sweep, or its own replay left it.
 */
export class Sweep {
  readonly #with: SweepOptions;
  readonly #groups: readonly Group[];
  #next = 0;
  #part: Part | undefined;
  #seenTo = 0;
  #writes = 0;
  #delivered = 0;
  /** What its parts have taken together. Milliseconds. */
  cost = 0;

  constructor(groups: readonly Group[], options: SweepOptions) {
    this.#groups = groups;
    this.#with = options;
  }

  /** How many messages have shared a write, on average. */
  get shared(): number {
    return this.#writes === 0 ? 0 : this.#delivered / this.#writes;
  }

  /** Goes on for so many milliseconds at most; whether it has come to its end. */
  goOn(milliseconds: number): boolean {
    const { clock } = this.#with;
    const began = clock.monotonic();
    const isDone = this.#writeUntil(began + milliseconds);
    this.cost += clock.monotonic() - began;
    return isDone;
  }

  #writeUntil(until: number): boolean {
    const now = this.#with.storeClock.now();
    this.#part?.renew(now);
    for (;;) {
      this.#part ??= this.#nextPart(now);
      if (this.#part === undefined) return true;
      if (!this.#write(this.#part, until)) return false;
      this.#leave(this.#part.group);
      this.#part = undefined;
      if (this.#isOver(until)) return false;
    }
  }

  #nextPart(now: number): Part | undefined {
    const group = this.#groups[this.#next++];
    return group === undefined ? undefined : new Part(group, this.#with.tail, now);
  }

  /** Writes to the readers that this group still has to come to; false when the time is up. */
  #write(part: Part, until: number): boolean {
    // A Set's iterator goes on where it stopped, passes over who has left meanwhile, and comes to who has joined.
    for (const reader of part.readers) {
      if (reader.live) this.#deliver(reader, part);
      if (this.#isOver(until)) return false;
    }
    return true;
  }

  #deliver(reader: Reader, part: Part): void {
    const bundle = part.bundleFor(reader.seq);
    reader.deliver(bundle);
    if (bundle.last !== undefined) this.#writes++;
    this.#delivered += bundle.messages.length;
    if (reader.isBlocked) this.#leaveBehind(reader, part.end);
    // The next sweep has to know who has been written what is still on the list.
    else if (part.isAhead && reader.seq < part.end.seq) reader.moveTo(part.end);
  }

  #isOver(until: number): boolean {
    return ++this.#seenTo % LOOK_EVERY === 0 && this.#with.clock.monotonic() >= until;
  }

  #leaveBehind(reader: Reader, end: Position): void {
    reader.fallBehind(end);
    this.#with.counters.fellBehind++;
  }

  #leave(group: Group): void {
    group.isSwept = false;
    group.wake();
    this.#with.audience.leave(group);
  }
}

/** A group in a sweep: what its readers are written, and those that the sweep has yet to come to. */
class Part {
  readonly group: Group;
  readonly readers: SetIterator<Reader>;
  /** Where a reader is that was written the bundle. The tail may be further by now. */
  end: Position;
  readonly #tail: Tail;
  #bundle: Bundle;
  #bytes: number;
  /** How many of the group's list are in the bundle. */
  #joined = 0;
  /** What is left of it for readers ahead of its beginning; those who came together stand together. */
  #rest: Bundle | undefined;
  #restAfter = 0;

  constructor(group: Group, tail: Tail, now: number) {
    this.group = group;
    this.#tail = tail;
    this.#bytes = group.bytes;
    this.#bundle = this.#bundleOf(group.take(), now);
    this.readers = group.readers.values();
    this.end = tail.position;
    group.isSwept = true;
  }

  /** Whether the bundle has messages that are still on the group's list. */
  get isAhead(): boolean {
    return this.#joined > 0;
  }

  /** Takes in what came since the last part, and out what has expired: it was begun for others, but not for those who are still to come. */
  renew(now: number): void {
    const { messages } = this.#bundle;
    const came = this.#bytes + this.group.bytes <= WRITE_BYTES ? this.group.messages.slice(this.#joined) : [];
    if (came.length === 0 && !messages.some((message) => message.isExpired(now))) return;
    this.#bundle = this.#bundleOf([...messages, ...came], now);
    this.#rest = undefined;
    if (came.length === 0) return;
    this.#joined += came.length;
    this.end = this.#tail.position;
  }

  #bundleOf(messages: readonly Message[], now: number): Bundle {
    return new Bundle(messages.filter((message) => !message.isExpired(now)), this.#tail.frame);
  }

  /** What a reader at a number has not been written. It may be ahead: of the last sweep, or it read the log, or came from another instance (invariant 4). */
  bundleFor(seq: number): Bundle {
    const { messages } = this.#bundle;
    if (messages.length === 0 || seq < messages[0]!.seq) return this.#bundle;
    if (this.#rest === undefined || this.#restAfter !== seq) {
      this.#rest = new Bundle(messages.filter((message) => message.seq > seq), this.#tail.frame);
      this.#restAfter = seq;
    }
    return this.#rest;
  }
}
