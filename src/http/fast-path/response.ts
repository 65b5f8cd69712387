import type { Problem } from '../../model/problem.ts';
import { problemBody, PROBLEM_TYPE, problemHeaders } from '../output/problem-response.ts';
import { httpDate } from '../output/response-head.ts';
import { STATUS_CODES } from '../output/status.ts';

/** A whole answer, but for what belongs to its connection. */
export interface Response {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** @param common The headers that every answer to this request has. */
export function problemResponse(problem: Problem, common: Readonly<Record<string, string>>): Response {
  return { status: problem.status, headers: { ...common, 'content-type': PROBLEM_TYPE, ...problemHeaders(problem) }, body: problemBody(problem).toString() };
}

/** The answer as it is written (RFC 9112), in one piece; `keepAliveMs` is undefined where the connection ends after it. */
export function responseText({ status, headers, body }: Response, keepAliveMs: number | undefined): { readonly text: string; readonly encoding: 'latin1' | 'utf8' } {
  const length = Buffer.byteLength(body);
  let head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n`;
  for (const name in headers) head += `${name}: ${headers[name]}\r\n`;
  const connection = keepAliveMs === undefined ? 'close' : `keep-alive\r\nkeep-alive: timeout=${Math.floor(keepAliveMs / 1000)}`;
  const text = `${head}content-length: ${length}\r\ndate: ${httpDate()}\r\nconnection: ${connection}\r\n\r\n${body}`;
  // As many bytes as characters: nothing beyond ASCII, for which the shorter way is the same.
  return { text, encoding: length === body.length ? 'latin1' : 'utf8' };
}
