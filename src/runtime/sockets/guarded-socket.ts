import type { Socket } from 'node:net';

/**
 * This room knows sockets and the kernel's tables of them. Connections to other servers come in, and are guarded against answers that are too long.
 * Ports are taken for one process alone. The rows of the kernel's table go out.
 */

/**
 * Where the messages end that `bytes` begin with: the end of the first, or of several at once. A number beyond `bytes.length` says that the first is
 * not whole yet. Throws when no message that may come begins so.
 */
export type Framing = (bytes: Buffer) => number;

/**
 * Puts a check between a socket and the library that reads it. The library gets whole messages, which `framing` found sound. An error of `framing`, or of a
 * listener of the library, destroys the socket with that error. Node would end the process: nobody catches what a listener of a socket throws.
 */
export function guardSocket(socket: Socket, framing: Framing): void {
  const unfinished = new Unfinished();
  const emit = socket.emit.bind(socket) as (event: string | symbol, ...args: unknown[]) => boolean;
  const receive = (chunk: Buffer): void => {
    const bytes = unfinished.followedBy(chunk);
    let from = 0;
    while (from < bytes.length && !socket.destroyed) {
      const end = from + framing(bytes.subarray(from));
      if (end > bytes.length) break;
      emit('data', bytes.subarray(from, end));
      from = end;
    }
    unfinished.keep(bytes, from);
  };
  socket.emit = (event: string | symbol, ...args: unknown[]): boolean => {
    if (event !== 'data') return emit(event, ...args);
    try {
      receive(args[0] as Buffer);
    } catch (error) {
      socket.destroy(error instanceof Error ? error : new Error(String(error)));
    }
    return true;
  };
}

/** The beginning of a message that is not whole yet. Its block doubles as bytes arrive, so memory grows with the received bytes and not with the announced length. */
class Unfinished {
  #block: Buffer = Buffer.alloc(0);
  #length = 0;

  followedBy(chunk: Buffer): Buffer {
    if (this.#length === 0) return chunk;
    const length = this.#length + chunk.length;
    if (length > this.#block.length) {
      const block = Buffer.allocUnsafeSlow(2 * length);
      this.#block.copy(block, 0, 0, this.#length);
      this.#block = block;
    }
    chunk.copy(this.#block, this.#length);
    this.#length = length;
    return this.#block.subarray(0, length);
  }

  /** Keeps `bytes` from `from` on. A block that the library has is never written to again: the next chunk gets a new one. */
  keep(bytes: Buffer, from: number): void {
    if (from === 0 && this.#length === bytes.length) return;
    this.#block = bytes.subarray(from);
    this.#length = this.#block.length;
  }
}
