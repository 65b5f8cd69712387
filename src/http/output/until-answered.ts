import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Hold, type Budget } from '../../runtime/sharing/budget.ts';
import type { Evictable, Holder } from '../../runtime/sharing/fair-shares.ts';

/** A request that is not answered yet, and who sent it. */
export interface Asked {
  readonly socket: Socket;
  readonly response: ServerResponse;
  readonly holder: Holder;
}

/** Counts the memory of a request until its answer was sent, or its client has left. Eviction ends the connection, because half an answer is of no use. */
export class UntilAnswered {
  readonly #budget: Budget;
  readonly #standing: (socket: Socket) => Omit<Evictable, 'takeBack'>;
  /** The holds of open connections. An answer that waits for earlier ones on its connection never learns that the connection has ended. */
  readonly #held = new WeakMap<Socket, Set<Hold>>();

  /** @param standing Tells how to see whether a connection makes progress: see `Evictable`. */
  constructor(budget: Budget, standing: (socket: Socket) => Omit<Evictable, 'takeBack'>) {
    this.#budget = budget;
    this.#standing = standing;
  }

  /** Returns whether there is room. */
  take(asked: Asked, bytes: number): boolean {
    const hold = this.#newHold(asked);
    if (!hold.grow(bytes)) return false;
    this.#keep(hold, asked);
    return true;
  }

  /** As `take`, for answers that cannot be refused. */
  mustTake(asked: Asked, bytes: number): void {
    const hold = this.#newHold(asked);
    hold.mustGrow(bytes);
    this.#keep(hold, asked);
  }

  #newHold({ socket, holder }: Asked): Hold {
    const hold = new Hold(this.#budget, holder);
    hold.loosen({ ...this.#standing(socket), takeBack: () => this.#cut(socket) });
    return hold;
  }

  #keep(hold: Hold, { socket, response }: Asked): void {
    if (socket.destroyed) {
      hold.release();
      return;
    }
    const holds = this.#holdsOf(socket);
    holds.add(hold);
    response.once('finish', () => {
      hold.release();
      holds.delete(hold);
    });
  }

  #holdsOf(socket: Socket): Set<Hold> {
    const known = this.#held.get(socket);
    if (known !== undefined) return known;
    const holds = new Set<Hold>();
    this.#held.set(socket, holds);
    // A connection that the HTTP server lets go of is told so, too. Then the next answer listens again.
    socket.once('close', () => this.#release(socket));
    return holds;
  }

  #cut(socket: Socket): void {
    this.#release(socket);
    socket.destroy();
  }

  #release(socket: Socket): void {
    const holds = this.#held.get(socket);
    if (holds === undefined) return;
    this.#held.delete(socket);
    for (const hold of holds) hold.release();
  }
}
