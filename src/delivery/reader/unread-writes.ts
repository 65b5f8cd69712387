/** A stream whose client has not taken everything that was written to it. */
export interface Unread {
  /** Bytes that its socket has not handed to the kernel. */
  readonly unsent: number;
  /** Ends the stream: its client comes back with its position. */
  giveWay(): void;
}

/** The memory of one write besides its bytes, in the socket's queue and here. An estimate. */
const WRITE_OVERHEAD_BYTES = 256;

/** The writes that the socket of a stream still holds, in their order. */
interface Held {
  readonly writes: Uint8Array[];
  /** The bytes of these writes together. */
  bytes: number;
}

export interface UnreadWritesOptions {
  /** Stops streams that are not read from filling the memory, each with a write of its own. */
  readonly maxBytes: number;
}

/**
 * The writes that lie in the sockets of all streams. Thousands of streams may share one write: its memory counts once. Past the bound, the stream that
 * has held something for longest is closed. So slow clients are served as long as there is room, and those that came later are not closed for those before.
 */
export class UnreadWrites<Stream extends Unread> {
  readonly #maxBytes: number;
  /** In the order in which they began to hold something. */
  readonly #held = new Map<Stream, Held>();
  /** How many writes lie in each block of memory. */
  readonly #blocks = new Map<ArrayBufferLike, number>();
  #bytes = 0;

  constructor({ maxBytes }: UnreadWritesOptions) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** A write was made, and the kernel has not taken everything. It may end streams, this one among them. */
  add(stream: Stream, write: Uint8Array): void {
    let held = this.#held.get(stream);
    if (held === undefined) this.#held.set(stream, (held = { writes: [], bytes: 0 }));
    held.writes.push(write);
    held.bytes += write.length;
    this.#bytes += WRITE_OVERHEAD_BYTES;
    const { buffer } = write;
    const writes = this.#blocks.get(buffer);
    this.#blocks.set(buffer, (writes ?? 0) + 1);
    if (writes === undefined) this.#bytes += buffer.byteLength;
    this.#forgetSent(held, stream.unsent);
    if (this.#bytes > this.#maxBytes) this.#makeRoom();
  }

  /** The socket has handed over everything, or is gone. */
  delete(stream: Stream): void {
    const held = this.#held.get(stream);
    if (held === undefined) return;
    this.#held.delete(stream);
    this.#forgetSent(held, 0);
  }

  #makeRoom(): void {
    for (const stream of this.#held.keys()) {
      if (this.#bytes <= this.#maxBytes) return;
      // A socket that was never full does not tell that it is empty.
      if (stream.unsent > 0) stream.giveWay();
      this.delete(stream);
    }
  }

  /** The first write leaves first. */
  #forgetSent(held: Held, unsent: number): void {
    let sent = 0;
    while (sent < held.writes.length && held.bytes - held.writes[sent]!.length >= unsent) this.#forget(held, held.writes[sent++]!);
    if (sent > 0) held.writes.splice(0, sent);
  }

  #forget(held: Held, { length, buffer }: Uint8Array): void {
    held.bytes -= length;
    this.#bytes -= WRITE_OVERHEAD_BYTES;
    const writes = this.#blocks.get(buffer)! - 1;
    if (writes > 0) this.#blocks.set(buffer, writes);
    else {
      this.#blocks.delete(buffer);
      this.#bytes -= buffer.byteLength;
    }
  }
}
