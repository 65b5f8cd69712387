import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Problem, type ProblemCode } from '../../model/problem.ts';
import { rawProblem } from './problem-response.ts';

/** The code of an error: there was no room for an incomplete head. */
export const NO_ROOM_FOR_HEAD = 'NO_ROOM_FOR_HEAD';

const PARSER: Readonly<Record<string, readonly [ProblemCode, string]>> = {
  HPE_HEADER_OVERFLOW: ['header-too-large', 'The head of the request, its URL included, is too large.'],
  ERR_HTTP_REQUEST_TIMEOUT: ['request-timeout', 'The request did not arrive in time.'],
  [NO_ROOM_FOR_HEAD]: ['overloaded', 'Too many heads of requests are still arriving.'],
};

/** Connections whose last answer waits for earlier answers. The parser reports further errors there, which get no second answer. */
const ending = new WeakSet<Socket>();

/**
 * Answers an error of the parser or of the connection. There is no request, so no hook and no route runs.
 * @returns The status of the answer; undefined without an answer.
 */
export function answerClientError(error: Error & { readonly code?: string }, socket: Socket): number | undefined {
  if (error.code === 'ECONNRESET') {
    socket.destroySoon();
    return undefined;
  }
  if (ending.has(socket)) return undefined;
  ending.add(socket);
  const [code, detail] = PARSER[error.code ?? ''] ?? ['invalid-request', 'The request is not well-formed HTTP.'];
  const problem = new Problem(code, detail);
  endWith(problem, socket);
  return problem.status;
}

function endWith(problem: Problem, socket: Socket): void {
  const underWay = (socket as Socket & { readonly _httpMessage?: ServerResponse | null })._httpMessage;
  const isHalfSent = underWay?.headersSent === true && !underWay.writableEnded;
  if (socket.writable && underWay?.req.complete === true && !isHalfSent) {
    // A request before this one arrived in whole, and is carried out. Its own answer goes first: a refusal in its place would
    // say that nothing was done.
    underWay.once('close', () => endWith(problem, socket));
    return;
  }
  // Nothing of ours may stand in the middle of an answer.
  if (socket.writable && underWay?.headersSent !== true) socket.end(rawProblem(problem));
  socket.destroySoon();
}
