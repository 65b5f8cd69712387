import type { StoreClock } from '../log/tail/store-clock.ts';
import type { Tail } from '../log/tail/tail.ts';
import type { Message } from '../model/message.ts';
import type { Position } from '../model/position.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Audience } from './audience.ts';
import type { ChunkSource } from './frames/chunk-cache.ts';
import { Bundle } from './frames/frame-bundle.ts';
import type { Group } from './reader/reader-group.ts';
import type { Reader } from './reader/reader.ts';

/** How many readers and groups a sweep visits between two looks at the clock. */
const LOOK_EVERY_VISITS = 64;

/**
 * The most data of one write to a socket, in bytes. Stops full sockets from filling the memory: each may contain one write, which streams with different filters do
 * not share. Larger writes would not be cheaper.
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
 * One walk through the live readers of some groups. It writes the pending messages of a group to each of its readers.
 *
 * A sweep can run in parts. Between two parts the tail may grow, and readers may come, go, fall behind and catch up. A message that comes between two parts goes to the
 * readers that the sweep has not reached yet, in the same write as the older messages. It also stays pending for the next sweep, which skips the readers that have it.
 * So a message is late by one sweep and one rest at most.
 *
 * Example: messages 1 to 3 are pending for a group of readers A, B and C.
 *
 *   first part       A gets 1 to 3
 *   message 4 comes
 *   second part      B and C get 1 to 4, and their cursors move to 4
 *   the next sweep   A gets 4; B and C get nothing
 *
 * A live reader has all messages of its group up to one position: the end of the tail at the part that reached it, at the last sweep, or at the end of its replay.
 */
export class Sweep {
  readonly #tail: Tail;
  readonly #audience: Audience;
  readonly #clock: Clock;
  readonly #storeClock: StoreClock;
  readonly #chunkOf: ChunkSource;
  readonly #groups: readonly Group[];
  #next = 0;
  #swept: SweptGroup | undefined;
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

  /** How long all parts together have run. Milliseconds. */
  get costMs(): number {
    return this.#costMs;
  }

  /** The store's time of the oldest message that the sweep has written; Infinity if it has written none. Milliseconds since 1970. */
  get oldestTime(): number {
    return this.#oldestTime;
  }

  /** The average number of messages in one write. */
  get messagesPerWrite(): number {
    return this.#writes === 0 ? 0 : this.#delivered / this.#writes;
  }

  /** Runs one part, for at most this time. Returns whether the sweep is complete. */
  goOn(milliseconds: number): boolean {
    const began = this.#clock.monotonic();
    const isDone = this.#writeUntil(began + milliseconds);
    this.#costMs += this.#clock.monotonic() - began;
    return isDone;
  }

  /** The position up to which all readers of a group were written before this sweep; undefined if the sweep is not in this group. */
  startOf(group: Group): Position | undefined {
    return this.#swept?.group === group ? this.#swept.start : undefined;
  }

  /** Erases messages from the current bundle, so that their frames are not written any more. */
  erased(isErased: (message: Message) => boolean): void {
    this.#swept?.erased(isErased);
  }

  /** Drops a group. Its readers that the sweep has not reached fall behind, at the group's start or at their own later cursor. */
  leave(group: Group): void {
    if (this.#swept?.group !== group) return;
    for (const reader of this.#swept.readers) reader.leaveBehind(this.#swept.start);
    group.pending.swept();
    this.#swept = undefined;
  }

  #writeUntil(until: number): boolean {
    const now = this.#storeClock.now();
    this.#swept?.renew(now);
    for (;;) {
      this.#swept ??= this.#nextGroup(now);
      if (this.#swept === undefined) return true;
      if (!this.#write(this.#swept, until)) return false;
      this.#finish(this.#swept.group);
      this.#swept = undefined;
      if (this.#isOver(until)) return false;
    }
  }

  #nextGroup(now: number): SweptGroup | undefined {
    const group = this.#groups[this.#next++];
    return group === undefined ? undefined : new SweptGroup({ group, tail: this.#tail, now, chunkOf: this.#chunkOf });
  }

  /** Writes to the readers not yet reached in a group. Returns false when the time is up. */
  #write(swept: SweptGroup, until: number): boolean {
    // The iterator of a Set continues where it stopped. It skips readers that have left since, and visits readers that have joined.
    for (const reader of swept.readers) {
      if (reader.isLive) this.#deliver(reader, swept);
      if (this.#isOver(until)) return false;
    }
    return true;
  }

  #deliver(reader: Reader, swept: SweptGroup): void {
    const bundle = swept.bundleFor(reader.cursorSeq);
    if (bundle.last !== undefined) {
      this.#writes++;
      this.#oldestTime = Math.min(this.#oldestTime, bundle.messages[0]!.time);
    }
    this.#delivered += bundle.messages.length;
    reader.passOn(bundle, swept.end);
    // Moves the cursor: the next sweep skips the pending messages before it, and `positionOf` sees that this sweep has reached the reader.
    reader.skipTo(swept.end);
  }

  #isOver(until: number): boolean {
    return ++this.#visited % LOOK_EVERY_VISITS === 0 && this.#clock.monotonic() >= until;
  }

  #finish(group: Group): void {
    group.pending.swept();
    group.wake();
    this.#audience.leave(group);
  }
}

interface SweptGroupOptions {
  readonly group: Group;
  readonly tail: Tail;
  /** The store's clock. Milliseconds since 1970. */
  readonly now: number;
  readonly chunkOf: ChunkSource;
}

/** The group that a sweep is in, with the bundle for its readers. */
class SweptGroup {
  readonly group: Group;
  /** The readers that the sweep has not reached yet. */
  readonly readers: SetIterator<Reader>;
  /** The readers that the sweep has not reached have all messages up to this position. Some have more: their cursors are later. */
  readonly start: Position;
  readonly #tail: Tail;
  readonly #chunkOf: ChunkSource;
  #end: Position;
  #bundle: Bundle;
  #bytes: number;
  /** How many of the group's pending messages, which came after the sweep's beginning, are in the bundle. */
  #joined = 0;
  /** The part of the bundle after `#restAfter`, for readers ahead of the bundle's beginning. Readers that came together are neighbours in the group, so one entry is cache enough. */
  #rest: Bundle | undefined;
  #restAfter = 0;

  constructor({ group, tail, now, chunkOf }: SweptGroupOptions) {
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

  /** A reader that got the bundle has all messages up to this position. The tail may have newer messages. */
  get end(): Position {
    return this.#end;
  }

  /** Adds the messages since the last part of the sweep, and drops expired ones for the readers not yet reached. */
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
   * The messages of the bundle after a reader's cursor. The cursor may be ahead of the bundle's beginning (invariant 4): an earlier sweep may have written later messages
   * along, or the reader has read the log or came from another instance.
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
