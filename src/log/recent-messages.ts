import type { ReceivedMessages } from '../bus/received-messages.ts';
import { Message } from '../model/message.ts';
import type { Position } from '../model/position.ts';

/** The array is cut when this many places at its front are empty. That is rare enough to cost each message nothing. */
const EMPTY_PLACES = 1024;

/** A message, or the commit that came over the bus and has it as bytes. */
type Kept = Message | ReceivedMessages;

/** Which message it is. */
export type Named = Position & Pick<Message, 'topic'>;

/** Messages in a row, of which the oldest make room for the newest: bounded in bytes. A message that came as bytes becomes an object when it is first asked for, and stays one. */
export class Recent {
  readonly #maxBytes: number;
  /** The messages from index `#first` on; the places before it are empty. */
  #kept: (Kept | undefined)[] = [];
  #first = 0;
  /** The number of the oldest message. */
  #oldest = 0;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get length(): number {
    return this.#kept.length - this.#first;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** @param index 0 is the oldest message. */
  at(index: number): Message {
    const kept = this.#keptAt(index);
    if (kept instanceof Message) return kept;
    const message = kept.at(this.#indexIn(kept, index));
    this.#kept[this.#first + index] = message;
    return message;
  }

  topicAt(index: number): string {
    const kept = this.#keptAt(index);
    return kept instanceof Message ? kept.topic : kept.topicAt(this.#indexIn(kept, index));
  }

  timeAt(index: number): number {
    const kept = this.#keptAt(index);
    return kept instanceof Message ? kept.time : kept.timeAt(this.#indexIn(kept, index));
  }

  positionAt(index: number): Position {
    return { epoch: this.#keptAt(index).epoch, seq: this.#oldest + index };
  }

  /** Adds the newest message, and removes the oldest ones until the bound holds again. One message always fits. */
  push(message: Message): void {
    this.#add(message, message.seq, message.size);
  }

  /** The same for a message that is still bytes, of a commit without holes. */
  pushReceived(messages: ReceivedMessages, index: number): void {
    this.#add(messages, messages.first + index, messages.sizeAt(index));
  }

  #add(kept: Kept, seq: number, size: number): void {
    if (this.length === 0) this.#oldest = seq;
    this.#kept.push(kept);
    this.#bytes += size;
    while (this.#bytes > this.#maxBytes && this.length > 1) {
      this.#bytes -= this.#sizeAt(0);
      // Released now: before the array is cut, a thousand more may be removed, and each may be large.
      this.#kept[this.#first++] = undefined;
      this.#oldest++;
    }
    if (this.#first > EMPTY_PLACES && this.#first * 2 > this.#kept.length) this.#cut(this.length);
  }

  /** Keeps the oldest messages, and drops the others. */
  keep(count: number): void {
    this.#cut(count);
    this.#bytes = 0;
    for (let index = 0; index < this.length; index++) this.#bytes += this.#sizeAt(index);
  }

  /** A message has become larger: its frame was encoded. */
  grew(bytes: number): void {
    this.#bytes += bytes;
  }

  /** Makes tombstones of some. Looks at those between two indices, without the second. */
  erase(unwanted: (message: Named) => boolean, from: number, to: number): void {
    for (let index = Math.max(0, from); index < Math.min(this.length, to); index++) {
      if (unwanted(this.#nameAt(index))) this.#bytes += this.at(index).erase();
    }
  }

  #keptAt(index: number): Kept {
    return this.#kept[this.#first + index]!;
  }

  #indexIn(commit: ReceivedMessages, index: number): number {
    return this.#oldest + index - commit.first;
  }

  #nameAt(index: number): Named {
    const kept = this.#keptAt(index);
    return kept instanceof Message ? kept : { ...this.positionAt(index), topic: this.topicAt(index) };
  }

  #sizeAt(index: number): number {
    const kept = this.#keptAt(index);
    return kept instanceof Message ? kept.size : kept.sizeAt(this.#indexIn(kept, index));
  }

  #cut(count: number): void {
    this.#kept = this.#kept.slice(this.#first, this.#first + count);
    this.#first = 0;
  }
}
