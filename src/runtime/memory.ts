/**
 * A copy in memory of its own, for what is kept. Node cuts small buffers out of blocks that they share (`Buffer.poolSize`, 64 KiB), and what is read from a
 * socket out of what came with it; each holds its whole block: a few hundred bytes of a message, kept for hours, would hold all that was written in between.
 */
export function ownCopy(bytes: Uint8Array): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  copy.set(bytes);
  return copy;
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

/** Shorter parts of a text are copied by V8 itself. */
const SHARED_MIN_CHARACTERS = 13;

/**
 * A copy of a text that keeps nothing else in memory. V8 makes a part of a longer text by pointing into it: a topic's name would
 * keep the whole head of its request for hours, cookies and all.
 */
export function ownText(text: string): string {
  return text.length < SHARED_MIN_CHARACTERS ? text : Buffer.from(text).toString();
}
