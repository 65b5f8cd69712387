import type { Socket } from 'node:net';

/**
 * Tools for sockets. guarded-socket.ts checks the answers of other servers before their client libraries parse them. exclusive-port.ts finds out whether a port is free, and cannot-listen.ts
 * says why it is not. tcp-table.ts reads the kernel's table of connections, with tcp-rows.ts as its parser.
 */

/**
 * Finds the end of the first message in `bytes`, or of several messages at once. Returns a number beyond `bytes.length` if the first message is not complete yet. Throws if
 * the server may not send such a message.
 */
export type Framing = (bytes: Buffer) => number;

/**
 * Puts a check between a socket and the library that reads it. The library gets only complete messages that `framing` has accepted. An error of `framing`, or of a
 * listener of the library, destroys the socket. Otherwise Node would end the process, because nothing catches the error of a socket's listener.
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

/** The beginning of an incomplete message. Its block doubles as bytes arrive, so memory grows with the received bytes, not with the announced length. */
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

  /** Keeps `bytes` from `from` on. The library may still use the bytes before, so the next chunk goes into a new block. */
  keep(bytes: Buffer, from: number): void {
    if (from === 0 && this.#length === bytes.length) return;
    this.#block = bytes.subarray(from);
    this.#length = this.#block.length;
  }
}
