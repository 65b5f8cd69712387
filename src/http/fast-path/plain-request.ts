import { ENDPOINTS, type Endpoint } from '../admission/endpoints.ts';
import { malformedQuery, parseQuery, type Query } from '../input/query-string.ts';
import type { RequestHead } from '../admission/request-head.ts';

/** The head of a request that is so plain that two parsers cannot disagree about it. */
export interface PlainHead extends RequestHead {
  readonly method: 'GET' | 'POST' | 'OPTIONS';
  /** The segments of the path, percent-decoded. */
  readonly path: readonly string[];
  /** Whether the client may send another request on the connection. */
  readonly keepsAlive: boolean;
}

/** Longer heads go to the HTTP server, which has bounds and answers for them. Stops them from filling memory here. */
const PLAIN_HEAD_MAX_BYTES = 8 * 1024;

/** Requests with more headers take the ordinary way, which counts the bytes it holds. Stops thousands of short headers from taking memory here. */
const PLAIN_HEAD_MAX_ENTRIES = 100;

const REQUEST_LINE = /^(GET|POST|OPTIONS) (\/[!-~]*) HTTP\/(1\.[01])$/;
/** RFC 9110, sections 5.5 and 5.6.2. Bytes beyond ASCII are one character each, as in Node. */
const HEADER = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+:[ \t]*(?:[!-~\x80-\xff][\t -~\x80-\xff]*|)$/;
const LENGTH = /^(?:0|[1-9][0-9]{0,8})$/;

/** Headers that change how a connection or a body is read, or that Node shows in a form of its own. A request with one of them goes to the HTTP server. */
const NOT_PLAIN = new Set(['transfer-encoding', 'content-encoding', 'expect', 'upgrade', 'trailer', 'proxy-connection', 'http2-settings', 'set-cookie', '__proto__']);

/**
 * Node joins the values of a repeated header, except of these: the first value counts, or the request is refused.
 * (https://nodejs.org/api/http.html#messageheaders)
 */
const NOT_JOINED = new Set([
  'age', 'authorization', 'content-length', 'content-type', 'etag', 'expires', 'from', 'host', 'if-modified-since', 'if-unmodified-since', 'last-modified',
  'location', 'max-forwards', 'proxy-authorization', 'referer', 'retry-after', 'server', 'user-agent', 'connection',
]);

const HEAD_END = Buffer.from('\r\n\r\n');

/** The request at the beginning of the bytes. */
export type Read =
  /** A head. `bodyStart` and `length` are offsets, in bytes: of the body, and of the end of the request. The body may be incomplete, and further requests may follow. */
  | { readonly kind: 'plain'; readonly head: PlainHead; readonly bodyStart: number; readonly length: number }
  /** The beginning of a head. */
  | { readonly kind: 'incomplete' }
  /** Anything else, well-formed or not. */
  | { readonly kind: 'other' };

const INCOMPLETE: Read = { kind: 'incomplete' };
const OTHER: Read = { kind: 'other' };

/**
 * Reads the head of a request, only if it is plain: one line for each header, a length in digits, nothing that changes how a body is read. The HTTP
 * server reads all others, and says what is wrong with them. So this accepts a part of what that server accepts (RFC 9112), and nothing can be
 * smuggled past the difference.
 */
export function readHead(bytes: Buffer): Read {
  const end = bytes.indexOf(HEAD_END);
  if (end === -1) return bytes.length <= PLAIN_HEAD_MAX_BYTES && BEGINNINGS.some((one) => isBeginning(bytes, one)) ? INCOMPLETE : OTHER;
  if (end > PLAIN_HEAD_MAX_BYTES) return OTHER;
  const lines = bytes.toString('latin1', 0, end).split('\r\n');
  const requestLine = REQUEST_LINE.exec(lines[0] ?? '');
  if (requestLine === null || lines.length > PLAIN_HEAD_MAX_ENTRIES) return OTHER;
  const method = requestLine[1] as PlainHead['method'];
  const url = requestLine[2]!;
  const httpVersion = requestLine[3]!;
  const fields = readHeaders(lines);
  if (fields === undefined) return OTHER;
  const { headers, repeated } = fields;
  const keepsAlive = persistence(httpVersion, headers.connection);
  const declared = headers['content-length'];
  if (keepsAlive === undefined || (method === 'POST' ? declared === undefined || !LENGTH.test(declared) : declared !== undefined)) return OTHER;
  const bodyStart = end + HEAD_END.length;
  const length = bodyStart + Number(declared ?? 0);
  // Nothing follows the last request of a connection: the HTTP server refuses it.
  if (!keepsAlive && bytes.length > length) return OTHER;
  const target = readTarget(url);
  if (target === undefined) return OTHER;
  const { path, query } = target;
  const head: PlainHead = { method, listener: 'main', url, httpVersion, headers, repeated, path, query, endpoint: endpointAt(method, path), keepsAlive, allowedMethods };
  return { kind: 'plain', head, bodyStart, length };
}

