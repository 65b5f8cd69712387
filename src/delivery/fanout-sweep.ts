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
 * Bounds one write to a socket. Stops full sockets from filling the memory: every stream can hold one write, and with a filter of its own shares it with
 * no other. Larger writes would cost no less. Bytes of data.
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
 * come between two parts go to the readers that the sweep has yet to reach, in the same write as the older ones. They also stay pending for the
 * next sweep, which skips the readers that have them. So a message is late by one sweep and one rest at most. The
 * first reader of a sweep waits no longer than the last one. Each live reader has everything of its group up to one position.
 * That is the end of the tail at this part, at the last sweep, or at the end of its own replay.
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

  /** When the oldest message that it has written was stored, by the store's clock; Infinity if it has written none. */
  get oldestTime(): number {
    return this.#oldestTime;
  }

  /** How many messages have shared a write, on average. */
  get messagesPerWrite(): number {
    return this.#writes === 0 ? 0 : this.#delivered / this.#writes;
  }

  /** Runs for this number of milliseconds at most. Returns whether the sweep is complete. */
  goOn(milliseconds: number): boolean {
    const began = this.#clock.monotonic();
    const isDone = this.#writeUntil(began + milliseconds);
    this.#costMs += this.#clock.monotonic() - began;
    return isDone;
  }

  /** The position up to which the readers not yet reached in a group were written; undefined if the sweep is not in this group. */
  startOf(group: Group): Position | undefined {
    return this.#swept?.group === group ? this.#swept.start : undefined;
  }

  /** Messages were erased: their frames must not be written any more. */
  erased(isErased: (message: Message) => boolean): void {
    this.#swept?.erased(isErased);
  }

  /** Drops a group: its readers that were not reached fall behind, each at its own cursor. */
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
    // A Set's iterator goes on where it stopped, skips readers that have left meanwhile, and reaches readers that have joined.
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
    // The next sweep has to know which readers have some of the pending messages. `positionOf` has to know whether the sweep has reached a reader.
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

/** The group that a sweep is in: the bundle for its readers, and the readers not yet reached. */
class SweptGroup {
  readonly group: Group;
  readonly readers: SetIterator<Reader>;
  /** The readers not yet reached have everything up to here, and some have more. */
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

  /** A reader that got the bundle has everything up to here. The tail may have more. */
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
   * The messages after a reader's cursor. The cursor may be ahead of the bundle's beginning (invariant 4): after a sweep that took later messages along, a read
   * of the log, or a move from another instance.
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
