import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Problem, type ProblemCode } from '../errors.ts';
import { rawProblem } from './problem.ts';

const PARSER: Readonly<Record<string, readonly [ProblemCode, string]>> = {
  HPE_HEADER_OVERFLOW: ['header-too-large', 'The head of the request, its URL included, is too large.'],
  ERR_HTTP_REQUEST_TIMEOUT: ['request-timeout', 'The request did not arrive in time.'],
};

/** Answers what never became a request: an error of the parser or of the connection. No hook and no route saw it. */
export function answerClientError(error: Error & { readonly code?: string }, socket: Socket): void {
  // An answer may be on its way on this connection, a stream perhaps: nothing of ours may stand in the middle of it.
  const underWay = (socket as Socket & { readonly _httpMessage?: ServerResponse | null })._httpMessage;
  if (error.code !== 'ECONNRESET' && socket.writable && underWay?.headersSent !== true) {
    const [code, detail] = PARSER[error.code ?? ''] ?? ['invalid-request', 'The request is not well-formed HTTP.'];
    socket.end(rawProblem(new Problem(code, detail)));
  }
  socket.destroySoon();
}
