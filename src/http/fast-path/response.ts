import type { Problem } from '../../model/problem.ts';
import { problemBody, PROBLEM_TYPE, problemHeaders } from '../output/problem-response.ts';
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

/** The head of a response whose body goes on for ever. */
export function streamHead(headers: Readonly<Record<string, string>>, chunked: boolean, keepsAlive: boolean): string {
  let head = 'HTTP/1.1 200 OK\r\n';
  for (const name in headers) head += `${name}: ${headers[name]}\r\n`;
  return `${head}date: ${httpDate()}\r\nconnection: ${keepsAlive ? 'keep-alive' : 'close'}\r\n${chunked ? 'transfer-encoding: chunked\r\n' : ''}\r\n`;
}

let second = 0;
let date = '';

/** The time as `Date` has it (RFC 9110, section 5.6.7), formatted once a second. */
function httpDate(): string {
  const now = Math.floor(Date.now() / 1000);
  if (now !== second) {
    second = now;
    date = new Date(now * 1000).toUTCString();
  }
  return date;
}
