import type { FrameChunk } from '../../model/message.ts';

/** The end of a chunk, after its data. */
const CHUNK_END = '\r\n';

/** Says that the body is whole (RFC 9112, section 7.1). */
export const LAST_CHUNK = Buffer.from('0\r\n\r\n');

/** How a stream is written to its connection. */
export interface StreamFraming {
  /** Whether the client knows chunks: HTTP/1.1. */
  readonly chunked: boolean;
  /** Whether the stream ends with the last chunk when the client is sent away. Never without `chunked`. */
  readonly lastChunk: boolean;
}

/** A chunk that is kept, and knows where its data begins. */
export class HttpChunk implements FrameChunk {
  readonly bytes: Buffer;
  readonly #dataAt: number;

  constructor(bytes: Buffer, dataAt: number) {
    this.bytes = bytes;
    this.#dataAt = dataAt;
  }

  /** The bytes inside, for clients of HTTP/1.0, which know no chunks: a part of the same memory. */
  get data(): Buffer {
    return this.bytes.subarray(this.#dataAt, this.bytes.length - CHUNK_END.length);
  }
}

/** One chunk of `Transfer-Encoding: chunked` (RFC 9112, section 7.1) around some parts. */
export function httpChunk(parts: readonly Uint8Array[]): Buffer {
  return fill(parts, (length) => Buffer.allocUnsafe(length)).bytes;
}

/** As `httpChunk`, in memory of its own (runtime/memory.ts), for a chunk that is kept. */
export function keptHttpChunk(parts: readonly Uint8Array[]): HttpChunk {
  return fill(parts, (length) => Buffer.allocUnsafeSlow(length));
}

function fill(parts: readonly Uint8Array[], allocate: (length: number) => Buffer): HttpChunk {
  let length = 0;
  for (const part of parts) length += part.length;
  const size = `${length.toString(16)}\r\n`;
  const buffer = allocate(size.length + length + CHUNK_END.length);
  let at = buffer.write(size, 'latin1');
  for (const part of parts) {
    buffer.set(part, at);
    at += part.length;
  }
  buffer.write(CHUNK_END, at, 'latin1');
  return new HttpChunk(buffer, size.length);
}
