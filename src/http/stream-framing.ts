import type { StreamFraming } from '../delivery/frames/http-chunk.ts';
import type { RequestHead } from './admission/request-head.ts';

const EVENT_STREAM = 'text/event-stream';

/**
 * Decides whether a stream is chunked, and whether the service ends it with the last chunk. docs/clients.md lists how each client reacts to either end.
 *
 * - A client whose `Accept` names `text/event-stream` (RFC 9110, section 12.5.1) reads events, and comes back when the stream breaks. It gets no last chunk:
 *   some libraries take that for "finished" and never come back.
 * - Any other client reads a body. Without the last chunk that body is incomplete (RFC 9112, section 8): curl and others report an error, and wget
 *   continues in the middle of the next stream.
 * - HTTP/1.0 has no chunks: the end of the connection is the end of the stream.
 */
export function streamFraming({ httpVersion, headers }: Pick<RequestHead, 'httpVersion' | 'headers'>): StreamFraming {
  const chunked = httpVersion !== '1.0';
  return { chunked, lastChunk: chunked && headers.accept?.toLowerCase().includes(EVENT_STREAM) !== true };
}
