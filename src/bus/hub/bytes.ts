import { MalformedCall } from './argument.ts';

/** Values of the frames between workers, one after the other: `append-frames.ts` and `appended-frames.ts` have the layouts. */

export const FLAGS_BYTES = 1;
export const COUNT_BYTES = 4;
export const F64_BYTES = 8;
const LENGTH_BYTES = 4;

/** The longest list in a frame. Stops a malformed frame from becoming millions of objects. */
export const LIST_MAX_ENTRIES = 10_000;

/** The bytes of a text and its length. */
export function textBytes(text: string): number {
  return LENGTH_BYTES + Buffer.byteLength(text);
}

/** Writes values one after the other into a buffer. The caller computed its size. */
export class ByteWriter {
  readonly #bytes: Buffer;
  #at: number;

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes;
    this.#at = at;
  }

  u8(value: number): void {
    this.#at = this.#bytes.writeUInt8(value, this.#at);
  }

  u32(value: number): void {
    this.#at = this.#bytes.writeUInt32BE(value, this.#at);
  }

  f64(value: number): void {
    this.#at = this.#bytes.writeDoubleBE(value, this.#at);
  }

  /** Writes the text's length, then the text. */
  text(value: string): void {
    const length = this.#bytes.write(value, this.#at + LENGTH_BYTES);
    this.u32(length);
    this.#at += length;
  }

  /** Writes the length of the bytes, then the bytes. */
  bytes(value: Uint8Array): void {
    this.u32(value.length);
    this.#bytes.set(value, this.#at);
    this.#at += value.length;
  }
}

/** Reads the values that a `ByteWriter` wrote. Throws `MalformedCall` if the bytes are malformed: any program of the same user can connect to the hub. */
export class ByteReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  u8(): number {
    return this.#bytes[this.#pass(1)]!;
  }

  u32(): number {
    return this.#bytes.readUInt32BE(this.#pass(LENGTH_BYTES));
  }

  /** A whole number that is not negative. */
  wholeNumber(name: string): number {
    const value = this.#bytes.readDoubleBE(this.#pass(F64_BYTES));
    if (!Number.isSafeInteger(value) || value < 0) throw new MalformedCall(name);
    return value;
  }

  text(name: string, maxCharacters: number): string {
    const length = this.u32();
    const from = this.#pass(length);
    const text = this.#bytes.toString('utf8', from, from + length);
    if (text.length > maxCharacters) throw new MalformedCall(name);
    return text;
  }

  /** @returns A slice of the input, not a copy. */
  bytes(): Buffer {
    const length = this.u32();
    const from = this.#pass(length);
    return this.#bytes.subarray(from, from + length);
  }

  /** Reads the number of items of a list. */
  count(name: string, max: number): number {
    const count = this.u32();
    if (count > max) throw new MalformedCall(name);
    return count;
  }

  /** Reads a list: the number of its items, then each item by `read`. */
  list<Item>(name: string, max: number, read: (reader: ByteReader) => Item): Item[] {
    const items: Item[] = [];
    for (let left = this.count(name, max); left > 0; left--) items.push(read(this));
    return items;
  }

  /** Throws if bytes follow the last value. */
  end(): void {
    if (this.#at !== this.#bytes.length) throw new MalformedCall('bytes after the last value');
  }

  /** Moves past the next bytes. @returns The offset of the first of them. */
  #pass(length: number): number {
    const from = this.#at;
    if (length > this.#bytes.length - from) throw new MalformedCall('too few bytes');
    this.#at = from + length;
    return from;
  }
}

/** @returns Undefined if `read` finds malformed bytes. */
export function unlessMalformed<Value>(read: () => Value): Value | undefined {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof MalformedCall)) throw error;
    return undefined;
  }
}
