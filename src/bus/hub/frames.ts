import type { Framing } from '../../runtime/sockets/guarded-socket.ts';

/**
 * The frames on the sockets of the hub, in both directions:
 *
 *     length u32, big-endian, of what comes after it | kind u8 | body
 *
 * The hub hands the frames of commits and notes on as they came, and reads nothing of them: their bodies are the envelopes of `envelope.ts` and `note-envelope.ts`. So it does with
 * requests for the writer, and their answers.
 */

/** Changes with the frames or the calls: a worker may be started from newer files than the hub was. */
export const HUB_VERSION = 2;

export const FRAME = {
  /** An envelope with a commit, or a look. */
  commit: 1,
  /** An envelope with a note. */
  note: 2,
  /** Commits or notes were dropped. No body. */
  missed: 3,
  /** JSON: a question to the hub (`calls.ts`). */
  question: 4,
  /** JSON: its answer. */
  answer: 5,
  /** From the hub: how many have joined the same log. u32. */
  members: 6,
  /** Requests for the worker that writes. u32, which the answer repeats; then `append-frames.ts`. */
  append: 7,
  /** The outcome of an append. The same number; what the hub says (`HANDED`), u8; then the writer's answer. */
  appended: 8,
  /** From the hub: whether this worker writes for all. u8. */
  writer: 9,
  /** A note for one worker. The length of its name, u16; its name; the envelope. */
  noteToOne: 10,
  /** From the hub, when it changes: the names of those that have joined the same log, a JSON array. Workers from older files pass over it. */
  names: 11,
} as const;

/** The fate of handed requests: the writer's answer follows; there was no writer; the writer ended before it answered. */
export const HANDED = { answered: 0, toNobody: 1, lost: 2 } as const;

/** A number for the next requests, which no requests that wait for their answer have. It fits into u32, however long a worker lives. */
export function nextNumber(last: number, isWaiting: (number: number) => boolean): number {
  let next = last;
  do next = (next + 1) >>> 0;
  while (isWaiting(next));
  return next;
}

export const FRAME_HEAD_BYTES = 5;
/** The length field before the name in a note for one worker. */
export const NAME_LENGTH_BYTES = 2;
const LENGTH_BYTES = 4;

/** The longest frame that the hub reads: twice the largest envelope. Stops a client's frame without an end from filling the memory. */
export const ASKED_FRAME_MAX_BYTES = 2 * 1024 * 1024;

/** The longest frame that a worker reads: a page of a thousand members at their longest. */
export const ANSWERED_FRAME_MAX_BYTES = 8 * 1024 * 1024;

export function frameOf(kind: number, body: Uint8Array): Buffer {
  const frame = frameFor(kind, body.length);
  frame.set(body, FRAME_HEAD_BYTES);
  return frame;
}

/** A frame whose body is still to be written, after `FRAME_HEAD_BYTES`. */
export function frameFor(kind: number, bodyBytes: number): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_HEAD_BYTES + bodyBytes);
  frame.writeUInt32BE(1 + bodyBytes, 0);
  frame[LENGTH_BYTES] = kind;
  return frame;
}

/** The body of a note for one worker. */
export function noteToOne(instance: string, envelope: Uint8Array): Buffer {
  const name = Buffer.from(instance);
  const length = Buffer.alloc(NAME_LENGTH_BYTES);
  length.writeUInt16BE(name.length);
  return Buffer.concat([length, name, envelope]);
}

export function jsonFrame(kind: number, value: unknown): Buffer {
  return frameOf(kind, Buffer.from(JSON.stringify(value)));
}

/** Finds all whole frames at once. After a length that no frame can have, the rest cannot be read. */
export function hubFraming(maxBytes: number): Framing {
  return (bytes) => {
    let end = 0;
    while (end + LENGTH_BYTES <= bytes.length) {
      const length = bytes.readUInt32BE(end);
      if (length < 1 || LENGTH_BYTES + length > maxBytes) throw new Error(`a frame of ${length} bytes came over the hub's socket`);
      if (end + LENGTH_BYTES + length > bytes.length) break;
      end += LENGTH_BYTES + length;
    }
    return end === 0 ? bytes.length + 1 : end;
  };
}

/** A frame within the bytes that came with it. */
export interface PlacedFrame {
  readonly kind: number;
  readonly from: number;
  readonly end: number;
  readonly body: Buffer;
}

/** Whole frames, one after the other. */
export function* framesIn(bytes: Buffer): Generator<PlacedFrame> {
  for (let from = 0; from < bytes.length;) {
    const end = from + LENGTH_BYTES + bytes.readUInt32BE(from);
    yield { kind: bytes[from + LENGTH_BYTES]!, from, end, body: bytes.subarray(from + FRAME_HEAD_BYTES, end) };
    from = end;
  }
}
