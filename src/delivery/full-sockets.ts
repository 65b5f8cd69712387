import type { Clock } from '../runtime/clock.ts';
import type { Reader } from './reader.ts';

/** The readers whose socket is full, and since when: a client that takes nothing for too long is cut off. */
export class FullSockets {
  readonly #clock: Clock;
  /** By the monotonic clock, in milliseconds; in the order in which they were found full. */
  readonly #since = new Map<Reader, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A write has found the reader's socket full. */
  add(reader: Reader): void {
    this.#since.set(reader, this.#clock.monotonic());
  }

  /** The reader's socket has drained, or is closed. */
  delete(reader: Reader): void {
    this.#since.delete(reader);
  }

  /** Ends the streams whose socket has been full for so many milliseconds. Returns how many these were. */
  abortStalled(milliseconds: number): number {
    const limit = this.#clock.monotonic() - milliseconds;
    let count = 0;
    for (const [reader, since] of this.#since) {
      if (since > limit) break;
      reader.abort();
      count++;
    }
    return count;
  }
}
