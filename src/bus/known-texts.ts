import { isUtf8 } from 'node:buffer';

/** The size of the table. Bounds its memory. A power of two. */
const KNOWN_TEXTS_MAX_ENTRIES = 4096;

/**
 * A cache of short texts that come repeatedly as bytes, such as the topics of messages from the bus. A text in the cache is not decoded and checked again, and all messages share it.
 * It is a hash table without chains: a text displaces another text with the same hash. A text that is not ASCII is decoded and checked every time.
 */
export class KnownTexts {
  readonly #isGood: (text: string) => boolean;
  readonly #known = new Array<string>(KNOWN_TEXTS_MAX_ENTRIES).fill('');

  /** @param isGood Whether a text may be used. */
  constructor(isGood: (text: string) => boolean) {
    this.#isGood = isGood;
  }

  /** The text between two offsets; undefined if it is not UTF-8, or not good. */
  read(bytes: Buffer, from: number, to: number): string | undefined {
    const place = placeOf(bytes, from, to);
    const known = this.#known[place]!;
    if (from < to && isAscii(known, bytes, from, to)) return known;
    const part = bytes.subarray(from, to);
    if (!isUtf8(part)) return undefined;
    const text = part.toString();
    if (!this.#isGood(text)) return undefined;
    // Cache only ASCII: `isAscii` compares characters with bytes, so for other texts it would accept bytes that are not UTF-8.
    if (text.length === part.length) this.#known[place] = text;
    return text;
  }
}

/** FNV-1a. */
function placeOf(bytes: Uint8Array, from: number, to: number): number {
  let hash = 0x811c9dc5;
  for (let at = from; at < to; at++) hash = Math.imul(hash ^ bytes[at]!, 0x01000193);
  return (hash ^ (hash >>> 16)) & (KNOWN_TEXTS_MAX_ENTRIES - 1);
}

/** Whether these bytes are this text. @param text Only ASCII. */
function isAscii(text: string, bytes: Uint8Array, from: number, to: number): boolean {
  if (text.length !== to - from) return false;
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) !== bytes[from + at]) return false;
  return true;
}
