import type { Framing } from '../runtime/sockets/guarded-socket.ts';

/** The length before each answer, and the number of the request that it answers. */
const LENGTH_BYTES = 4;
const CORRELATION_BYTES = 4;

/** Finds one answer of Kafka at a time, and checks its length. The client library does not: a wrong length would fill its memory, or make it throw an uncaught error. */
export function answerFraming(mostBytes: number): Framing {
  return (bytes) => {
    if (bytes.length < LENGTH_BYTES) return LENGTH_BYTES;
    const length = bytes.readInt32BE(0);
    // The first bytes of TLS or HTTP, read as a length, are hundreds of megabytes.
    if (length < CORRELATION_BYTES || length > mostBytes) throw new Error(`the server announces an answer of ${length} bytes: it is no Kafka, or it speaks TLS and the URL does not say kafka+ssl://`);
    return LENGTH_BYTES + length;
  };
}
