import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/**
 * Stops answers that their clients do not take, over all connections, from filling the memory. One packet can hold a thousand
 * requests for 4 MiB each.
 */
const OUTGOING_MAX_BYTES = 128 * 1024 * 1024;

/** Counts the bytes of answers until their clients have taken them. */
export class OutgoingBytes {
  #bytes = 0;
  /** Of connections that are open. An answer that waits for earlier ones on its connection never hears that the connection has ended. */
  readonly #held = new WeakMap<Socket, number>();

  /** Whether there is room for an answer. It then counts until it has left, or its client has. One is always let through. */
  admit(socket: Socket, response: ServerResponse, bytes: number): boolean {
    if (this.#bytes > 0 && this.#bytes + bytes > OUTGOING_MAX_BYTES) return false;
    if (socket.destroyed) return true;
    if (!this.#held.has(socket)) {
      this.#held.set(socket, 0);
      socket.once('close', () => {
        this.#add(socket, -this.#held.get(socket)!);
        this.#held.delete(socket);
      });
    }
    this.#add(socket, bytes);
    response.once('finish', () => {
      if (this.#held.has(socket)) this.#add(socket, -bytes);
    });
    return true;
  }

  #add(socket: Socket, bytes: number): void {
    this.#bytes += bytes;
    this.#held.set(socket, this.#held.get(socket)! + bytes);
  }
}
