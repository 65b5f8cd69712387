import type { Framing } from './framing.ts';

/** The two bytes at the beginning of a frame, then its length where those have no room for it, then the payload. */
const FIRST = 0;
const LENGTH = 1;
const LONGER = 2;
const PAYLOAD = 3;

const FIN = 0x80;
const OPCODE = 0x0f;
const TEXT = 1;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

/** RFC 6455, section 5.2: frames of a server, which are not masked. Each is a message, and each message one event. */
export const websocket: Framing = {
  read(stream, bytes, from, to, now) {
    const { position } = stream;
    let at = from;
    while (at < to || (position.step === PAYLOAD && position.left === 0)) {
      if (position.step === FIRST) {
        const first = bytes[at++]!;
        if ((first & FIN) === 0 || (first & OPCODE) === 0) throw new Error('a message in several frames');
        if ((first & OPCODE) === CLOSE) throw new Error('closed by the server');
        position.isPing = (first & OPCODE) === PING;
        if ((first & OPCODE) !== TEXT && !position.isPing) throw new Error('a frame that is no text');
        position.step = LENGTH;
      } else if (position.step === LENGTH) {
        const length = bytes[at++]!;
        if (length > 127) throw new Error('a server must not mask its frames');
        position.step = length < 126 ? PAYLOAD : LONGER;
        position.left = length < 126 ? length : length === 126 ? 2 : 8;
        position.size = 0;
      } else if (position.step === LONGER) {
        position.size = position.size * 256 + bytes[at++]!;
        if (--position.left > 0) continue;
        position.left = position.size;
        position.step = PAYLOAD;
      } else {
        const end = Math.min(to, at + position.left);
        position.left -= end - at;
        if (position.left > 0 || position.keptLength > 0) position.keep(bytes, at, end);
        if (position.left === 0) {
          position.step = FIRST;
          const length = position.keptLength;
          position.keptLength = 0;
          if (position.isPing) stream.ping(length === 0 ? bytes : position.kept, length === 0 ? at : 0, length === 0 ? end : length);
          else if (length === 0) stream.message(bytes, at, end, now);
          else stream.message(position.kept, 0, length, now);
        }
        at = end;
      }
    }
  },
};

/** A client's frame. Its mask is zero, which leaves the text as it is. */
export function textFrame(text: string): Buffer {
  return clientFrame(TEXT, Buffer.from(text));
}

/** The answer to a ping. */
export function pongFrame(bytes: Buffer, from: number, to: number): Buffer {
  return clientFrame(PONG, bytes.subarray(from, to));
}

function clientFrame(opcode: number, payload: Buffer): Buffer {
  if (payload.length > 65_535) throw new Error('a text that is too long');
  const long = payload.length > 125;
  const frame = Buffer.alloc((long ? 8 : 6) + payload.length);
  frame[0] = FIN | opcode;
  frame[1] = MASKED | (long ? 126 : payload.length);
  if (long) frame.writeUInt16BE(payload.length, 2);
  payload.copy(frame, long ? 8 : 6);
  return frame;
}

const MASKED = 0x80;
