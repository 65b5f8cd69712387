import type { IncomingHttpHeaders } from 'node:http';
import { malformedQuery, parseQuery, type Query } from '../input/query-string.ts';

/** A request that is so plain that two parsers cannot disagree about it. */
export interface PlainRequest {
  readonly method: 'GET' | 'POST';
  /** The segments of the path, percent-decoded. */
  readonly path: readonly string[];
  readonly query: Query;
  /** By their names in lower case. None is there twice. */
  readonly headers: IncomingHttpHeaders;
  /** A part of the bytes that were read. */
  readonly body: Buffer;
}

/** Stops this parser from holding long heads: the HTTP server reads them, which has bounds and answers for them. */
const PLAIN_HEAD_MAX_BYTES = 8 * 1024;

const REQUEST_LINE = /^(GET|POST) (\/[!-~]*) HTTP\/1\.1$/;
/** RFC 9110, section 5.6.2, is what a name may be; values are printable ASCII here, without white space around them. */
const HEADER = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([!-~]|[!-~][ -~]*[!-~]|)$/;
const LENGTH = /^(?:0|[1-9][0-9]{0,8})$/;

/** What changes how a connection or a body is read: requests with one of these are the HTTP server's. */
const NOT_PLAIN = new Set(['transfer-encoding', 'content-encoding', 'expect', 'upgrade', 'trailer', 'te', 'proxy-connection', 'http2-settings']);

/** Fragments, which no client sends, and percent-encoded percent signs and slashes, about which routers have ideas of their own. */
const ODD_TARGET = /#|%25|%2f/i;

const HEAD_END = Buffer.from('\r\n\r\n');

/** What the bytes that were read begin with. */
export type Read =
  /** A whole request, and its length in bytes; more may follow. */
  | { readonly kind: 'plain'; readonly request: PlainRequest; readonly length: number }
  /** The beginning of what could be one. */
  | { readonly kind: 'incomplete' }
  /** Anything else, well-formed or not. */
  | { readonly kind: 'other' };

const INCOMPLETE: Read = { kind: 'incomplete' };
const OTHER: Read = { kind: 'other' };

/** Stops this parser from holding long bodies: the HTTP server reads them piece by piece, and counts what it holds. */
const PLAIN_REQUEST_MAX_BYTES = 64 * 1024;

/**
 * Reads a request, only if it is plain: HTTP/1.1, one line for each header, a length in digits. The HTTP server reads all others, and says
 * what is wrong with them. So this accepts a part of what that server accepts (RFC 9112), and nothing can be smuggled past the difference.
 */
export function readPlain(bytes: Buffer): Read {
  const end = bytes.indexOf(HEAD_END);
  if (end === -1) return bytes.length <= PLAIN_HEAD_MAX_BYTES && BEGINNINGS.some((one) => isBeginning(bytes, one)) ? INCOMPLETE : OTHER;
  if (end > PLAIN_HEAD_MAX_BYTES) return OTHER;
  const lines = bytes.toString('latin1', 0, end).split('\r\n');
  const requestLine = REQUEST_LINE.exec(lines[0] ?? '');
  if (requestLine === null) return OTHER;
  const headers = readHeaders(lines);
  if (headers === undefined) return OTHER;
  const declared = headers['content-length'];
  const method = requestLine[1] as 'GET' | 'POST';
  if (method === 'GET' ? declared !== undefined : declared === undefined || !LENGTH.test(declared)) return OTHER;
  const bodyStart = end + HEAD_END.length;
  const length = bodyStart + Number(declared ?? 0);
  if (length > PLAIN_REQUEST_MAX_BYTES) return OTHER;
  const target = readTarget(requestLine[2]!);
  if (target === undefined) return OTHER;
  if (bytes.length < length) return INCOMPLETE;
  return { kind: 'plain', request: { method, ...target, headers, body: bytes.subarray(bodyStart, length) }, length };
}

const BEGINNINGS = [Buffer.from('GET /'), Buffer.from('POST /')] as const;

function isBeginning(bytes: Buffer, of: Buffer): boolean {
  const length = Math.min(bytes.length, of.length);
  return bytes.compare(of, 0, length, 0, length) === 0;
}

function readHeaders(lines: readonly string[]): IncomingHttpHeaders | undefined {
  const headers = Object.create(null) as IncomingHttpHeaders;
  for (let index = 1; index < lines.length; index++) {
    const header = HEADER.exec(lines[index]!);
    if (header === null) return undefined;
    const name = header[1]!.toLowerCase();
    if (NOT_PLAIN.has(name) || name in headers) return undefined;
    headers[name] = header[2]!;
  }
  if (headers.host === undefined) return undefined;
  return headers.connection === undefined || headers.connection.toLowerCase() === 'keep-alive' ? headers : undefined;
}

function readTarget(target: string): { readonly path: readonly string[]; readonly query: Query } | undefined {
  if (ODD_TARGET.test(target)) return undefined;
  const mark = target.indexOf('?');
  const query = parseQuery(mark === -1 ? '' : target.slice(mark + 1));
  const path = (mark === -1 ? target : target.slice(0, mark)).slice(1).split('/');
  if (malformedQuery(query) !== undefined) return undefined;
  try {
    return { path: target.includes('%') ? path.map(decodeURIComponent) : path, query };
  } catch {
    // No percent-encoded UTF-8: there is an answer for that elsewhere.
    return undefined;
  }
}
