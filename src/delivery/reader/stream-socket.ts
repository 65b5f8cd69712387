import type { Position } from '../../model/position.ts';
import type { Counters } from '../../runtime/counters.ts';
import type { ErasureNews } from '../frames/erasure-news.ts';
import { farewell } from '../frames/farewell.ts';
import type { Bundle } from '../frames/frame-bundle.ts';
import type { Fillable, FullSockets } from './full-sockets.ts';
import { httpChunk, type StreamFraming } from '../frames/http-chunk.ts';
import { HEARTBEAT, type BusyReason, type ControlWriter, type Form } from '../frames/sse.ts';
import { controlTextFrame, PING } from '../frames/text-frame.ts';
import type { Unread, UnreadWrites } from './unread-writes.ts';

/** The part of a connection that a stream uses. `net.Socket` implements it. */
export interface Outlet {
  write(bytes: Uint8Array): boolean;
  /** Bytes of all writes that have not ended, including the current write. */
  readonly writableLength: number;
  /** Whether a write reached the high-water mark, so that a `drain` event follows. */
  readonly writableNeedDrain: boolean;
  /** Closes after the kernel has taken all written bytes. */
  destroySoon(): void;
  destroy(): unknown;
  /** Node's handle of a TCP socket. Only its `writeQueueSize` shows progress within one write. It is internal, but Node's own socket timeouts rely on it, too. */
  readonly _handle?: { readonly writeQueueSize: number } | null;
  /** The two ends of the connection, while it is open. */
  readonly localAddress?: string | undefined;
  readonly localPort?: number | undefined;
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
  /** All bytes ever written, including bytes that still wait here. */
  readonly bytesWritten?: number;
}

/** The options of a stream's request. */
export interface StreamOptions extends StreamFraming {
  readonly form: Form;
  /** Whether control events are wanted. */
  readonly control: boolean;
  /** Whether the client wants to know who listens. */
  readonly presence?: boolean;
}

/** All sockets share these. `fullSockets` and `unread` have streams, not sockets, as members. */
export interface StreamSocketDependencies<Stream extends Fillable & Unread> {
  readonly counters: Pick<Counters, 'deliveredBytes'>;
  readonly fullSockets: FullSockets<Stream>;
  readonly unread: UnreadWrites<Stream>;
}

export interface StreamSocketParts<Stream> {
  readonly stream: Stream;
  readonly outlet: Outlet;
  readonly options: StreamOptions;
  /** Where reading begins. */
  readonly sentSeq: number;
}

/** The heartbeat as an HTTP chunk. It is the same for all streams, so it is encoded once. */
const HEARTBEAT_CHUNK = httpChunk([HEARTBEAT]);

const NOTHING = Buffer.alloc(0);

type StreamFormat = Omit<StreamOptions, 'presence'>;

/** All formats that streams have had, a few dozen at most. Streams share them, because a format of its own would take 24 bytes more for each. */
const formats: StreamFormat[] = [];

function sharedFormat({ form, control, chunked, lastChunk }: StreamOptions): StreamFormat {
  for (const one of formats) if (one.form === form && one.control === control && one.chunked === chunked && one.lastChunk === lastChunk) return one;
  const format = { form, control, chunked, lastChunk };
  formats.push(format);
  return format;
}

/**
 * The socket of one stream. It writes frames in the form that the client asked for: an event stream, with or without chunks, or a WebSocket.
 *
 * Everything that a stream sends passes through `#write`, control events too. So the order on the connection is the order of the calls (invariant 4).
 *
 * A write that reaches the high-water mark makes the socket full until it drains. The socket still writes when it is full: the reader decides which frames must wait.
 */
export class StreamSocket<Stream extends Fillable & Unread> {
  readonly #stream: Stream;
  readonly #outlet: Outlet;
  /** All sockets share this object. Its three fields in each socket would take more memory. */
  readonly #shared: StreamSocketDependencies<Stream>;
  readonly #format: StreamFormat;
  #isFull = false;
  /** Whether a warning was written to the full socket. No second warning follows before it drains. */
  #isWarned = false;
  #unansweredPings = 0;
  #sentSeq: number;
  /** The number of the first message of the last write with messages. While the socket is full, it may contain that write. */
  #wroteFrom: number | undefined;

  constructor({ stream, outlet, options, sentSeq }: StreamSocketParts<Stream>, shared: StreamSocketDependencies<Stream>) {
    this.#stream = stream;
    this.#outlet = outlet;
    this.#sentSeq = sentSeq;
    this.#shared = shared;
    this.#format = sharedFormat(options);
  }

  get outlet(): Outlet {
    return this.#outlet;
  }

  get isWebSocket(): boolean {
    return this.#format.form === 'websocket';
  }

  /** Whether its client wants control events. */
  get wantsControl(): boolean {
    return this.#format.control;
  }

  /** The encoder of control events for a WebSocket; undefined for an event stream, whose encoder is the default. */
  get controlWriter(): ControlWriter | undefined {
    return this.isWebSocket ? controlTextFrame : undefined;
  }

