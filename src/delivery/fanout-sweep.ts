import type { StoreClock } from '../log/store-clock.ts';
import type { Tail } from '../log/tail.ts';
import type { Message } from '../model/message.ts';
import type { Position } from '../model/position.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Audience } from './audience.ts';
import type { ChunkSource } from './chunk-cache.ts';
import { Bundle } from './frame-bundle.ts';
import type { Group } from './reader-group.ts';
import type { Reader } from './reader.ts';

/** How many readers and groups a sweep visits between two looks at the clock, which cost little, but not nothing. */
const LOOK_EVERY_VISITS = 64;

/**
 * Bounds what is written to one socket at once, and so what a socket that turns out to be full holds: each of as many streams as there may be can
 * have a filter of its own, and hold one write. Larger writes cost no less. Bytes of data.
 */
export const WRITE_BYTES = 128 * 1024;

export interface SweepDependencies {
  readonly tail: Tail;
  readonly audience: Audience;
  readonly clock: Clock;
  readonly storeClock: StoreClock;
  readonly chunkOf: ChunkSource;
}

/**
 * One walk through the live readers of some groups. It writes to each the pending messages of its group.
 *
 * A sweep can be taken in parts, with anything else between them: the tail may grow, readers may come, go, fall behind and catch up. Messages that
 * come between two parts go to the readers that the sweep has yet to reach, in the same write as what was pending. They also stay pending for the
 * next sweep, which skips the readers that have them. So a message is never later than by one sweep and one rest, and the
 * first reader of one sweep waits no longer than the last one. At every moment each live reader has been written everything that its
 * group was, up to one place: the end of the tail as this part, the last sweep, or its own replay left it.
 */
export class Sweep {
  readonly #tail: Tail;
  readonly #audience: Audience;
  readonly #clock: Clock;
  readonly #storeClock: StoreClock;
  readonly #chunkOf: ChunkSource;
  readonly #groups: readonly Group[];
  #next = 0;
  #part: Part | undefined;
  #visited = 0;
  #writes = 0;
  #delivered = 0;
  #costMs = 0;
  #oldestTime = Infinity;

  constructor(groups: readonly Group[], { tail, audience, clock, storeClock, chunkOf }: SweepDependencies) {
    this.#groups = groups;
    this.#tail = tail;
    this.#audience = audience;
    this.#clock = clock;
    this.#storeClock = storeClock;
    this.#chunkOf = chunkOf;
  }

  /** What its parts have taken together. Milliseconds. */
  get costMs(): number {
    return this.#costMs;
  }

  /** When the oldest message that it has written was stored, by the store's clock; Infinity if it has written none. */
  get oldestTime(): number {
    return this.#oldestTime;
  }

  /** How many messages have shared a write, on average. */
  get messagesPerWrite(): number {
    return this.#writes === 0 ? 0 : this.#delivered / this.#writes;
  }

  /** Goes on for this number of milliseconds at most. Returns whether the sweep has come to its end. */
  goOn(milliseconds: number): boolean {
    const began = this.#clock.monotonic();
    const isDone = this.#writeUntil(began + milliseconds);
    this.#costMs += this.#clock.monotonic() - began;
    return isDone;
  }

  /** How far readers of a group were written that the sweep has yet to reach; undefined where it is not in this group. */
  startOf(group: Group): Position | undefined {
    return this.#part?.group === group ? this.#part.start : undefined;
  }

  /** Messages were erased: the frames that were made of them are not written any more. */
  erased(isErased: (message: Message) => boolean): void {
    this.#part?.erased(isErased);
  }

