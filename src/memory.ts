/**
 * A text's bytes in memory of their own, for what is kept. Node cuts small buffers out of blocks that they share (`Buffer.poolSize`, 64 KiB),
 * and each holds its whole block: a few hundred bytes of a message, kept for hours, would hold all that was written in between.
 */
export function ownBytes(text: string, encoding: BufferEncoding = 'utf8'): Buffer {
  const bytes = Buffer.allocUnsafeSlow(Buffer.byteLength(text, encoding));
  bytes.write(text, encoding);
  return bytes;
}

/** The same for several that are kept for about as long as each other: one block for all, in their order. */
export function inOneBlock(all: readonly Uint8Array[]): Uint8Array[] {
  const block = Buffer.allocUnsafeSlow(all.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  return all.map((bytes) => {
    block.set(bytes, at);
    return block.subarray(at, at += bytes.length);
  });
}