  /** Whether a write has reached the high-water mark since the socket last drained. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** Bytes of writes that have not ended. */
  get unsent(): number {
    return this.#outlet.writableLength;
  }

  /** Two counts: `unsent`, and bytes of the current write that the kernel has not taken. */
  get unsentBytes(): readonly number[] {
    return [this.#outlet.writableLength, this.#outlet._handle?.writeQueueSize ?? 0];
  }

  /** How many pings were sent since the client last sent anything; 0 for an event stream. */
  get unansweredPings(): number {
    return this.#unansweredPings;
  }

  /** The number in the last id that was written to the stream, by a message or a control event. */
  get sentSeq(): number {
    return this.#sentSeq;
  }

  /** Whether the unsent bytes of a full socket may contain one of the erased messages. */
  mayHold(news: ErasureNews): boolean {
    return news.isAbout(this.#wroteFrom ?? Infinity, this.#sentSeq);
  }

  heard(): void {
    this.#unansweredPings = 0;
  }

  /**
   * Writes the first frame.
   * @param head The response head, if it was not written yet. It goes out before the frame.
   */
  open(frame: Buffer, head: Buffer | undefined): void {
    if (head === undefined) this.say(frame);
    // In one write: a system call costs more than the copy.
    else this.#write(Buffer.concat([head, this.#format.chunked ? httpChunk([frame]) : frame]));
  }

  /** Writes a bundle of at least one message. */
  deliver(bundle: Bundle): void {
    this.#wroteFrom = bundle.messages[0]!.seq;
    this.#sentSeq = bundle.last!.seq;
    const { form, chunked, control } = this.#format;
    const bytes = bundle.bytes(form, chunked, control);
    if (bytes.length > 0) this.#write(bytes);
  }

  /** Writes a frame without a position. Skips comments on a WebSocket: its heartbeats are pings. */
  say(frame: Buffer): void {
    if (this.isWebSocket && (frame === HEARTBEAT || frame === NOTHING)) return;
    if (!this.#format.chunked) this.#write(frame);
    else this.#write(frame === HEARTBEAT ? HEARTBEAT_CHUNK : httpChunk([frame]));
  }

  /** Writes a frame whose id is this position. */
  sayAt(at: Position, frame: Buffer): void {
    this.say(frame);
    this.#sentSeq = at.seq;
  }

  /** Call it when the reader's cursor has moved to another position. Counts that position's id as sent. */
  movedTo({ seq }: Position): void {
    this.#sentSeq = seq;
  }

  /** Returns a comment for a client without control events, or nothing for a WebSocket, which has no comments. */
  comment(comment: Buffer): Buffer {
    return this.isWebSocket ? NOTHING : comment;
  }

  /** Writes the erasures that the client may have to know, with the id `at`. */
  tellErased(news: ErasureNews, at: Position): void {
    const bytes = news.bytes(at, this.#format.form, this.#format.chunked);
    if (bytes === undefined) return;
    this.#write(bytes);
    this.#sentSeq = at.seq;
  }

  ping(): void {
    this.#unansweredPings++;
    this.#write(PING);
  }

  /**
   * Writes a frame that cannot wait for a full socket to drain. A full socket gets only one such frame, because each renewal of a credential could bring another
   * warning (invariant 5).
   */
  warn(frame: Buffer): void {
    if (this.#isWarned) return;
    this.say(frame);
    this.#isWarned = this.#isFull;
  }

  /** Writes the last frame: the client comes back after `retryMs`. */
  sayFarewell(retryMs: number, reason: BusyReason): void {
    this.#write(farewell(this.#format, retryMs, reason));
  }

  /** Call it on the event `drain`. Returns whether the socket was full. */
  drained(): boolean {
    this.#shared.unread.delete(this.#stream);
    if (!this.#isFull) return false;
    this.#isFull = false;
    this.#isWarned = false;
    this.#shared.fullSockets.delete(this.#stream);
    return true;
  }

  /** Call it when the connection has closed or is about to. */
  closed(): void {
    this.#shared.fullSockets.delete(this.#stream);
    this.#shared.unread.delete(this.#stream);
  }

  /** Closes the connection after everything written has left. */
  destroySoon(): void {
    this.#outlet.destroySoon();
  }

  destroy(): void {
    this.#outlet.destroy();
  }

  #write(bytes: Buffer): void {
    this.#outlet.write(bytes);
    this.#shared.counters.deliveredBytes += bytes.length;
    // `write` returns false for a large write even if the kernel took all of it. Only unsent bytes mean that the socket is full.
    if (this.#outlet.writableLength === 0) return;
    if (!this.#isFull && this.#outlet.writableNeedDrain) {
      this.#isFull = true;
      this.#shared.fullSockets.add(this.#stream);
    }
    // This comes last, because it may evict this stream.
    this.#shared.unread.add(this.#stream, bytes);
  }
}
