import { MalformedCall } from './argument.ts';

const LENGTH_BYTES = 4;
const F64_BYTES = 8;

/** How many bytes a text takes with its length. */
export function textBytes(text: string): number {
  return LENGTH_BYTES + Buffer.byteLength(text);
}

/** Writes values one after the other into bytes that have room for all. */
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

  /** After its length. */
  text(value: string): void {
    const length = this.#bytes.write(value, this.#at + LENGTH_BYTES);
    this.u32(length);
    this.#at += length;
  }

  /** After their length. */
  bytes(value: Uint8Array): void {
    this.u32(value.length);
    this.#bytes.set(value, this.#at);
    this.#at += value.length;
  }
}

/** Reads such values. Throws `MalformedCall` if the bytes are malformed: any program of the same user may connect. */
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

  /** Shares its memory with the input. */
  bytes(): Buffer {
    const length = this.u32();
    const from = this.#pass(length);
    return this.#bytes.subarray(from, from + length);
  }

  /** Throws if bytes are left. */
  end(): void {
    if (this.#at !== this.#bytes.length) throw new MalformedCall('bytes are left');
  }

  /** Moves past the next bytes. @returns The offset of the first. */
  #pass(length: number): number {
    const from = this.#at;
    if (length > this.#bytes.length - from) throw new MalformedCall('too few bytes');
    this.#at = from + length;
    return from;
  }
}
