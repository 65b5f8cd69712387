import type { Message } from '../../model/message.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';

/** How long an early message waits for the messages before it. Then they are read from the log. Stops a message that the bus lost from delaying its successors. */
const REORDER_MS = 20;
/** The most messages that wait, and their bytes. Stops a long hole from filling the memory: further messages are read from the log. */
const REORDER_MESSAGES = 10_000;
const REORDER_BYTES = 16 * 1024 * 1024;

export interface ReorderBufferOptions {
  readonly clock: Clock;
  /** Called when messages have waited for `REORDER_MS`: read the messages before them from the log. */
  readonly onOverdue: () => void;
}

/** Early messages, by number: they came before messages with smaller numbers, and wait a short time for them. */
export class ReorderBuffer {
  readonly #clock: Clock;
  readonly #onOverdue: () => void;
  readonly #messages = new Map<number, Message>();
  #bytes = 0;
  #timer: Timer | undefined;

  constructor({ clock, onOverdue }: ReorderBufferOptions) {
    this.#clock = clock;
    this.#onOverdue = onOverdue;
  }

  get size(): number {
    return this.#messages.size;
  }

  /** The highest number; 0 for an empty buffer. */
  get highest(): number {
    let highest = 0;
    for (const seq of this.#messages.keys()) highest = Math.max(highest, seq);
    return highest;
  }

  /** Returns whether there was room. A message replaces an earlier one with the same number. */
  add(message: Message): boolean {
    this.take(message.seq);
    if (this.#messages.size >= REORDER_MESSAGES || this.#bytes >= REORDER_BYTES) return false;
    this.#messages.set(message.seq, message);
    this.#bytes += message.size;
    return true;
  }

  /** Removes and returns a message. */
  take(seq: number): Message | undefined {
    const message = this.#messages.get(seq);
    if (message === undefined) return undefined;
    this.#messages.delete(seq);
    this.#bytes -= message.size;
    return message;
  }

  forget(unwanted: (seq: number) => boolean): void {
    for (const seq of this.#messages.keys()) if (unwanted(seq)) this.take(seq);
  }

  /** Makes tombstones of the unwanted messages. */
  erase(unwanted: (message: Message) => boolean): void {
    for (const message of this.#messages.values()) if (unwanted(message)) this.#bytes += message.erase();
  }

  clear(): void {
    this.#messages.clear();
    this.#bytes = 0;
  }

  /** Starts the timer, if messages wait and it does not run yet. */
  wait(): void {
    if (this.#messages.size === 0) return;
    this.#timer ??= this.#clock.after(REORDER_MS, () => {
      this.#timer = undefined;
      if (this.#messages.size > 0) this.#onOverdue();
    });
  }

  stop(): void {
    this.#timer?.cancel();
  }
}
