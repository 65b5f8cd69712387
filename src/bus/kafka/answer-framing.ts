import type { Framing } from '../../runtime/guarded-socket.ts';

/** The longest answer: what a read asks for, and one batch of records more. Stops an answer without an end from filling the memory. */
export const KAFKA_ANSWER_MAX_BYTES = 8 * 1024 * 1024;

/** The length before each answer, and the number of the request that it answers. */
const LENGTH_BYTES = 4;
const CORRELATION_BYTES = 4;

/** Finds one answer of Kafka at a time. The client library believes each length: a wrong one fills the memory, or throws where nobody catches it. */
export const answerFraming: Framing = (bytes) => {
  if (bytes.length < LENGTH_BYTES) return LENGTH_BYTES;
  const length = bytes.readInt32BE(0);
  // A server that speaks TLS, or HTTP, announces hundreds of megabytes so.
  if (length < CORRELATION_BYTES || length > KAFKA_ANSWER_MAX_BYTES) throw new Error(`what answers announces ${length} bytes: it is no Kafka, or it speaks TLS and the URL does not say kafka+ssl://`);
  return LENGTH_BYTES + length;
};
