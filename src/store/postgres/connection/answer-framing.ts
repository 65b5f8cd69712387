import type { Framing } from '../../../runtime/sockets/guarded-socket.ts';

/**
 * Checks the server's messages before pg reads them (https://www.postgresql.org/docs/current/protocol-message-formats.html). pg's parser trusts all lengths. A
 * text without its zero byte would keep it in an endless loop; a negative length would make it copy one value until the memory is full.
 */

/** The header of a message: one byte for the type, and the length, which includes its own four bytes. */
const HEADER_BYTES = 5;
const LENGTH_BYTES = 4;

/**
 * The longest answer to one call. The longest legitimate answer is a page of history: 4 MiB and one message of at most 16 MiB, in hexadecimal digits. Stops an
 * endless answer from filling the memory.
 */
const ANSWER_MAX_BYTES = 64 * 1024 * 1024;

/** About the memory that a message takes besides its bytes. It counts toward the bound above, so that many small messages reach it, too. */
const MESSAGE_OVERHEAD_BYTES = 128;

/**
 * The types of messages that a client gets if it sends only simple queries: A notification, C completion, D row, E error, I empty query, K key, N notice,
 * R authentication, S parameter, T columns, Z ready.
 */
const EXPECTED = new Set(Buffer.from('ACDEIKNRSTZ'));
const [ERROR, NOTICE, ROW, READY] = Buffer.from('ENDZ') as Iterable<number> as [number, number, number, number];

/** The framing of one connection: returns how many bytes are whole, checked messages, or how many are needed for the first (`Framing`). Counts the bytes of an answer since the last ReadyForQuery. */
export function answerFraming(): Framing {
  let answered = 0;
  return (bytes) => {
    let end = 0;
    while (end + HEADER_BYTES <= bytes.length) {
      const type = bytes[end]!;
      const length = bytes.readUInt32BE(end + 1);
      if (!EXPECTED.has(type)) throw new Error(`the server sent a message of type 0x${type.toString(16)}, which nobody asked for`);
      if (length < LENGTH_BYTES || length > ANSWER_MAX_BYTES) throw new Error(`the server announced a message of ${length} bytes`);
      const next = end + 1 + length;
      if (next > bytes.length) return end === 0 ? next : end;
      if (type === ROW) checkRow(bytes, end + HEADER_BYTES, next);
      else if (type === ERROR || type === NOTICE) checkFields(bytes, end + HEADER_BYTES, next);
      answered = type === READY ? 0 : answered + length + MESSAGE_OVERHEAD_BYTES;
      if (answered > ANSWER_MAX_BYTES) throw new Error(`the server's answer is longer than ${ANSWER_MAX_BYTES} bytes`);
      end = next;
    }
    return end === 0 ? HEADER_BYTES : end;
  };
}

/** A row has the number of its values, and then each value after its length. The length of NULL is -1. */
function checkRow(bytes: Buffer, from: number, end: number): void {
  let at = from + 2;
  for (let values = at > end ? 0 : bytes.readUInt16BE(from); values > 0; values--) {
    const length = at + LENGTH_BYTES > end ? undefined : bytes.readInt32BE(at);
    if (length === undefined || length < -1) throw malformed('row');
    at += LENGTH_BYTES + Math.max(0, length);
  }
  if (at !== end) throw malformed('row');
}

/** An error or a notice has fields, each a letter and a text that ends with a zero byte. Another zero byte follows the last field. */
function checkFields(bytes: Buffer, from: number, end: number): void {
  let at = from;
  while (at < end && bytes[at] !== 0) {
    const zero = bytes.indexOf(0, at + 1);
    at = zero === -1 ? end : zero + 1;
  }
  if (at !== end - 1) throw malformed('error');
}

function malformed(what: string): Error {
  return new Error(`the server sent a malformed ${what}`);
}
