import type { SendQueue } from '../../runtime/sockets/tcp-rows.ts';
import type { Clock } from '../../runtime/clock.ts';

/** A stream whose socket may be full. */
export interface Fillable {
  /** Bytes that its socket has not handed to the kernel yet. Each byte that the client takes lowers one of these numbers. */
  readonly unsentBytes: readonly number[];
}

/** The result of the last look. */
interface Look {
  /** When a look last saw the client take something. By the monotonic clock, in milliseconds. */
  readonly since: number;
  readonly unsent: readonly number[];
  /** Bytes in the kernel's send queue; undefined where the table does not tell. */
  readonly queued: number | undefined;
}

/**
 * The streams whose socket is full, and since when their clients have taken nothing. A slow client takes minutes for a large message, and is not stalled while bytes leave.
 * The kernel's send queue may hold megabytes, and shrinks before the socket's own does.
 */
export class FullSockets<Stream extends Fillable> {
  readonly #clock: Clock;
  /** In the order of `since`. */
  readonly #looks = new Map<Stream, Look>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A write has found the stream's socket full. */
  add(stream: Stream): void {
    this.#looks.set(stream, { since: this.#clock.monotonic(), unsent: stream.unsentBytes, queued: undefined });
  }

  /** The stream's socket has drained, or is closed. */
  delete(stream: Stream): void {
    this.#looks.delete(stream);
  }

  has(stream: Stream): boolean {
    return this.#looks.has(stream);
  }

  [Symbol.iterator](): Iterator<Stream> {
    return this.#looks.keys();
  }

  /** Whether, by the looks taken, a client has taken nothing for this time in milliseconds. Only another look can tell whether that goes on. */
  isDue(milliseconds: number): boolean {
    const { value: first } = this.#looks.values().next();
    return first !== undefined && first.since + milliseconds <= this.#clock.monotonic();
  }

  /**
   * Looks at all of them.
   *
   * @param queues The kernel's send queues, as far as the table tells them.
   * @returns The streams whose client has taken nothing for this time in milliseconds.
   */
  look(queues: ReadonlyMap<Stream, SendQueue>, milliseconds: number): Stream[] {
    const now = this.#clock.monotonic();
    const stalled: Stream[] = [];
    for (const [stream, before] of [...this.#looks]) {
      const unsent = stream.unsentBytes;
      const queued = queues.get(stream)?.bytes;
      if (hasShrunk(before, unsent, queued)) {
        this.#looks.delete(stream);
        this.#looks.set(stream, { since: now, unsent, queued });
        continue;
      }
      this.#looks.set(stream, { since: before.since, unsent, queued });
      if (before.since + milliseconds <= now) stalled.push(stream);
    }
    return stalled;
  }
}

function hasShrunk(before: Look, unsent: readonly number[], queued: number | undefined): boolean {
  return unsent.some((bytes, index) => bytes < before.unsent[index]!) || (queued !== undefined && before.queued !== undefined && queued < before.queued);
}
