import type { Audience, Group } from './audience.ts';
import type { Clock, StoreClock } from './clock.ts';
import type { Counters } from './counters.ts';
import type { Position } from './cursor.ts';
import { Bundle, type Reader } from './reader.ts';
import type { Tail } from './tail.ts';

/** How many readers and groups are seen to between two looks at the clock, which cost little, but not nothing. */
const LOOK_EVERY = 64;

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
 * It can be taken in parts, with anything else between them: the tail may grow, readers may come, go, fall behind and catch up. What holds all the
 * while is that each reader is at one of two places, which are those before and behind the messages of its group's list; and that
 * messages which come between two parts go onto a new list, which the next sweep takes.
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
    this.#part?.expire(now);
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
  /** Where a reader is that was written the bundle. The tail may be further by now: what came since waits for the next sweep. */
  readonly end: Position;
  readonly #tail: Tail;
  #bundle: Bundle;
  /** What is left of it for readers ahead of its beginning; those who came together stand together. */
  #rest: Bundle | undefined;
  #restAfter = 0;

  constructor(group: Group, tail: Tail, now: number) {
    this.group = group;
    this.#tail = tail;
    this.#bundle = new Bundle(group.take().filter((message) => !message.isExpired(now)), tail.frame);
    this.readers = group.readers.values();
    this.end = tail.position;
    group.isSwept = true;
  }

  /** Takes out what has expired since the last part: it was begun for others, but not for those who are still to come. */
  expire(now: number): void {
    const { messages } = this.#bundle;
    if (!messages.some((message) => message.isExpired(now))) return;
    this.#bundle = new Bundle(messages.filter((message) => !message.isExpired(now)), this.#tail.frame);
    this.#rest = undefined;
  }

  /** What a reader at a number has not been written. It may be ahead: it read the log, or came from another instance (invariant 4). */
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
