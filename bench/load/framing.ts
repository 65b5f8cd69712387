/**
 * From the bytes of a connection to whole events: HTTP's chunks and WebSocket's frames are taken away, and what ends in the middle of an event
 * is kept until the rest has come. An event counts when it is whole, as for any client: what is cut in the middle comes again.
 *
 * Whole events are handed on where they lie in the buffer that was read into; only what was split is copied.
 */
export interface Framing {
  /** Throws where the bytes are none that a server may send. */
  read(stream: Receiver, bytes: Buffer, from: number, to: number, now: number): void;
}

/** Whoever reads a connection. What it is given is valid during the call only. */
export interface Receiver {
  readonly position: Position;
  /** Whole events of SSE, one or more. @param now In milliseconds. */
  events(bytes: Buffer, from: number, to: number, now: number): void;
  /** One message of WebSocket. */
  message(bytes: Buffer, from: number, to: number, now: number): void;
  /** A ping of WebSocket, which is to be answered with the same bytes. */
  ping(bytes: Buffer, from: number, to: number): void;
}

/** What is left over between two reads. */
export class Position {
  /** Of the chunk or frame: bytes still to come. */
  left = 0;
  /** Where in the framing the last read ended. */
  step = 0;
  /** What was read so far of a length. */
  size = 0;
  /** Whether the frame of WebSocket is a ping. */
  isPing = false;
  /** The beginning of an event, in a buffer that is kept and grows. */
  kept: Buffer = NOTHING;
  keptLength = 0;

  reset(): void {
    this.left = this.step = this.size = this.keptLength = 0;
  }

  keep(bytes: Buffer, from: number, to: number): void {
    const length = this.keptLength + to - from;
    if (length > KEPT_MAX) throw new Error('an event without an end');
    if (length > this.kept.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(KEPT_LEAST, 2 ** Math.ceil(Math.log2(length))));
      this.kept.copy(larger, 0, 0, this.keptLength);
      this.kept = larger;
    }
    bytes.copy(this.kept, this.keptLength, from, to);
    this.keptLength = length;
  }
}

const NOTHING = Buffer.alloc(0);
const KEPT_LEAST = 512;
/** Stops a server that never ends an event from filling the memory. */
const KEPT_MAX = 8 * 1024 * 1024;

const LF = 10;
const CR = 13;
const BLANK_LINE = Buffer.from('\n\n');

/** SSE: events end with a blank line. Takes the bytes of a body, in any pieces. */
function readText(stream: Receiver, bytes: Buffer, from: number, to: number, now: number): void {
  const { position } = stream;
  if (position.keptLength === 0) {
    const end = endOfEvents(bytes, from, to);
    if (end > from) stream.events(bytes, from, end, now);
    if (end < to) position.keep(bytes, end, to);
    return;
  }
  position.keep(bytes, from, to);
  const { kept, keptLength } = position;
  const end = endOfEvents(kept, 0, keptLength);
  if (end === 0) return;
  stream.events(kept, 0, end, now);
  kept.copy(kept, 0, end, keptLength);
  position.keptLength = keptLength - end;
}

/** Behind the last blank line; `from` if there is none. */
function endOfEvents(bytes: Buffer, from: number, to: number): number {
  if (to - from < 2) return from;
  if (bytes[to - 1] === LF && bytes[to - 2] === LF) return to;
  const last = bytes.lastIndexOf(BLANK_LINE, to - 2);
  return last < from ? from : last + 2;
}

/** A body that ends with its connection. */
export const plain: Framing = { read: readText };

/** `step`: what comes next. */
const SIZE = 0;
const EXTENSION = 1;
const DATA = 2;
const DATA_END = 3;

/** RFC 9112, section 7.1. */
export const chunked: Framing = {
  read(stream, bytes, from, to, now) {
    const { position } = stream;
    let at = from;
    while (at < to) {
      if (position.step === SIZE) {
        let { size } = position;
        let byte = bytes[at]!;
        for (; byte !== LF; byte = bytes[at]!) {
          const digit = hexDigit(byte);
          if (digit !== -1) size = size * 16 + digit;
          else if (byte !== CR) {
            position.step = EXTENSION;
            break;
          }
          if (++at === to) break;
        }
        position.size = size;
        if (at === to || position.step === EXTENSION) continue;
        at++;
        beginChunk(position, size);
      } else if (position.step === EXTENSION) {
        if (bytes[at++] === LF) beginChunk(position, position.size);
      } else if (position.step === DATA) {
        const end = Math.min(to, at + position.left);
        position.left -= end - at;
        if (position.left === 0) position.step = DATA_END;
        readText(stream, bytes, at, end, now);
        at = end;
      } else if (bytes[at++] === LF) {
        position.step = SIZE;
        position.size = 0;
      }
    }
  },
};

function beginChunk(position: Position, size: number): void {
  if (size > KEPT_MAX * 16) throw new Error('a chunk that is too long');
  // The connection may stay, but the stream is over.
  if (size === 0) throw new Error('ended');
  position.left = size;
  position.step = DATA;
}

function hexDigit(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const lower = byte | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}
