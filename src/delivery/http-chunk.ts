/** The end of a chunk, after its data. */
const CHUNK_END = '\r\n';

/** One chunk of `Transfer-Encoding: chunked` (RFC 9112, section 7.1) around some parts. */
export function httpChunk(parts: readonly Uint8Array[]): Buffer {
  return fill(parts, (length) => Buffer.allocUnsafe(length));
}

/** The same in memory of its own (runtime/memory.ts), for a chunk that is kept. */
export function keptHttpChunk(parts: readonly Uint8Array[]): Buffer {
  return fill(parts, (length) => Buffer.allocUnsafeSlow(length));
}

function fill(parts: readonly Uint8Array[], allocate: (length: number) => Buffer): Buffer {
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
  return buffer;
}
