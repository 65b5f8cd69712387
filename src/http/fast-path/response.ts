import type { Problem } from '../../model/problem.ts';
import { problemBody, PROBLEM_TYPE, problemHeaders } from '../output/problem-response.ts';
import { httpDate } from '../output/response-head.ts';
import { STATUS_CODES } from '../output/status.ts';

/** An answer without the headers that depend on its connection. */
export interface Response {
  readonly status: number;
  /** Its headers, as `headerLines` writes them. */
  readonly head: string;
  readonly body: string;
}

/** The last headers with their lines. Without CORS all answers have the same object of common headers, so this saves the work for nearly all. */
let last: { readonly headers: Readonly<Record<string, string>>; readonly lines: string } = { headers: {}, lines: '' };

/** Headers as they are written, a line for each. */
export function headerLines(headers: Readonly<Record<string, string>>): string {
  if (headers !== last.headers) {
    let lines = '';
    for (const name in headers) lines += `${name}: ${headers[name]}\r\n`;
    last = { headers, lines };
  }
  return last.lines;
}

/** @param common The headers that every answer to this request has. */
export function problemResponse(problem: Problem, common: Readonly<Record<string, string>>): Response {
  return { status: problem.status, head: headerLines({ ...common, 'content-type': PROBLEM_TYPE, ...problemHeaders(problem) }), body: problemBody(problem).toString() };
}

/** The whole answer as one text (RFC 9112). `keepAliveMs` is undefined if the connection ends after it. */
export function responseText({ status, head, body }: Response, keepAliveMs: number | undefined): { readonly text: string; readonly encoding: 'latin1' | 'utf8' } {
  const length = Buffer.byteLength(body);
  const connection = keepAliveMs === undefined ? 'close' : `keep-alive\r\nkeep-alive: timeout=${Math.floor(keepAliveMs / 1000)}`;
  const text = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${head}content-length: ${length}\r\ndate: ${httpDate()}\r\nconnection: ${connection}\r\n\r\n${body}`;
  // If the text is ASCII, latin1 gives the same bytes as utf8, and faster.
  return { text, encoding: length === body.length ? 'latin1' : 'utf8' };
}
