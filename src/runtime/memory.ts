/**
 * Copies bytes into memory of their own, so that they can be kept for long. Node cuts small buffers out of shared blocks (`Buffer.poolSize`, 64 KiB), and parts of a socket's
 * input out of one read. Such a part keeps its whole block in memory.
 */
export function ownCopy(bytes: Uint8Array): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  copy.set(bytes);
  return copy;
}

/** Copies several buffers with about the same lifetime into one block, in their order. */
export function inOneBlock(all: readonly Uint8Array[]): Uint8Array[] {
  const block = Buffer.allocUnsafeSlow(all.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  return all.map((bytes) => {
    block.set(bytes, at);
    return block.subarray(at, at += bytes.length);
  });
}

/** V8 itself copies substrings that are shorter than this. */
const SHARED_MIN_CHARACTERS = 13;

/**
 * Copies a text into memory of its own. For V8 a substring is a pointer into the longer text, which stays in memory. So a kept topic would keep the whole head of
 * its request, cookies included.
 */
export function ownText(text: string): string {
  return text.length < SHARED_MIN_CHARACTERS ? text : Buffer.from(text).toString();
}
