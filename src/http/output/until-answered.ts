import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Budget } from '../../runtime/budget.ts';

/** Counts bytes that are held for a request until its answer has left, or its client has. */
export class UntilAnswered {
  readonly #budget: Budget;
  /** Of connections that are open. An answer that waits for earlier ones on its connection never hears that the connection has ended. */
  readonly #held = new WeakMap<Socket, number>();

  constructor(budget: Budget) {
    this.#budget = budget;
  }

  /** Returns whether there is room. */
  take(socket: Socket, response: ServerResponse, bytes: number): boolean {
    if (!this.#budget.take(bytes)) return false;
    this.#hold(socket, response, bytes);
    return true;
  }

  /** The same for what cannot be refused. */
  mustTake(socket: Socket, response: ServerResponse, bytes: number): void {
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
