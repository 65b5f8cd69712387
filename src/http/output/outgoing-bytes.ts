import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Budget } from '../../runtime/budget.ts';
import { UntilAnswered } from './until-answered.ts';

/** A text is held as it is, and as the bytes that the kernel has not taken. */
const TEXT_FACTOR = 2;

/** A smaller answer counts for nothing: it would cost more than it holds, and Node reads no more requests of a connection whose client leaves many of them. */
const SMALL_ANSWER_BYTES = 4 * 1024;

/** Counts the bytes of answers until their clients have taken them. One packet can hold a thousand requests for 4 MiB each. */
export class OutgoingBytes {
  readonly #held: UntilAnswered;

  constructor(budget: Budget) {
    this.#held = new UntilAnswered(budget);
  }

  /** Whether there is room for an answer. It then counts until it has left, or its client has. */
  admit(socket: Socket, response: ServerResponse, body: unknown): boolean {
    const bytes = sizeOf(body);
    return bytes <= SMALL_ANSWER_BYTES || this.#held.take(socket, response, bytes);
  }

  /** The same for what is answered in any case, such as that something was stored. */
  add(socket: Socket, response: ServerResponse, body: unknown): void {
    const bytes = sizeOf(body);
    if (bytes > SMALL_ANSWER_BYTES) this.#held.mustTake(socket, response, bytes);
  }
}

/** Bytes. */
function sizeOf(body: unknown): number {
  return Buffer.isBuffer(body) ? body.length : typeof body === 'string' ? TEXT_FACTOR * body.length : 0;
}
