import type { Message } from '../model/message.ts';

/** From so many places that have become empty on, they are cut off: seldom enough to cost nothing for each message. */
const EMPTY_PLACES = 1024;

/** Messages in a row, of which the oldest make room for the newest: bounded in bytes. */
export class Recent {
  readonly #maxBytes: number;
  /** The messages from `#start` on; the places before it are empty. */
  #messages: (Message | undefined)[] = [];
  #start = 0;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get length(): number {
    return this.#messages.length - this.#start;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** The message that so many others precede. */
  at(index: number): Message {
    return this.#messages[this.#start + index]!;
  }

  /** One always fits. */
  push(message: Message): void {
    this.#messages.push(message);
    this.#bytes += message.size;
    while (this.#bytes > this.#maxBytes && this.length > 1) {
      this.#bytes -= this.#messages[this.#start]!.size;
      // Let go of now: until its place is cut off, a thousand others may come, and each may be large.
      this.#messages[this.#start++] = undefined;
    }
    if (this.#start > EMPTY_PLACES && this.#start * 2 > this.#messages.length) this.#cut(this.length);
  }

  /** Keeps the oldest ones only, so many. */
  keep(count: number): void {
    this.#cut(count);
    this.#bytes = this.#messages.reduce((sum, message) => sum + message!.size, 0);
  }

  /** A message has become larger: its frame was encoded. */
  grew(bytes: number): void {
    this.#bytes += bytes;
  }

  #cut(count: number): void {
    this.#messages = this.#messages.slice(this.#start, this.#start + count);
    this.#start = 0;
  }
}
