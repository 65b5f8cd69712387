/**
 * A copy in memory of its own, for bytes that are kept. Node cuts small buffers out of shared blocks (`Buffer.poolSize`, 64 KiB), and parts of a socket's input out of
 * one read. Each keeps its whole block in memory: a small message that is kept for hours would keep many others.
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

/** Shorter parts of a text are copied by V8 itself. */
const SHARED_MIN_CHARACTERS = 13;

/**
 * A copy of a text that keeps nothing else in memory. V8 makes a substring by pointing into the longer text. A topic's name would keep the whole head of its
 * request in memory for hours, with its cookies.
 */
export function ownText(text: string): string {
  return text.length < SHARED_MIN_CHARACTERS ? text : Buffer.from(text).toString();
}
