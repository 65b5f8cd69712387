import type { ReceivedMessages } from '../../bus/received-messages.ts';
import type { Lineage, LogState } from '../../model/epochs.ts';
import { Message } from '../../model/message.ts';
import type { Position } from '../../model/position.ts';
import { ownCopy } from '../../runtime/memory.ts';

/** The most messages that one walk visits. Stops a filter that matches few of them from blocking the event loop. */
const WALK_MESSAGES = 2_000;

/** The array is cut when this many entries at its front are empty. A cut copies the array, so it must be rare. */
const EMPTY_PLACES = 1024;

/** How many messages before and after erased ones are checked for memory that they share. Stops an erasure from blocking the event loop. */
const BLOCK_WALK_MESSAGES = 1_000;

/** A block of memory may be this many times as large as the messages in it. Stops a message of one byte from keeping a megabyte of erased data. */
const BLOCK_MAX_FACTOR = 2;

/** The wanted messages of a part of the tail. */
export interface Stretch {
  readonly messages: readonly Message[];
  /** The last position that was searched. */
  readonly end: Position;
}

/** A message; or the commit from the bus that has the message as bytes. */
type Kept = Message | ReceivedMessages;

/** The identity of a message. */
export type Named = Position & Pick<Message, 'topic'>;

/**
 * The newest messages in memory, in order and without holes, up to a position. Their bytes are bounded: the oldest make room for the newest.
 *
 * A commit from the bus stays bytes. Each of its messages becomes an object when a reader first wants it. Suppose that the end is 43, and a commit with 44, 45 and 46 comes:
 * `#kept` gets the commit three times. When a reader wants 45, that entry becomes a `Message`.
 */
export class Recent {
  readonly #maxBytes: number;
  /** The messages from index `#begin` on; the entries before it are empty. */
  #kept: (Kept | undefined)[] = [];
  #begin = 0;
  #position: Position = { epoch: '', seq: 0 };
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** The end: the position of the newest message. */
  get position(): Position {
    return this.#position;
  }

  get last(): number {
    return this.#position.seq;
  }

  /** The number of the oldest message; `last` + 1 if there is none. */
  get first(): number {
    return this.last - this.length + 1;
  }

  get length(): number {
    return this.#kept.length - this.#begin;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get newest(): Message {
    return this.#at(this.last);
  }

  /** The epoch of a message in memory. */
  epochAt(seq: number): string {
    return this.#keptAt(seq).epoch;
  }

  /** Whether every message after a number is in memory. */
  covers(seq: number): boolean {
    return seq >= this.first - 1;
  }

  /** Whether a position is the end, or that of a message in memory. */
  knows({ epoch, seq }: Position): boolean {
    if (seq === this.last) return epoch === this.#position.epoch;
    return seq >= this.first && seq < this.last && this.epochAt(seq) === epoch;
  }

