import { connect, type Socket } from 'node:net';
import { now } from './clock.ts';
import type { Sink } from './events.ts';
import { chunked, plain, Position, type Framing, type Receiver } from './framing.ts';
import type { Subscriber } from './ledger.ts';
import { pongFrame, textFrame, websocket } from './websocket.ts';
import type { Wire } from './wires.ts';

/** What a stream tells whoever opened it. */
export interface StreamHost {
  /** What its events are given to. */
  readonly sink: Sink;
  opened(stream: Stream): void;
  /** It was never open, or is no more. @param retryMs When Tidings said to come back: it was busy. */
  ended(stream: Stream, reason: string, retryMs: number | undefined): void;
}

export interface StreamOptions extends Subscriber {
  readonly wire: Wire;
  readonly port: number;
  readonly localAddress: string;
  /** Where it begins. */
  readonly after: string | undefined;
  /** Who opens it; nobody if undefined. */
  readonly member: string | undefined;
}

/** All streams are read into the same buffer: a read is dealt with before the next one. */
const shared = Buffer.allocUnsafeSlow(64 * 1024);

/** The last id of what is being read: where it was read to, as long as it was not looked for. */
let idFrom = 0;
let idTo = 0;

const LINE_END = 10;
const ID_LINE = Buffer.from('\nid: ');
/** Stops an id that is none. Bytes. */
const ID_MAX = 128;
const CONTROL = /(?:^|\n)event: (\$\w+)\n(?:retry: (\d+)\n)?/g;

/** One stream over a socket of its own: opened, read, cut, opened again with its last id. */
export class Stream implements Subscriber, Receiver {
  readonly number: number;
  readonly names: readonly string[];
  readonly position = new Position();
  /** Whether it belongs to those that stop reading for a while. */
  slow = false;
  isOpen = false;
  /** When it was asked for, in milliseconds. */
  connectedAt = 0;
  readonly #options: StreamOptions;
  readonly #host: StreamHost;
  #socket: Socket | undefined;
  #framing: Framing | undefined;
  #id = Buffer.alloc(0);
  #idLength = 0;
  #retryMs: number | undefined;

  constructor(options: StreamOptions, host: StreamHost) {
    this.number = options.number;
    this.names = options.names;
    this.#options = options;
    this.#host = host;
  }

  get id(): string | undefined {
    return this.#idLength === 0 ? undefined : this.#id.toString('latin1', 0, this.#idLength);
  }

