/** How editors begin files that are not UTF-8: the byte order marks of UTF-16. */
const ENCODING_MARKS: readonly (readonly [bytes: Buffer, encoding: string])[] = [
  [Buffer.of(0xff, 0xfe), 'utf-16le'],
  [Buffer.of(0xfe, 0xff), 'utf-16be'],
];

/** Decodes a text file as UTF-8 or UTF-16, and removes the byte order mark. undefined: they are no text. */
export function textOf(bytes: Buffer): string | undefined {
  const encoding = ENCODING_MARKS.find(([mark]) => bytes.subarray(0, mark.length).equals(mark))?.[1] ?? 'utf-8';
  try {
    const text = new TextDecoder(encoding, { fatal: true }).decode(bytes);
    // UTF-16 without a byte order mark is valid UTF-8, full of these.
    return text.includes('\0') ? undefined : text;
  } catch {
    return undefined;
  }
}
