import type { Framing } from '../../runtime/sockets/guarded-socket.ts';

/**
 * The frames on the sockets of the hub, in both directions:
 *
 *     length u32, big-endian: the bytes of kind and body | kind u8 | body
 *
 * The hub forwards commits and notes unread: their bodies are the envelopes of `envelope.ts` and `note-envelope.ts`. It also forwards requests for the writer, and the answers to them.
 */

/** Increase it with each change of the frames or the calls. After an update on disk, the supervisor starts workers that are newer than its hub. */
export const HUB_VERSION = 2;

export const FRAME = {
  /** An envelope with a commit, or a look. */
  commit: 1,
  /** An envelope with a note. */
  note: 2,
  /** The sender dropped commits or notes before this frame. No body. */
  missed: 3,
  /** JSON: a question to the hub (`calls.ts`). */
  question: 4,
  /** JSON: the answer to a question. */
  answer: 5,
  /** From the hub: how many workers have joined the bus of the same log. u32. */
  members: 6,
  /** Requests for the worker that writes for all (`append-frames.ts`). */
  append: 7,
  /** The answer to `append` (`appended-frames.ts`). */
  appended: 8,
  /** From the hub: whether this worker writes for all. u8. */
  writer: 9,
  /** A note for one worker: the length of the worker's name, u16 | the name | the envelope. */
  noteToOne: 10,
  /** From the hub, at each change: a JSON array with the names of the workers that have joined the bus of the same log. Older workers ignore it. */
  names: 11,
} as const;

/**
 * The hub's verdict on requests for the writer.
 * - `answered`: the writer's answer follows.
 * - `toNobody`: there is no writer, or it is overloaded. The requests are certainly not stored.
 * - `lost`: the writer's connection ended before it answered. The outcome is unknown.
 */
export const HANDED = { answered: 0, toNobody: 1, lost: 2 } as const;

/** The number of the next call: a u32 that wraps around, and skips the numbers of calls that still wait for their answers. */
export function nextCallId(last: number, isWaiting: (callId: number) => boolean): number {
  let next = last;
  do next = (next + 1) >>> 0;
  while (isWaiting(next));
  return next;
}

export const FRAME_HEAD_BYTES = 5;
/** The number of a call, at the beginning of the bodies of `append` and `appended`. */
export const CALL_ID_BYTES = 4;
/** The length field before the name in a note for one worker. */
export const NAME_LENGTH_BYTES = 2;
const LENGTH_BYTES = 4;

/** The longest frame that the hub reads: twice the largest envelope. Stops one huge frame from filling the memory. */
export const ASKED_FRAME_MAX_BYTES = 2 * 1024 * 1024;

/** The longest frame that a worker reads: a page of a thousand members, each of the longest. Stops one huge frame from filling the memory. */
export const ANSWERED_FRAME_MAX_BYTES = 8 * 1024 * 1024;

export function frameOf(kind: number, body: Uint8Array): Buffer {
  const frame = frameFor(kind, body.length);
  frame.set(body, FRAME_HEAD_BYTES);
  return frame;
}

/** A frame with its head. The caller writes the body, from `FRAME_HEAD_BYTES` on. */
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

/** Finds the end of the last whole frame. @throws Error if a length is invalid: the frames after it cannot be found */
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

/** A frame, and the offsets of its first byte and of the byte after it, in the bytes of one read. */
export interface PlacedFrame {
  readonly kind: number;
  readonly from: number;
  readonly end: number;
  readonly body: Buffer;
}

/** @param bytes Whole frames, without a gap. */
export function* framesIn(bytes: Buffer): Generator<PlacedFrame> {
  for (let from = 0; from < bytes.length;) {
    const end = from + LENGTH_BYTES + bytes.readUInt32BE(from);
    yield { kind: bytes[from + LENGTH_BYTES]!, from, end, body: bytes.subarray(from + FRAME_HEAD_BYTES, end) };
    from = end;
  }
}