const BEGINNINGS = [Buffer.from('GET /'), Buffer.from('POST /'), Buffer.from('OPTIONS /')] as const;

function isBeginning(bytes: Buffer, of: Buffer): boolean {
  const length = Math.min(bytes.length, of.length);
  return bytes.compare(of, 0, length, 0, length) === 0;
}

const NONE: readonly string[] = [];

/** Never needed here: a request without an endpoint is handed over, and the HTTP server then finds the methods. */
const allowedMethods = (): readonly string[] => NONE;

/** The headers of a request inherit nothing. Without a prototype they would be a hash table from the start, which takes longer to fill and to read. */
const NO_HEADERS: object = Object.create(null) as object;

function readHeaders(lines: readonly string[]): Pick<PlainHead, 'headers' | 'repeated'> | undefined {
  const headers = Object.create(NO_HEADERS) as Record<string, string>;
  let repeated: string[] | undefined;
  for (let index = 1; index < lines.length; index++) {
    const line = lines[index]!;
    // `test` makes no array of matches: that would cost more than the rest.
    if (!HEADER.test(line)) return undefined;
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).toLowerCase();
    if (NOT_PLAIN.has(name)) return undefined;
    const value = withoutBlanks(line, colon + 1);
    const before = headers[name];
    if (before === undefined) {
      headers[name] = value;
      continue;
    }
    if (NOT_JOINED.has(name)) return undefined;
    headers[name] = `${before}${name === 'cookie' ? '; ' : ', '}${value}`;
    (repeated ??= []).push(name);
  }
  return { headers, repeated: repeated ?? NONE };
}

/** The line from an index on, without spaces and tabs around it, as Node shows it. A regular expression would take quadratic time on many spaces within. */
function withoutBlanks(line: string, from: number): string {
  let begin = from;
  let end = line.length;
  while (begin < end && isBlank(line[begin])) begin++;
  while (end > begin && isBlank(line[end - 1])) end--;
  return line.slice(begin, end);
}

function isBlank(character: string | undefined): boolean {
  return character === ' ' || character === '\t';
}

/** Several options: `keep-alive`, `TE`, and `upgrade`, which means nothing without the header of that name. */
const CONNECTION_OPTIONS = /^[a-z-]+(?:, ?[a-z-]+)*$/;

/** Whether the connection stays open after the answer (RFC 9112, section 9.3); undefined if only the HTTP server can tell. */
function persistence(httpVersion: string, connection: string | undefined): boolean | undefined {
  const options = connection?.toLowerCase();
  if (options === 'close') return false;
  if (httpVersion === '1.0') return options === undefined ? false : undefined;
  if (options === undefined || options === 'keep-alive') return true;
  return CONNECTION_OPTIONS.test(options) ? !options.split(/, ?/).includes('close') : undefined;
}

/** The endpoint, if the fast path serves it. */
function endpointAt(method: string, path: readonly string[]): Endpoint | undefined {
  const isTopic = path[0] === 'topics';
  if (method === 'POST') return isTopic && path.length === 2 ? ENDPOINTS.publish : undefined;
  if (method !== 'GET') return undefined;
  if (path.length === 1) return path[0] === 'events' ? ENDPOINTS.streamTopics : undefined;
  return isTopic && path.length === 3 && path[2] === 'events' ? ENDPOINTS.streamTopic : undefined;
}

function readTarget(target: string): { readonly path: readonly string[]; readonly query: Query } | undefined {
  // Fragments, which no client sends.
  if (target.includes('#')) return undefined;
  const mark = target.indexOf('?');
  const query = parseQuery(mark === -1 ? '' : target.slice(mark + 1));
  const path = (mark === -1 ? target : target.slice(0, mark)).slice(1).split('/');
  if (malformedQuery(query) !== undefined) return undefined;
  try {
    return { path: target.includes('%') ? path.map(decodeURIComponent) : path, query };
  } catch {
    // Not percent-encoded UTF-8: the HTTP server answers that.
    return undefined;
  }
}