  /**
   * The next messages after a number that pass `wanted`, in order, at most `limit`. Searches at most `WALK_MESSAGES`: go on after the returned end.
   * `covers(seq)` must be true.
   */
  after(seq: number, wanted: (topic: string) => boolean, limit: number): Stretch {
    const messages: Message[] = [];
    let next = Math.max(this.first, seq + 1);
    const until = Math.min(this.last + 1, next + WALK_MESSAGES);
    for (; next < until && messages.length < limit; next++) {
      if (wanted(this.#topicAt(next))) messages.push(this.#at(next));
    }
    return { messages, end: next <= this.last ? this.#positionAt(next - 1) : this.#position };
  }

  /**
   * Visits the next messages after a number, in order, until `visit` returns false, and at most `WALK_MESSAGES`. Returns the last visited position. `covers(seq)` must be true.
   * @param visit Its second argument returns the message, and makes the object if it came as bytes.
   */
  walk(seq: number, visit: (topic: string, message: () => Message) => boolean): Position {
    let next = Math.max(this.first, seq + 1);
    const until = Math.min(this.last + 1, next + WALK_MESSAGES);
    const message = (): Message => this.#at(next);
    for (let goesOn = true; goesOn && next < until; next++) goesOn = visit(this.#topicAt(next), message);
    return next <= this.last ? this.#positionAt(next - 1) : this.#position;
  }

  /**
   * The position before the newest `count` messages that pass `wanted` and `counts`. If the whole log is in memory and has fewer, it is the position before all of them.
   * undefined if `WALK_MESSAGES` are not enough to find it.
   */
  beforeNewest(count: number, wanted: (topic: string) => boolean, counts: (message: Message) => boolean, { oldest, lineage }: LogState): Position | undefined {
    // Deleted messages may still be in memory.
    const until = Math.max(this.first, oldest, this.last - WALK_MESSAGES + 1);
    let found = 0;
    let at = this.last;
    for (let seq = this.last; seq >= until && found < count; seq--) {
      if (!wanted(this.#topicAt(seq)) || !counts(this.#at(seq))) continue;
      found++;
      at = seq - 1;
    }
    return found === count || until === oldest ? lineage.at(at) : undefined;
  }

  /** Adds the next message, and removes the oldest ones until the bound holds again. One message always fits. */
  push(message: Message): void {
    this.forgetTimesAfter(message.time);
    this.#add(message, message, message.size);
  }

  /** As `push`, for a message that stays bytes. Its commit must have consecutive numbers and times that do not decrease (`isRun`). */
  pushReceived(messages: ReceivedMessages, index: number): void {
    if (index === 0) this.forgetTimesAfter(messages.timeAt(0));
    this.#add(messages, { epoch: messages.epoch, seq: messages.first + index }, messages.sizeAt(index));
  }

  #add(kept: Kept, position: Position, size: number): void {
    // Invariant 3: the one place where the tail grows, by the next number and no other.
    if (position.seq !== this.last + 1) throw new Error(`the tail ends at ${this.last} and cannot go on with ${position.seq}`);
    this.#position = position;
    this.#kept.push(kept);
    this.#bytes += size;
    while (this.#bytes > this.#maxBytes && this.length > 1) {
      this.#bytes -= this.#sizeAt(this.first);
      // Release the message now: the next cut of the array may be a thousand large messages away.
      this.#kept[this.#begin++] = undefined;
    }
    if (this.#begin > EMPTY_PLACES && this.#begin * 2 > this.#kept.length) this.#keep(this.length);
  }

  /** Forgets all messages. The next message comes right after this position. */
  startAt(position: Position): void {
    this.#position = position;
    this.forgetAll();
  }

  /** Moves the end to a position of another log. Keeps the messages up to it if both logs share them. */
  moveEnd(at: Position, lineage: Lineage): void {
    // If retention deleted past the shared position, `at` lies after it, and the message with that number is of the old log: then keep nothing.
    const isShared = at.seq >= this.first && at.seq <= this.last && lineage.isGood(this.#positionAt(at.seq));
    this.#keep(isShared ? at.seq - this.first + 1 : 0);
    this.#position = at;
    this.#bytes = 0;
    for (let seq = this.first; seq <= this.last; seq++) this.#bytes += this.#sizeAt(seq);
  }

  /**
   * Forgets all messages if the newest one is later than `time`: a later message, or the store's clock. Time never decreases along the log (invariant 10). So an operator has
   * given these messages earlier times (`npm run clock -- --accept`). With the times in memory their TTL would end too late.
   */
  forgetTimesAfter(time: number): void {
    if (this.length > 0 && this.#timeAt(this.last) > time) this.forgetAll();
  }

  forgetAll(): void {
    this.#keep(0);
    this.#bytes = 0;
  }

  /** Counts bytes that an encoded frame added to a message. */
  grew(bytes: number): void {
    this.#bytes += bytes;
  }

  /** Makes tombstones of the unwanted messages between two numbers, both included. */
  erase(unwanted: (message: Named) => boolean, from: number, to: number): void {
    let firstErased = Infinity;
    let lastErased = 0;
    for (let seq = Math.max(this.first, from); seq <= Math.min(this.last, to); seq++) {
      if (!unwanted(this.#nameAt(seq))) continue;
      this.#bytes += this.#at(seq).erase();
      firstErased = Math.min(firstErased, seq);
      lastErased = seq;
    }
    if (lastErased > 0) this.#leaveBlocks(firstErased, lastErased);
  }

  /**
   * The messages of a commit or page share one block of memory, which the last of them releases. If erasures leave little of a block, copies the data of its other messages.
   * Otherwise they would keep the erased data in memory. Example: of a block of 1 MB, messages of 300 KB are left; they get memory of their own.
   */
  #leaveBlocks(from: number, to: number): void {
    const first = Math.max(this.first, from - BLOCK_WALK_MESSAGES);
    const last = Math.min(this.last, to + BLOCK_WALK_MESSAGES);
    const counted = new Map<ArrayBufferLike, number>();
    for (let seq = first; seq <= last; seq++) {
      const block = this.#blockAt(seq);
      if (block !== undefined) counted.set(block, (counted.get(block) ?? 0) + this.#sizeAt(seq));
    }
    // The first and the last block may have more messages outside the walk, so their sums say nothing.
    const forget = (seq: number): void => {
      const block = this.#blockAt(seq);
      if (block !== undefined) counted.delete(block);
    };
    if (first > this.first) forget(first);
    if (last < this.last) forget(last);
    for (let seq = first; seq <= last; seq++) {
      const block = this.#blockAt(seq);
      if (block === undefined || block.byteLength <= BLOCK_MAX_FACTOR * (counted.get(block) ?? Infinity)) continue;
      const message = this.#at(seq);
      message.data = ownCopy(message.data);
    }
  }

  /** The block of memory that a message shares with others; undefined if it has memory of its own. */
  #blockAt(seq: number): ArrayBufferLike | undefined {
    const kept = this.#keptAt(seq);
    if (!(kept instanceof Message)) return kept.block;
    const { data: { buffer, length }, dataInChunk } = kept;
    return dataInChunk || length === buffer.byteLength ? undefined : buffer;
  }

  #keptAt(seq: number): Kept {
    return this.#kept[this.#begin + seq - this.first]!;
  }

  #at(seq: number): Message {
    const kept = this.#keptAt(seq);
    if (kept instanceof Message) return kept;
    const message = kept.at(seq - kept.first);
    this.#kept[this.#begin + seq - this.first] = message;
    return message;
  }

  #positionAt(seq: number): Position {
    return { epoch: this.epochAt(seq), seq };
  }

  #topicAt(seq: number): string {
    const kept = this.#keptAt(seq);
    return kept instanceof Message ? kept.topic : kept.topicAt(seq - kept.first);
  }

  #timeAt(seq: number): number {
    const kept = this.#keptAt(seq);
    return kept instanceof Message ? kept.time : kept.timeAt(seq - kept.first);
  }

  #sizeAt(seq: number): number {
    const kept = this.#keptAt(seq);
    return kept instanceof Message ? kept.size : kept.sizeAt(seq - kept.first);
  }

  #nameAt(seq: number): Named {
    const kept = this.#keptAt(seq);
    return kept instanceof Message ? kept : { ...this.#positionAt(seq), topic: this.#topicAt(seq) };
  }

  /** Keeps this many of the oldest messages. */
  #keep(count: number): void {
    this.#kept = this.#kept.slice(this.#begin, this.#begin + count);
    this.#begin = 0;
  }
}
