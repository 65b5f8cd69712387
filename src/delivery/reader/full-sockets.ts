import type { SendQueue } from '../../runtime/sockets/tcp-rows.ts';
import type { Clock } from '../../runtime/clock.ts';

/** A stream whose socket may be full. */
export interface Fillable {
  /** Counts of bytes that the socket has not handed to the kernel yet. If the client takes bytes and nothing new is written, a count shrinks. */
  readonly unsentBytes: readonly number[];
}

/** The result of the last look at one stream. */
interface Look {
  /** When a look last found that the client had taken bytes, or when the socket became full. By the monotonic clock, in milliseconds. */
  readonly since: number;
  readonly unsent: readonly number[];
  /** Bytes in the kernel's send queue; undefined if the kernel's table does not list the connection. */
  readonly queued: number | undefined;
}

/**
 * The streams whose sockets are full, and for how long their clients have taken nothing. A slow client may need minutes for a large message, and is not stalled while bytes
 * leave. So a look also compares the kernel's send queue: it may contain megabytes, and shrinks before the socket's own counts do.
 */
export class FullSockets<Stream extends Fillable> {
  readonly #clock: Clock;
  /** In the order of `since`. */
  readonly #looks = new Map<Stream, Look>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Call it when a write has made the stream's socket full. */
  add(stream: Stream): void {
    this.#looks.set(stream, { since: this.#clock.monotonic(), unsent: stream.unsentBytes, queued: undefined });
  }

  /** Call it when the stream's socket has drained or closed. */
  delete(stream: Stream): void {
    this.#looks.delete(stream);
  }

  has(stream: Stream): boolean {
    return this.#looks.has(stream);
  }

  [Symbol.iterator](): Iterator<Stream> {
    return this.#looks.keys();
  }

  /** Whether a client may be stalled: the looks so far found no progress for this time in milliseconds. Only another look shows whether it is. */
  isDue(milliseconds: number): boolean {
    const { value: first } = this.#looks.values().next();
    return first !== undefined && first.since + milliseconds <= this.#clock.monotonic();
  }

  /**
   * Looks at all streams with full sockets.
   *
   * @param queues The kernel's send queues, for the streams that its table lists.
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
