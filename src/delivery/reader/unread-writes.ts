/** A stream whose client has not taken everything that was written to it. */
export interface Unread {
  /** Bytes that the socket has not handed to the kernel. */
  readonly unsent: number;
  /** Ends the stream: its client comes back with its position. */
  giveWay(): void;
}

/** The estimated memory of one write without its bytes: an entry in the socket's queue, and an entry here. */
const WRITE_OVERHEAD_BYTES = 256;

/** The writes of one stream that its socket has not handed to the kernel, in order. */
interface Held {
  readonly writes: Uint8Array[];
  /** The bytes of these writes together. */
  bytes: number;
}

export interface UnreadWritesOptions {
  /** The most memory of unread writes. Stops many streams whose clients do not read from filling the memory, each with one write. */
  readonly maxBytes: number;
}

/**
 * The unread writes of all streams. Thousands of streams may share one write, whose memory counts once. Above the bound, the stream that has had unread bytes for the
 * longest time is evicted. So slow clients are served while there is room, and a client that became slow later is evicted later.
 *
 * Example: one block of 64 KiB was written to 1,000 slow streams. It counts as 64 KiB and 1,000 times `WRITE_OVERHEAD_BYTES`, until the last of them has sent it.
 */
export class UnreadWrites<Stream extends Unread> {
  readonly #maxBytes: number;
  /** In the order in which the streams began to have unread bytes. */
  readonly #held = new Map<Stream, Held>();
  /** How many unread writes use each block of memory. */
  readonly #blocks = new Map<ArrayBufferLike, number>();
  #bytes = 0;

  constructor({ maxBytes }: UnreadWritesOptions) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Call it after a write that the kernel did not take as a whole. It may evict streams, including this stream. */
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

  /** Call it when the socket has handed all bytes to the kernel, or has closed. */
  delete(stream: Stream): void {
    const held = this.#held.get(stream);
    if (held === undefined) return;
    this.#held.delete(stream);
    this.#forgetSent(held, 0);
  }

  #makeRoom(): void {
    for (const stream of this.#held.keys()) {
      if (this.#bytes <= this.#maxBytes) return;
      // A socket that never reached its high-water mark emits no `drain`, so it may be empty here.
      if (stream.unsent > 0) stream.giveWay();
      this.delete(stream);
    }
  }

  /** Forgets the oldest writes, as far as the unsent bytes show that they have left. */
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
