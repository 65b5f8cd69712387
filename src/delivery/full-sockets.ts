import type { Clock } from '../runtime/clock.ts';

/** A stream that can be ended at once. */
export interface Abortable {
  abort(): void;
}

/** The streams whose socket is full, and since when: a client that takes nothing for too long is cut off. */
export class FullSockets {
  readonly #clock: Clock;
  /** By the monotonic clock, in milliseconds; in the order in which they were found full. */
  readonly #since = new Map<Abortable, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A write has found the stream's socket full. */
  add(stream: Abortable): void {
    this.#since.set(stream, this.#clock.monotonic());
  }

  /** The stream's socket has drained, or is closed. */
  delete(stream: Abortable): void {
    this.#since.delete(stream);
  }

  /** Ends the streams whose socket has been full for so many milliseconds. Returns how many these were. */
  abortStalled(milliseconds: number): number {
    const limit = this.#clock.monotonic() - milliseconds;
    let count = 0;
    for (const [stream, since] of this.#since) {
      if (since > limit) break;
      stream.abort();
      count++;
    }
    return count;
  }
}
