import { connect, type Socket } from 'node:net';
import type { Scope } from './temp.ts';

/** Stops a wait for bytes that never come long before tap's own limit, so that the failure tells what did come. Milliseconds. */
const WAIT_LIMIT = 120_000;

/** What is shown of the bytes that came, when a wait fails. */
const SHOWN = 1000;

/** One HTTP answer, taken apart by hand: what a client library would hide can be seen. */
export interface Answer {
  /** `1.1` or `1.0`. */
  readonly version: string;
  readonly status: number;
  /** Names in lower case; a header that was sent twice has both values, with `, ` between. */
  readonly headers: Readonly<Record<string, string>>;
  /** What the chunks hold, where there are chunks. */
  readonly body: string;
  /** Whether the answer ended as HTTP says: all of its Content-Length, its last chunk, or the connection where neither is there. */
  readonly complete: boolean;
}

/** A TCP connection to a server, and whatever comes on it, byte by byte. The server's end of it does not close ours. */
export class RawConnection {
  /** Everything that came, one character a byte. */
  text = '';
  /** The server has closed its side, by FIN or by RST. */
  closed = false;
  /** The connection was reset. */
  reset = false;
  readonly #socket: Socket;
  #waiting: (() => void)[] = [];

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding('latin1');
    socket.on('data', (piece: string) => {
      this.text += piece;
      this.#notify();
    });
    socket.on('error', () => {
      this.reset = true;
    });
    for (const event of ['end', 'close']) {
      socket.once(event, () => {
        this.closed = true;
        this.#notify();
      });
    }
  }

  static async open(t: Scope, { port }: { readonly port: number }): Promise<RawConnection> {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    t.teardown(() => socket.destroy());
    await new Promise<void>((resolve, reject) => void socket.once('connect', resolve).once('error', reject));
    return new RawConnection(socket);
  }

  send(bytes: string | Uint8Array): void {
    this.#socket.write(bytes);
  }

  /** Closes our side only. */
  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  async until(what: string, holds: () => boolean): Promise<void> {
    const limit = performance.now() + WAIT_LIMIT;
    while (!holds()) {
      if (this.closed) throw new Error(`The connection ended before this held: ${what}. ${this.#summary()}`);
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`Not in time: ${what}. ${this.#summary()}`)), Math.max(0, limit - performance.now()));
        this.#waiting.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  untilClosed(): Promise<void> {
    return this.until('the server closes', () => this.closed);
  }

  /** The answers so far. @param methods Of the requests, in order: an answer to HEAD has no body whatever its headers say. */
  answers(...methods: readonly string[]): Answer[] {
    return parseAnswers(this.text, methods, this.closed);
  }

  /** Waits for so many whole answers, or for the end of the connection. Interim ones (100) count. */
  async answered(count: number, ...methods: readonly string[]): Promise<Answer[]> {
    const complete = (): boolean => this.answers(...methods).filter((answer) => answer.complete).length >= count;
    await this.until(`${count} answers`, () => this.closed || complete());
    return this.answers(...methods);
  }

  #notify(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }

  #summary(): string {
    return `Came: ${JSON.stringify(this.text.slice(0, SHOWN))}`;
  }
}

/** Sends one request on a connection of its own and returns the first final answer. */
export async function exchange(t: Scope, server: { readonly port: number }, request: string | Uint8Array): Promise<Answer> {
  const connection = await RawConnection.open(t, server);
  const method = Buffer.from(request).toString('latin1').split(' ', 1)[0]!;
  const final = (): Answer | undefined => connection.answers(method).find(({ status, complete }) => status >= 200 && complete);
  connection.send(request);
  await connection.until('an answer', () => final() !== undefined);
  connection.destroy();
  return final()!;
}

/** The bytes of a request. Without a Content-Length of its own, a body gets one. */
export function requestBytes(method: string, path: string, headers: Readonly<Record<string, string>> = {}, body: string | Uint8Array = ''): Buffer {
  const bytes = Buffer.from(body);
  const given = Object.keys(headers).map((name) => name.toLowerCase());
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  if (!given.includes('host')) lines.unshift('Host: localhost\r\n');
  if (bytes.length > 0 && !given.includes('content-length') && !given.includes('transfer-encoding')) lines.push(`Content-Length: ${bytes.length}\r\n`);
  return Buffer.concat([Buffer.from(`${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`, 'latin1'), bytes]);
}

function parseAnswers(text: string, methods: readonly string[], closed: boolean): Answer[] {
  const answers: Answer[] = [];
  let requests = 0;
  for (let at = 0; at < text.length;) {
    const headEnd = text.indexOf('\r\n\r\n', at);
    if (headEnd === -1) break;
    const [statusLine, ...lines] = text.slice(at, headEnd).split('\r\n');
    const match = /^HTTP\/(1\.[01]) ([0-9]{3}) /.exec(statusLine!);
    if (match === null) throw new Error(`No answer of HTTP begins so: ${JSON.stringify(text.slice(at, at + SHOWN))}`);
    const status = Number(match[2]);
    const headers = parseHeaders(lines);
    const start = headEnd + 4;
    const method = status < 200 ? undefined : methods[requests++];
    const { body, end } = parseBody(text, start, headers, method === 'HEAD' || status < 200 || status === 204);
    // What has neither length nor chunks ends with the connection.
    const ended = end ?? (closed && headers['transfer-encoding'] === undefined && headers['content-length'] === undefined ? text.length : undefined);
    answers.push({ version: match[1]!, status, headers, body: Buffer.from(body, 'latin1').toString(), complete: ended !== undefined });
    at = ended ?? text.length;
  }
  return answers;
}

function parseHeaders(lines: readonly string[]): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    headers[name] = headers[name] === undefined ? value : `${headers[name]}, ${value}`;
  }
  return headers;
}

/** The body that begins at `start`, as far as it is there; `end` is behind it, undefined while it is not over. */
function parseBody(text: string, start: number, headers: Readonly<Record<string, string>>, none: boolean): { body: string; end: number | undefined } {
  if (none) return { body: '', end: start };
  const length = headers['content-length'];
  if (length !== undefined) {
    const end = start + Number(length);
    return { body: text.slice(start, end), end: text.length >= end ? end : undefined };
  }
  if (headers['transfer-encoding'] !== 'chunked') return { body: text.slice(start), end: undefined };
  let body = '';
  for (let at = start; ;) {
    const lineEnd = text.indexOf('\r\n', at);
    if (lineEnd === -1) return { body, end: undefined };
    const line = text.slice(at, lineEnd);
    if (!/^[0-9a-f]+$/i.test(line)) throw new Error(`No chunk begins so: ${JSON.stringify(text.slice(at, at + SHOWN))}`);
    const size = parseInt(line, 16);
    const next = lineEnd + 2 + size + 2;
    if (text.length < next) return { body: body + text.slice(lineEnd + 2, lineEnd + 2 + size), end: undefined };
    if (text.slice(next - 2, next) !== '\r\n') throw new Error(`A chunk is longer than it says: ${JSON.stringify(text.slice(at, at + SHOWN))}`);
    if (size === 0) return { body, end: next };
    body += text.slice(lineEnd + 2, next - 2);
    at = next;
  }
}
