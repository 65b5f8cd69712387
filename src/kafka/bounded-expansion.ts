import { compressionsAlgorithms } from '@platformatic/kafka';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';

/** The most bytes to which the batches of one answer may expand together. Stops a decompression bomb from filling the memory. */
export const EXPANDED_MAX_BYTES = 128 * 1024 * 1024;

/** The largest expansion of a block of LZ4, and the layout of a frame (https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md). */
const LZ4_MAX_FACTOR = 255;
const LZ4_MAGIC_CODE = 0x184d2204;
const LZ4_HEAD_BYTES = 7;
const LZ4_WORD_BYTES = 4;
const LZ4_CONTENT_SIZE_BYTES = 8;
/** Flags of such a frame, by their names in the format. */
const LZ4_FLAG = { dictionaryId: 1, contentChecksum: 4, contentSize: 8, blockChecksum: 16 } as const;

/** The framing that Java writes around blocks of Snappy: a magic number and two versions, then each block after its length. */
const XERIAL_BEGINNING = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]);
const XERIAL_HEAD_BYTES = 16;

/** The batches of an answer expand to more than `EXPANDED_MAX_BYTES`. The connection still works. */
export class ExpandsTooFar extends Error {
  override name = 'ExpandsTooFar';

  constructor() {
    super(`compressed records expand to more than ${EXPANDED_MAX_BYTES} bytes`);
  }
}

type Compressed = Parameters<typeof compressionsAlgorithms.gzip.decompressSync>[0];

/** Bytes expanded in this turn of the event loop. The client library expands all batches of an answer in one turn. */
let expandedBytes = 0;
let isBound = false;

/** Replaces the client library's functions that expand records, because they have no bound. */
export function boundExpansion(): void {
  if (isBound) return;
  isBound = true;
  const { gzip, snappy, lz4, zstd } = compressionsAlgorithms;
  const unpackSnappy = snappy.decompressSync.bind(snappy);
  const unpackLz4 = lz4.decompressSync.bind(lz4);
  replace(gzip, (data) => expanded((maxOutputLength) => gunzipSync(bytesOf(data), { maxOutputLength })));
  replace(zstd, (data) => expanded((maxOutputLength) => zstdDecompressSync(bytesOf(data), { maxOutputLength })));
  replace(snappy, (data) => expandedWithin(snappyBound(bytesOf(data)), () => unpackSnappy(data)));
  replace(lz4, (data) => expandedWithin(lz4Bound(bytesOf(data)), () => unpackLz4(data)));
}

function replace(algorithm: { readonly decompressSync: (data: Compressed) => Buffer }, decompressSync: (data: Compressed) => Buffer): void {
  Object.assign(algorithm, { decompressSync });
}

function bytesOf(data: Compressed): Buffer {
  return Buffer.isBuffer(data) ? data : data.buffer;
}

function expanded(expand: (maxOutputLength: number) => Buffer): Buffer {
  const left = EXPANDED_MAX_BYTES - expandedBytes;
  if (left <= 0) throw new ExpandsTooFar();
  try {
    const buffer = expand(left);
    count(buffer.length);
    return buffer;
  } catch (error) {
    if (error instanceof RangeError && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE') throw new ExpandsTooFar();
    throw error;
  }
}

function expandedWithin(most: number, expand: () => Buffer): Buffer {
  if (expandedBytes + most > EXPANDED_MAX_BYTES) throw new ExpandsTooFar();
  const buffer = expand();
  count(buffer.length);
  return buffer;
}

function count(bytes: number): void {
  if (expandedBytes === 0) {
    setImmediate(() => {
      expandedBytes = 0;
    });
  }
  expandedBytes += bytes;
}

/** How far Snappy expands: each block begins with its expanded length. */
function snappyBound(bytes: Buffer): number {
  if (!bytes.subarray(0, XERIAL_BEGINNING.length).equals(XERIAL_BEGINNING)) return snappyLength(bytes);
  let sum = 0;
  for (let at = XERIAL_HEAD_BYTES; at + 4 <= bytes.length;) {
    const length = bytes.readUInt32BE(at);
    sum += snappyLength(bytes.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return sum;
}

function snappyLength(bytes: Buffer): number {
  let length = 0;
  for (let index = 0; index < 5 && index < bytes.length; index++) {
    length += (bytes[index]! & 0x7f) * 2 ** (7 * index);
    if (bytes[index]! < 0x80) break;
  }
  return length;
}

/** The most that frames of LZ4 expand to, computed from the lengths of their blocks. @throws Error if they are no frames */
function lz4Bound(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at < bytes.length;) {
    if (at + LZ4_HEAD_BYTES > bytes.length || bytes.readUInt32LE(at) !== LZ4_MAGIC_CODE) throw new Error('compressed records are no frame of LZ4');
    const flags = bytes[at + 4]!;
    const blockMax = 2 ** (8 + 2 * ((bytes[at + 5]! >> 4) & 7));
    at += LZ4_HEAD_BYTES + ((flags & LZ4_FLAG.contentSize) === 0 ? 0 : LZ4_CONTENT_SIZE_BYTES) + ((flags & LZ4_FLAG.dictionaryId) === 0 ? 0 : LZ4_WORD_BYTES);
    for (let isLast = false; !isLast && at + LZ4_WORD_BYTES <= bytes.length;) {
      // The highest bit says that the block is not compressed.
      const length = bytes.readUInt32LE(at) & 0x7fffffff;
      sum += Math.min(blockMax, length * LZ4_MAX_FACTOR);
      isLast = length === 0;
      at += LZ4_WORD_BYTES + length + (isLast || (flags & LZ4_FLAG.blockChecksum) === 0 ? 0 : LZ4_WORD_BYTES);
    }
    at += (flags & LZ4_FLAG.contentChecksum) === 0 ? 0 : LZ4_WORD_BYTES;
  }
  return sum;
}
