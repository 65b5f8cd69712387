import type { Message } from '../../model/message.ts';
import type { ChunkSource } from '../frames/chunk-cache.ts';
import { Bundle } from '../frames/frame-bundle.ts';

/** The most messages of one read for readers that are behind, and of one write to a reader. Stops a slow socket from filling the memory. */
export const STEP_MESSAGES = 512;
/** The same bound in bytes of data. The message that reaches it is still in the step. */
export const STEP_BYTES = 64 * 1024;

/** Consecutive messages of a list, for one write to a reader that is behind. */
export interface Step {
  readonly bundle: Bundle;
  /** The index in the list after the last message of the step, counting expired messages, which the bundle leaves out. */
  readonly end: number;
  /** Whether the step goes to the end of the list. */
  readonly isLast: boolean;
}

export interface StepsOptions {
  readonly messages: readonly Message[];
  /** The store's clock, to leave out expired messages. Milliseconds since 1970. */
  readonly now: number;
  readonly chunkOf: ChunkSource;
}

/** Cuts a list of messages into steps. A step can begin at any message; readers whose next message is the same share one step, and its encoded frames. */
export class Steps {
  readonly #messages: readonly Message[];
  readonly #now: number;
  readonly #chunkOf: ChunkSource;
  /** By the index of the first message. */
  readonly #made = new Map<number, Step>();

  constructor({ messages, now, chunkOf }: StepsOptions) {
    this.#messages = messages;
    this.#now = now;
    this.#chunkOf = chunkOf;
  }

  /** The step for a reader whose cursor is at this number: it begins with the first message after it. */
  after(seq: number, maxBytes = STEP_BYTES): Step {
    const from = this.#indexAfter(seq);
    let step = this.#made.get(from);
    if (step === undefined) this.#made.set(from, (step = this.#make(from, maxBytes)));
    return step;
  }

  #make(from: number, maxBytes: number): Step {
    const chosen: Message[] = [];
    let end = from;
    for (let bytes = 0; end < this.#messages.length && bytes < maxBytes && chosen.length < STEP_MESSAGES; end++) {
      const message = this.#messages[end]!;
      if (message.isExpired(this.#now)) continue;
      chosen.push(message);
      bytes += message.data.length;
    }
    return { bundle: new Bundle(chosen, this.#chunkOf), end, isLast: end === this.#messages.length };
  }

  #indexAfter(seq: number): number {
    let low = 0;
    let high = this.#messages.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#messages[middle]!.seq <= seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
