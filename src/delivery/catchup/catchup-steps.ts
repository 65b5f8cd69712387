import type { Message } from '../../model/message.ts';
import type { ChunkSource } from '../frames/chunk-cache.ts';
import { Bundle } from '../frames/frame-bundle.ts';

/** One read for readers that are behind, and one write to each: bounds what a slow socket holds. Messages, and bytes of data. */
export const STEP_MESSAGES = 512;
export const STEP_BYTES = 64 * 1024;

/** One write to a reader that is behind. */
export interface Step {
  readonly bundle: Bundle;
  /** The index after the last message of the step. */
  readonly end: number;
  readonly isLast: boolean;
}

export interface StepsOptions {
  readonly messages: readonly Message[];
  /** The store's clock: messages that have expired are left out. Milliseconds since 1970. */
  readonly now: number;
  readonly chunkOf: ChunkSource;
}

/** Cuts a list of messages into steps from any place in it; readers at the same place share one. */
export class Steps {
  readonly #messages: readonly Message[];
  readonly #now: number;
  readonly #chunkOf: ChunkSource;
  readonly #made = new Map<number, Step>();

  constructor({ messages, now, chunkOf }: StepsOptions) {
    this.#messages = messages;
    this.#now = now;
    this.#chunkOf = chunkOf;
  }

  /** The step of a reader whose cursor is at a number. */
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
