/** The byte order marks of UTF-16, with which some editors begin files. */
const ENCODING_MARKS: readonly (readonly [bytes: Buffer, encoding: string])[] = [
  [Buffer.of(0xff, 0xfe), 'utf-16le'],
  [Buffer.of(0xfe, 0xff), 'utf-16be'],
];

/** Decodes the bytes of a text file as UTF-8 or UTF-16, without a byte order mark. Returns undefined if they are no text. */
export function textOf(bytes: Buffer): string | undefined {
  const encoding = ENCODING_MARKS.find(([mark]) => bytes.subarray(0, mark.length).equals(mark))?.[1] ?? 'utf-8';
  try {
    const text = new TextDecoder(encoding, { fatal: true }).decode(bytes);
    // UTF-16 without a byte order mark decodes as UTF-8, but with many NUL characters.
    return text.includes('\0') ? undefined : text;
  } catch {
    return undefined;
  }
}
