import type { Message } from '../model/message.ts';

/** The array is cut when this many places at its front are empty. That is rare enough to cost each message nothing. */
const EMPTY_PLACES = 1024;

/** Messages in a row, of which the oldest make room for the newest: bounded in bytes. */
export class Recent {
  readonly #maxBytes: number;
  /** The messages from index `#first` on; the places before it are empty. */
  #messages: (Message | undefined)[] = [];
  #first = 0;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get length(): number {
    return this.#messages.length - this.#first;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** @param index 0 is the oldest message. */
  at(index: number): Message {
    return this.#messages[this.#first + index]!;
  }

  /** Adds the newest message, and removes the oldest ones until the bound holds again. One message always fits. */
  push(message: Message): void {
    this.#messages.push(message);
    this.#bytes += message.size;
    while (this.#bytes > this.#maxBytes && this.length > 1) {
      this.#bytes -= this.#messages[this.#first]!.size;
      // Released now: before the array is cut, a thousand more may be removed, and each may be large.
      this.#messages[this.#first++] = undefined;
    }
    if (this.#first > EMPTY_PLACES && this.#first * 2 > this.#messages.length) this.#cut(this.length);
  }

  /** Keeps the oldest messages, and drops the others. */
  keep(count: number): void {
    this.#cut(count);
    this.#bytes = this.#messages.reduce((sum, message) => sum + message!.size, 0);
  }

  /** A message has become larger: its frame was encoded. */
  grew(bytes: number): void {
    this.#bytes += bytes;
  }

  /** Makes tombstones of some. Looks at those between two indices, without the second. */
  erase(unwanted: (message: Message) => boolean, from: number, to: number): void {
    for (let index = Math.max(0, from); index < Math.min(this.length, to); index++) {
      const message = this.at(index);
      if (unwanted(message)) this.#bytes += message.erase();
    }
  }

  #cut(count: number): void {
    this.#messages = this.#messages.slice(this.#first, this.#first + count);
    this.#first = 0;
  }
}
