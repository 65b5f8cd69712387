import type { ReceivedMessages } from '../../bus/received-messages.ts';
import type { Lineage, LogState } from '../../model/epochs.ts';
import { Message } from '../../model/message.ts';
import type { Position } from '../../model/position.ts';
import { ownCopy } from '../../runtime/memory.ts';

/** One walk through the messages: stops a filter that matches little from holding up everything else. */
const WALK_MESSAGES = 2_000;

/** The array is cut when this many entries at its front are empty. That is rare enough to cost each message nothing. */
const EMPTY_PLACES = 1024;

/** How far around erased messages others are looked at that share memory with them. Bounds that walk. */
const BLOCK_WALK_MESSAGES = 1_000;

/** A block of memory may be this many times as large as its messages count. Stops a message of one byte from keeping a megabyte of erased data. */
const BLOCK_MAX_FACTOR = 2;

/** A part of the tail, as far as a filter matches it. */
export interface Stretch {
  readonly messages: readonly Message[];
  /** Everything up to here was looked at. */
  readonly end: Position;
}

/** A message, or the commit that came over the bus and has it as bytes. */
type Kept = Message | ReceivedMessages;

/** The identity of a message. */
export type Named = Position & Pick<Message, 'topic'>;

/**
 * The newest messages in memory, in a row up to a position and without holes. They are bounded in bytes: the oldest make room for the newest. A message that came as bytes becomes an
 * object when it is first asked for, and stays one.
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

  /** The number of the oldest message; `last` + 1 where there is none. */
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

  /** The epoch of a message that is here. */
  epochAt(seq: number): string {
    return this.#keptAt(seq).epoch;
  }

  /** Whether everything after a number is here. */
  covers(seq: number): boolean {
    return seq >= this.first - 1;
  }

  /** Whether a position is the end, or that of a message here. */
  knows({ epoch, seq }: Position): boolean {
    if (seq === this.last) return epoch === this.#position.epoch;
    return seq >= this.first && seq < this.last && this.epochAt(seq) === epoch;
  }

  /**
   * The next messages after a number that pass `wanted`, in order, at most `limit`. Also returns how far the messages were searched; every call gets further, up to
   * the end. `covers(seq)` must hold.
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
   * Visits the next messages after a number, in order, until `visit` returns false. Returns how far it came; every call gets further, up to the end. `covers(seq)` must hold.
   * @param visit Gets the function that makes the object, if this message came as bytes.
   */
  walk(seq: number, visit: (topic: string, message: () => Message) => boolean): Position {
    let next = Math.max(this.first, seq + 1);
    const until = Math.min(this.last + 1, next + WALK_MESSAGES);
    const message = (): Message => this.#at(next);
    for (let goesOn = true; goesOn && next < until; next++) goesOn = visit(this.#topicAt(next), message);
    return next <= this.last ? this.#positionAt(next - 1) : this.#position;
  }

  /**
   * The position before the newest `count` messages that pass `wanted` and `counts`. If there are fewer and the whole log is here, it is the position before all of them. undefined when a short walk
   * back does not find it.
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

  /** The same for a message that is still bytes, of a commit without holes whose times do not decrease. */
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
      // Released now: before the array is cut, a thousand more may be removed, and each may be large.
      this.#kept[this.#begin++] = undefined;
    }
    if (this.#begin > EMPTY_PLACES && this.#begin * 2 > this.#kept.length) this.#keep(this.length);
  }

  /** Forgets all messages, and goes on after another position. */
  moveTo(position: Position): void {
    this.#position = position;
    this.forgetAll();
  }

  /** Goes back to a position that another log has too, and keeps the messages before it where they lead there. */
  goBack(at: Position, lineage: Lineage): void {
    // Where retention has gone past the position that both logs share, none of these messages leads to the new end.
    const isShared = at.seq >= this.first && at.seq <= this.last && lineage.isGood(this.#positionAt(at.seq));
    this.#keep(isShared ? at.seq - this.first + 1 : 0);
    this.#position = at;
    this.#bytes = 0;
    for (let seq = this.first; seq <= this.last; seq++) this.#bytes += this.#sizeAt(seq);
  }

  /**
   * Time never decreases along the log, and the store's clock never stands before the newest message (invariant 10). Where the tail is ahead of them, messages from
   * beyond the clock were given the time of now (`npm run clock -- --accept`). By the times in memory their TTL would not end: they are read from the log again.
   */
  forgetTimesAfter(time: number): void {
    if (this.length > 0 && this.#timeAt(this.last) > time) this.forgetAll();
  }

  forgetAll(): void {
    this.#keep(0);
    this.#bytes = 0;
  }

  /** A message has become larger: its frame was encoded. */
  grew(bytes: number): void {
    this.#bytes += bytes;
  }

  /** Makes tombstones of some. Looks at those between two numbers, both included. */
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

  /** The messages of a commit or page lie in one block of memory. Where erasures leave little of it, the others get memory of their own. */
  #leaveBlocks(from: number, to: number): void {
    const first = Math.max(this.first, from - BLOCK_WALK_MESSAGES);
    const last = Math.min(this.last, to + BLOCK_WALK_MESSAGES);
    const counted = new Map<ArrayBufferLike, number>();
    for (let seq = first; seq <= last; seq++) {
      const block = this.#blockAt(seq);
      if (block !== undefined) counted.set(block, (counted.get(block) ?? 0) + this.#sizeAt(seq));
    }
    // More of these two blocks may lie outside.
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

  /** The block of memory that a message shares with others; undefined where it has memory of its own. */
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

  /** Keeps the oldest messages, and drops the others. */
  #keep(count: number): void {
    this.#kept = this.#kept.slice(this.#begin, this.#begin + count);
    this.#begin = 0;
  }
}
