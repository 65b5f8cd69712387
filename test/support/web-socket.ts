import { WebSocket, type ClientOptions } from 'ws';
import type { Scope } from './temp.ts';
import { Watchers } from './watchers.ts';

/** Stops a wait for what never comes. Milliseconds. */
const WAIT_LIMIT = 120_000;

/** A frame as the service sends it: a message, an event about the stream, or an answer. */
export interface Frame {
  readonly id?: string;
  readonly topic?: string;
  readonly event: string;
  readonly time?: string;
  readonly retryMs?: number;
  readonly request?: string | number;
  readonly replayed?: boolean;
  readonly data: unknown;
}

export interface Closed {
  readonly code: number;
  readonly reason: string;
}

/** The client's end of one WebSocket, by a library that we did not write. It neither reconnects nor keeps a cursor. */
export class SocketClient {
  readonly frames: Frame[] = [];
  readonly texts: string[] = [];
  readonly webSocket: WebSocket;
  pings = 0;
  closed: Closed | undefined;
  #handedOut = 0;
  readonly #watchers = new Watchers();

  constructor(webSocket: WebSocket) {
    this.webSocket = webSocket;
    webSocket.on('message', (data: Buffer) => {
      this.texts.push(data.toString());
      this.frames.push(JSON.parse(data.toString()) as Frame);
      this.#watchers.tell();
    });
    webSocket.on('ping', () => {
      this.pings++;
      this.#watchers.tell();
    });
    webSocket.on('close', (code, reason) => {
      this.closed = { code, reason: reason.toString() };
      this.#watchers.tell();
    });
    // Its end says the rest.
    webSocket.on('error', () => undefined);
  }

  /** Its messages alone. */
  get messages(): Frame[] {
    return this.frames.filter(({ event }) => !event.startsWith('$'));
  }

  send(frame: unknown): void {
    this.webSocket.send(typeof frame === 'string' ? frame : JSON.stringify(frame));
  }

  /** The first frame after those handed out for which it holds. */
  async next(holds: (frame: Frame) => boolean = () => true): Promise<Frame> {
    const found = (): number => this.frames.findIndex((frame, index) => index >= this.#handedOut && holds(frame));
    await this.until(() => found() !== -1);
    this.#handedOut = found() + 1;
    return this.frames[this.#handedOut - 1]!;
  }

  /** Sends a frame, and waits for its answer. */
  async ask(frame: object): Promise<Frame> {
    const request = `ask ${this.frames.length} ${Math.random()}`;
    this.send({ ...frame, request });
    return this.next((answer) => answer.request === request);
  }

  async until(holds: () => boolean): Promise<void> {
    await this.#watchers.when(() => holds() || this.closed !== undefined, WAIT_LIMIT);
    if (!holds()) throw new Error(`The WebSocket has ${this.closed === undefined ? 'not come so far' : `ended with ${JSON.stringify(this.closed)}`}: ${this.texts.slice(-5).join('\n')}`);
  }

  async end(): Promise<Closed> {
    await this.#watchers.when(() => this.closed !== undefined, WAIT_LIMIT);
    if (this.closed === undefined) throw new Error('The WebSocket is still open.');
    return this.closed;
  }
}

export interface SocketOptions extends ClientOptions {
  /** Whether pings are answered, which is its default. */
  readonly autoPong?: boolean;
}

/** Opens one, and waits for its `$open`, or for nothing where it has no control events. */
export async function openSocket(t: Scope, url: string, options: SocketOptions = {}): Promise<SocketClient> {
  const webSocket = new WebSocket(url.replace(/^http/, 'ws'), { perMessageDeflate: false, ...options });
  const client = new SocketClient(webSocket);
  t.teardown(() => webSocket.terminate());
  await new Promise<void>((resolve, reject) => void webSocket.once('open', resolve).once('error', reject));
  if (!url.includes('control=0')) await client.next();
  return client;
}

/** What a handshake is answered that is refused. */
export function refusedSocket(url: string, options: SocketOptions = {}): Promise<{ readonly status: number; readonly code?: string; readonly field?: string }> {
  return new Promise((resolve, reject) => {
    const webSocket = new WebSocket(url.replace(/^http/, 'ws'), options);
    webSocket.on('error', () => undefined).on('open', () => reject(new Error('It was not refused.')));
    webSocket.on('unexpected-response', (_request, response) => {
      let body = '';
      response.on('data', (bytes: Buffer) => { body += bytes.toString(); }).on('end', () => {
        const { code, field } = body.startsWith('{') ? JSON.parse(body) as { code?: string; field?: string } : {};
        resolve({ status: response.statusCode!, ...(code === undefined ? {} : { code }), ...(field === undefined ? {} : { field }) });
        webSocket.terminate();
      });
    });
  });
}
