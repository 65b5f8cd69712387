import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Clock } from '../../runtime/clock.ts';
import type { Counters } from '../../runtime/counters.ts';
import { FairShares, type Holder, type Share } from '../../runtime/fair-shares.ts';

/**
 * Stops answers that their clients do not take, over all connections, from filling the memory. One packet can hold a thousand
 * requests for 4 MiB each.
 */
const OUTGOING_MAX_BYTES = 128 * 1024 * 1024;

/** A socket, and how much of the write that is under way the kernel has not taken yet. */
type WritingSocket = Socket & { readonly _handle?: { readonly writeQueueSize?: number } | null };

export interface OutgoingBytesDependencies {
  readonly counters: Pick<Counters, 'evicted'>;
  readonly clock: Pick<Clock, 'monotonic'>;
}

/**
 * Counts the bytes of answers until their clients have taken them. When there is no room, the client that holds most loses the connection with the newest of its answers; then one whose client
 * takes nothing makes room.
 */
export class OutgoingBytes {
  readonly #shares: FairShares;
  /** Of connections that are open. An answer that waits for earlier ones on its connection never hears that the connection has ended. */
  readonly #held = new WeakMap<Socket, Set<Share>>();

  constructor({ counters, clock }: OutgoingBytesDependencies) {
    this.#shares = new FairShares({ gate: 'answers', counters, clock });
  }

  /** Whether there is room for an answer. It then counts until it has left, or its client has. One is always let through. */
  admit(socket: Socket, response: ServerResponse, bytes: number, holder: Holder): boolean {
    if (!this.#hasRoom(bytes, holder)) return false;
    if (socket.destroyed) return true;
    const shares = this.#sharesOf(socket);
    const share = this.#shares.hold(holder, bytes, { takeBack: () => this.#cut(socket), progress: () => takenBytes(socket) });
    shares.add(share);
    response.once('finish', () => {
      share.release();
      shares.delete(share);
    });
    return true;
  }

  #hasRoom(bytes: number, holder: Holder): boolean {
    while (this.#shares.total > 0 && this.#shares.total + bytes > OUTGOING_MAX_BYTES) if (!this.#shares.makeRoom(holder, bytes)) return false;
    return true;
  }

  #sharesOf(socket: Socket): Set<Share> {
    const known = this.#held.get(socket);
    if (known !== undefined) return known;
    const shares = new Set<Share>();
    this.#held.set(socket, shares);
    socket.once('close', () => this.#release(shares));
    return shares;
  }

  /** An answer cannot be taken back alone: half of one is no answer. */
  #cut(socket: Socket): void {
    this.#release(this.#sharesOf(socket));
    socket.destroy();
  }

  #release(shares: Set<Share>): void {
    for (const share of shares) share.release();
    shares.clear();
  }
}

/** Grows as the kernel takes bytes: `writableLength` counts a write until the kernel has all of it. */
function takenBytes({ bytesWritten, writableLength, _handle: handle }: WritingSocket): number {
  return bytesWritten - writableLength - (handle?.writeQueueSize ?? 0);
}
