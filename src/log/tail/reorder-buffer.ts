import type { Message } from '../../model/message.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';

/** How long a message that came out of order waits for the ones before it, until these are read from the log. */
const REORDER_MS = 20;
/** Bounds the messages that wait out of order; beyond it they are read from the log. Messages, and bytes of them. */
const REORDER_MESSAGES = 10_000;
const REORDER_BYTES = 16 * 1024 * 1024;

export interface ReorderBufferOptions {
  readonly clock: Clock;
  /** Called when messages have waited long enough: the ones before them must be read from the log. */
  readonly onOverdue: () => void;
}

/** Messages that came before others with smaller numbers, by number. They wait a short while for these to come by themselves. */
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

  /** Returns whether there was room. Of two messages with the same number, the later one stays. */
  add(message: Message): boolean {
    this.take(message.seq);
    if (this.#messages.size >= REORDER_MESSAGES || this.#bytes >= REORDER_BYTES) return false;
    this.#messages.set(message.seq, message);
    this.#bytes += message.size;
    return true;
  }

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

  /** Makes tombstones of some. */
  erase(unwanted: (message: Message) => boolean): void {
    for (const message of this.#messages.values()) if (unwanted(message)) this.#bytes += message.erase();
  }

  clear(): void {
    this.#messages.clear();
    this.#bytes = 0;
  }

  /** Begins the wait, if messages are here and it has not begun. */
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
