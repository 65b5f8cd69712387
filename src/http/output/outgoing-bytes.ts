import type { Socket } from 'node:net';
import type { Budget } from '../../runtime/sharing/budget.ts';
import { UntilAnswered, type Asked } from './until-answered.ts';

/** A text is held as it is, and as the bytes that the kernel has not taken. */
const TEXT_FACTOR = 2;

/** Smaller answers are not counted. The count would cost more than they hold, and Node stops reading requests of a client that leaves many answers unread. */
const SMALL_ANSWER_BYTES = 4 * 1024;

/** A socket, and how much of the write that is under way the kernel has not taken yet. */
type WritingSocket = Socket & { readonly _handle?: { readonly writeQueueSize?: number } | null };

/**
 * Counts the bytes of answers until their clients have read them. One packet can hold a thousand requests for 4 MiB each. When there is no room, the client with the most bytes loses the connection
 * with its newest answer. If no client has more than the others, a connection without progress ends.
 */
export class OutgoingBytes {
  readonly #held: UntilAnswered;

  constructor(budget: Budget) {
    this.#held = new UntilAnswered(budget, (socket) => ({ progress: () => takenBytes(socket) }));
  }

  /** Whether there is room for an answer. It then counts until it has left, or its client has. */
  admit(asked: () => Asked, body: unknown): boolean {
    const bytes = sizeOf(body);
    return bytes <= SMALL_ANSWER_BYTES || this.#held.take(asked(), bytes);
  }

  /** Counts an answer that must be sent even without room, such as the receipt of a stored message. */
  add(asked: () => Asked, body: unknown): void {
    const bytes = sizeOf(body);
    if (bytes > SMALL_ANSWER_BYTES) this.#held.mustTake(asked(), bytes);
  }
}

/** Bytes. */
function sizeOf(body: unknown): number {
  return Buffer.isBuffer(body) ? body.length : typeof body === 'string' ? TEXT_FACTOR * body.length : 0;
}

/** Grows as the kernel takes bytes: `writableLength` counts a write until the kernel has all of it. */
function takenBytes({ bytesWritten, writableLength, _handle: handle }: WritingSocket): number {
  return bytesWritten - writableLength - (handle?.writeQueueSize ?? 0);
}
