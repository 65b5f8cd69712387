import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Budget } from '../../runtime/budget.ts';

/** A text is held as it is, and as the bytes that the kernel has not taken. */
const TEXT_FACTOR = 2;

/** Counts the bytes of answers until their clients have taken them. One packet can hold a thousand requests for 4 MiB each. */
export class OutgoingBytes {
  readonly #budget: Budget;
  /** Of connections that are open. An answer that waits for earlier ones on its connection never hears that the connection has ended. */
  readonly #held = new WeakMap<Socket, number>();

  constructor(budget: Budget) {
    this.#budget = budget;
  }

  /** Whether there is room for an answer. It then counts until it has left, or its client has. */
  admit(socket: Socket, response: ServerResponse, body: unknown): boolean {
    const bytes = sizeOf(body);
    if (!this.#budget.take(bytes)) return false;
    this.#hold(socket, response, bytes);
    return true;
  }

  /** The same for what is answered in any case, such as that something was stored. */
  add(socket: Socket, response: ServerResponse, body: unknown): void {
    const bytes = sizeOf(body);
    this.#budget.mustTake(bytes);
    this.#hold(socket, response, bytes);
  }

  #hold(socket: Socket, response: ServerResponse, bytes: number): void {
    if (socket.destroyed) {
      this.#budget.give(bytes);
      return;
    }
    if (!this.#held.has(socket)) {
      this.#held.set(socket, 0);
      socket.once('close', () => {
        this.#budget.give(this.#held.get(socket)!);
        this.#held.delete(socket);
      });
    }
    this.#held.set(socket, this.#held.get(socket)! + bytes);
    response.once('finish', () => {
      const held = this.#held.get(socket);
      if (held === undefined) return;
      this.#budget.give(bytes);
      this.#held.set(socket, held - bytes);
    });
  }
}

/** Bytes. */
function sizeOf(body: unknown): number {
  return Buffer.isBuffer(body) ? body.length : typeof body === 'string' ? TEXT_FACTOR * body.length : 0;
}