  /** Goes on without a group: its readers that were not reached fall behind, each at the place where it is. */
  leave(group: Group): void {
    if (this.#part?.group !== group) return;
    for (const reader of this.#part.readers) reader.leaveBehind(this.#part.start);
    group.pending.swept();
    this.#part = undefined;
  }

  #writeUntil(until: number): boolean {
    const now = this.#storeClock.now();
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
    return group === undefined ? undefined : new Part({ group, tail: this.#tail, now, chunkOf: this.#chunkOf });
  }

  /** Writes to the readers that the sweep has yet to reach in this group; false when the time is up. */
  #write(part: Part, until: number): boolean {
    // A Set's iterator goes on where it stopped, skips readers that have left meanwhile, and reaches readers that have joined.
    for (const reader of part.readers) {
      if (reader.isLive) this.#deliver(reader, part);
      if (this.#isOver(until)) return false;
    }
    return true;
  }

  #deliver(reader: Reader, part: Part): void {
    const bundle = part.bundleFor(reader.cursorSeq);
    if (bundle.last !== undefined) {
      this.#writes++;
      this.#oldestTime = Math.min(this.#oldestTime, bundle.messages[0]!.time);
    }
    this.#delivered += bundle.messages.length;
    reader.passOn(bundle, part.end);
    // The next sweep has to know which readers have some of the pending messages. `placeOf` has to know whether the sweep has reached a reader.
    reader.skipTo(part.end);
  }

  #isOver(until: number): boolean {
    return ++this.#visited % LOOK_EVERY_VISITS === 0 && this.#clock.monotonic() >= until;
  }

  #leave(group: Group): void {
    group.pending.swept();
    group.wake();
    this.#audience.leave(group);
  }
}

interface PartOptions {
  readonly group: Group;
  readonly tail: Tail;
  /** The store's clock. Milliseconds since 1970. */
  readonly now: number;
  readonly chunkOf: ChunkSource;
}

/** A group in a sweep: what its readers are written, and the readers that the sweep has yet to reach. */
class Part {
  readonly group: Group;
  readonly readers: SetIterator<Reader>;
  /** How far a reader has been written that the sweep has yet to reach. It may be further. */
  readonly start: Position;
  readonly #tail: Tail;
  readonly #chunkOf: ChunkSource;
  #end: Position;
  #bundle: Bundle;
  #bytes: number;
  /** How many of the group's pending messages are in the bundle. */
  #joined = 0;
  /** The rest of the bundle for readers ahead of its beginning. Readers that came together stand together in the group. */
  #rest: Bundle | undefined;
  #restAfter = 0;

  constructor({ group, tail, now, chunkOf }: PartOptions) {
    this.group = group;
    this.#tail = tail;
    this.#chunkOf = chunkOf;
    this.#bytes = group.pending.bytes;
    const first = group.pending.messages.at(0);
    this.start = first === undefined ? tail.position : tail.log!.lineage.at(first.seq - 1);
    this.#bundle = this.#bundleOf(group.pending.take(), now);
    this.readers = group.readers.values();
    this.#end = tail.position;
  }

  /** How far a reader has been written that was written the bundle. The tail may be further. */
  get end(): Position {
    return this.#end;
  }

  /** Takes in messages since the last part, and drops expired ones: their delivery has begun for some readers, but not for the others. */
  renew(now: number): void {
    const { messages } = this.#bundle;
    const { pending } = this.group;
    const came = this.#bytes + pending.bytes <= WRITE_BYTES ? pending.messages.slice(this.#joined) : [];
    if (came.length === 0 && !messages.some((message) => message.isExpired(now))) return;
    this.#bundle = this.#bundleOf([...messages, ...came], now);
    this.#rest = undefined;
    if (came.length === 0) return;
    this.#joined += came.length;
    this.#end = this.#tail.position;
  }

  erased(isErased: (message: Message) => boolean): void {
    const { messages } = this.#bundle;
    for (const message of messages) if (isErased(message)) message.erase();
    this.#bundle = new Bundle(messages, this.#chunkOf);
    this.#rest = undefined;
  }

  #bundleOf(messages: readonly Message[], now: number): Bundle {
    return new Bundle(messages.filter((message) => !message.isExpired(now)), this.#chunkOf);
  }

  /**
   * What a reader has not been written that has been written everything up to a number. It may be ahead of the bundle's beginning: the last sweep
   * took later messages along, or it read the log, or came from another instance (invariant 4).
   */
  bundleFor(seq: number): Bundle {
    const { messages } = this.#bundle;
    if (messages.length === 0 || seq < messages[0]!.seq) return this.#bundle;
    if (this.#rest === undefined || this.#restAfter !== seq) {
      this.#rest = new Bundle(messages.filter((message) => message.seq > seq), this.#chunkOf);
      this.#restAfter = seq;
    }
    return this.#rest;
  }
}