  open(): void {
    const { wire, port, localAddress, after, member } = this.#options;
    this.position.reset();
    this.#framing = undefined;
    this.#retryMs = undefined;
    this.connectedAt = now();
    const socket: Socket = connect({ port, host: '127.0.0.1', localAddress, onread: { buffer: shared, callback: (length) => this.#read(socket, length) } });
    let reason = 'ended';
    this.#socket = socket;
    socket.on('error', (error: NodeJS.ErrnoException) => {
      reason = error.code ?? error.message;
    });
    socket.on('close', () => this.#end(socket, reason));
    socket.write(wire.open(this.names, this.id, after, member));
  }

  /** Ends the connection; nothing is told. */
  cut(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    this.isOpen = false;
    socket?.destroy();
  }

  /** Ends it as if the connection had broken. */
  fail(reason: string): void {
    const socket = this.#socket;
    if (socket === undefined) return;
    this.#end(socket, reason);
    socket.destroy();
  }

  pause(): void {
    this.#socket?.pause();
  }

  resume(): void {
    this.#socket?.resume();
  }

  events(bytes: Buffer, from: number, to: number, at: number): void {
    const { wire } = this.#options;
    if (wire.opensItself && this.#isControl(bytes, from, to)) {
      this.#control(bytes.toString('latin1', from, to));
      if (this.#takeId(bytes, from, to)) idTo = 0;
    } else if (bytes !== shared) {
      if (wire.resumes && this.#takeId(bytes, from, to)) idTo = 0;
    } else if (wire.resumes) {
      idFrom = from;
      idTo = to;
    }
    this.#host.sink.events(this, bytes, from, to, at);
  }

  message(bytes: Buffer, from: number, to: number, at: number): void {
    if (this.#options.wire.resumes) this.#frame(bytes, from, to, at);
    else this.#packet(bytes, from, to, at);
  }

  ping(bytes: Buffer, from: number, to: number): void {
    this.#socket?.write(pongFrame(bytes, from, to));
  }

  /** A frame of Tidings: a message, or an event about the stream, which has no topic. Where it names a place, that is its first member. */
  #frame(bytes: Buffer, from: number, to: number, at: number): void {
    const hasId = bytes[from + FRAME_ID.length - 1] === QUOTE && bytes[from + 2] === I;
    const end = hasId ? bytes.indexOf(QUOTE, from + FRAME_ID.length) : from - 1;
    if (hasId) {
      if (this.#id.length === 0) this.#id = Buffer.allocUnsafe(ID_MAX);
      this.#idLength = bytes.copy(this.#id, 0, from + FRAME_ID.length, Math.min(end, from + FRAME_ID.length + ID_MAX));
    }
    // "event" follows where the frame has no topic.
    if (bytes[end + 3] === E) this.#controlFrame(bytes.toString('utf8', from, to));
    this.#host.sink.events(this, bytes, from, to, at);
  }

  #controlFrame(text: string): void {
    const { event, retryMs } = JSON.parse(text) as { readonly event: string; readonly retryMs?: number };
    if (event === '$open') this.#opened();
    else if (event === '$gap') this.#host.sink.gap();
    else if (event === '$busy') this.#retryMs = retryMs;
  }

  /** A message of Socket.IO's (https://socket.io/docs/v4/engine-io-protocol/ and /socket-io-protocol/). */
  #packet(bytes: Buffer, from: number, to: number, at: number): void {
    if (bytes[from] === FOUR && bytes[from + 1] === TWO) {
      this.#host.sink.events(this, bytes, from, to, at);
      return;
    }
    const text = bytes.toString('utf8', from, to);
    if (text === '2') this.#socket?.write(textFrame('3'));
    else if (text.startsWith('0')) this.#socket?.write(textFrame('40'));
    else if (text.startsWith('40')) this.#socket?.write(textFrame(`420${JSON.stringify(['join', ...this.names])}`));
    else if (text.startsWith('430')) this.#opened();
    else this.fail(`said ${text.slice(0, 40)}`);
  }

  #read(socket: Socket, length: number): boolean {
    // Cut, while this was on its way.
    if (socket !== this.#socket) return true;
    const at = now();
    try {
      idTo = 0;
      if (this.#framing === undefined) this.#readHead(length, at);
      else this.#framing.read(this, shared, 0, length, at);
      if (idTo > 0) this.#takeId(shared, idFrom, idTo);
    } catch (error) {
      this.fail(error instanceof Error ? error.message : String(error));
    }
    return true;
  }

  #readHead(length: number, at: number): void {
    const { position } = this;
    if (position.keptLength > 0) position.keep(shared, 0, length);
    const [bytes, to] = position.keptLength > 0 ? [position.kept, position.keptLength] : [shared, length];
    const head = bytes.toString('latin1', 0, to);
    const end = head.indexOf('\r\n\r\n');
    if (end === -1) {
      if (to > HEAD_MAX) throw new Error('the head of the answer has no end');
      if (position.keptLength === 0) position.keep(shared, 0, length);
      return;
    }
    const { wire } = this.#options;
    const status = /^HTTP\/1\.1 (\d{3})/.exec(head)?.[1];
    if (status !== (wire.framing === 'websocket' ? '101' : '200')) throw new Error(`status ${status ?? 'unknown'}`);
    this.#framing = wire.framing === 'websocket' ? websocket : /\r\ntransfer-encoding:[ \t]*chunked/i.test(head.slice(0, end + 2)) ? chunked : plain;
    // Where the head came in pieces, what came with its end is given on from a copy of its own, as what is kept is written over.
    const rest = bytes === shared ? shared : Buffer.from(bytes.subarray(0, to));
    position.reset();
    if (!wire.opensItself) this.#opened();
    if (to > end + 4) this.#framing.read(this, rest, end + 4, to, at);
  }

  #isControl(bytes: Buffer, from: number, to: number): boolean {
    // Until it is open, and where a comment or a `retry:` stands before, it is looked at as a whole.
    const first = bytes[from]!;
    return !this.isOpen || first === COLON || first === R || (first === E && bytes.toString('latin1', from, Math.min(to, from + 8)) === 'event: $');
  }

  #control(text: string): void {
    for (const [, name, retry] of text.matchAll(CONTROL)) {
      if (name === '$open') this.#opened();
      else if (name === '$gap') this.#host.sink.gap();
      else if (name === '$busy') this.#retryMs = Number(retry);
    }
  }

  #opened(): void {
    if (this.isOpen) return;
    this.isOpen = true;
    this.#host.opened(this);
  }

  #end(socket: Socket, reason: string): void {
    if (socket !== this.#socket) return;
    this.#socket = undefined;
    const retryMs = this.#retryMs;
    this.#host.ended(this, retryMs === undefined ? reason : 'busy', retryMs);
    this.isOpen = false;
  }

  /** Whether there is one. Only of whole events: what is cut before its blank line has not happened. */
  #takeId(bytes: Buffer, from: number, to: number): boolean {
    let at = bytes.lastIndexOf(ID_LINE, to - 1);
    // It may be the first line.
    if (at < from) {
      if (bytes[from] !== I || bytes[from + 1] !== D || bytes[from + 2] !== COLON) return false;
      at = from - 1;
    }
    at += ID_LINE.length;
    let length = 0;
    if (this.#id.length === 0) this.#id = Buffer.allocUnsafe(ID_MAX);
    for (; at < to && bytes[at] !== LINE_END && length < ID_MAX; at++) this.#id[length++] = bytes[at]!;
    this.#idLength = length;
    return true;
  }
}

const HEAD_MAX = 64 * 1024;
const FRAME_ID = '{"id":"';
const QUOTE = 34;
const [TWO, FOUR] = [50, 52];
const [COLON, E, R, I, D] = [58, 101, 114, 105, 100];
