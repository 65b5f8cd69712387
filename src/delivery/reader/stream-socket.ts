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

/** The connection of a stream, as far as its socket needs it: `net.Socket` is one. */
export interface Outlet {
  write(bytes: Uint8Array): boolean;
  /** Bytes that the kernel has not taken yet. */
  readonly writableLength: number;
  /** Whether a `drain` event will tell when it has. */
  readonly writableNeedDrain: boolean;
  /** Closes once everything written has left. */
  destroySoon(): void;
  destroy(): unknown;
  /** Node's handle of a TCP socket. It alone tells how much of a write the kernel has not taken yet; Node's own timeouts use it, too. */
  readonly _handle?: { readonly writeQueueSize: number } | null;
  /** The two ends of the connection, while it is open. */
  readonly localAddress?: string | undefined;
  readonly localPort?: number | undefined;
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
  /** Bytes that were written to it, those that wait among them. */
  readonly bytesWritten?: number;
}

/** A client's wishes for its stream. */
export interface StreamOptions extends StreamFraming {
  readonly form: Form;
  /** Whether control events are wanted. */
  readonly control: boolean;
  /** Whether the client wants to know who listens. */
  readonly presence?: boolean;
}

/** Shared by all sockets. Each stream stands for itself there. */
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

/** The one control frame that is the same for all: encoded once. */
const HEARTBEAT_CHUNK = httpChunk([HEARTBEAT]);

const NOTHING = Buffer.alloc(0);

type StreamFormat = Omit<StreamOptions, 'presence'>;

/** All formats that streams have had: a few dozen. A stream that kept a format of its own would take 24 bytes more. */
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
 * Everything that a stream ever sends passes through `#write`, control events too. So the order on the connection is the order of the calls (invariant 4).
 *
 * A write that the kernel does not take fills the socket until it drains. Only the reader knows what must wait for that.
 */
export class StreamSocket<Stream extends Fillable & Unread> {
  readonly #stream: Stream;
  readonly #outlet: Outlet;
  /** The same for all: three fields of each stream would be more. */
  readonly #shared: StreamSocketDependencies<Stream>;
  readonly #format: StreamFormat;
  #isFull = false;
  /** Whether it was given a warning that it has not taken yet. */
  #isWarned = false;
  #unansweredPings = 0;
  #sentSeq: number;
  /** The number of the first message of the last write that had some. While the socket is full, that write is in it. */
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

  /** How control events are written; undefined for those of an event stream. */
  get controlWriter(): ControlWriter | undefined {
    return this.isWebSocket ? controlTextFrame : undefined;
  }

  /** Whether a write has found it full since it last drained. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** Bytes of writes that have not ended. */
  get unsent(): number {
    return this.#outlet.writableLength;
  }

  /** The same, and bytes of the write under way that the kernel has not taken. */
  get unsentBytes(): readonly number[] {
    return [this.#outlet.writableLength, this.#outlet._handle?.writeQueueSize ?? 0];
  }

  /** How many pings a WebSocket has had since its client was last heard; 0 where it has none. */
  get unansweredPings(): number {
    return this.#unansweredPings;
  }

  /** The number in the last id that was sent. */
  get sentSeq(): number {
    return this.#sentSeq;
  }

  /** Whether one of the erased messages may lie in it, while it is full. */
  mayHold(news: ErasureNews): boolean {
    return news.isAbout(this.#wroteFrom ?? Infinity, this.#sentSeq);
  }

  heard(): void {
    this.#unansweredPings = 0;
  }

  /**
   * Writes the first frame.
   * @param head What comes before it on the connection.
   */
  open(frame: Buffer, head: Buffer | undefined): void {
    if (head === undefined) this.say(frame);
    // In one write: a system call costs more than the copy.
    else this.#write(Buffer.concat([head, this.#format.chunked ? httpChunk([frame]) : frame]));
  }

  /** @param bundle Not an empty one. */
  deliver(bundle: Bundle): void {
    this.#wroteFrom = bundle.messages[0]!.seq;
    this.#sentSeq = bundle.last!.seq;
    const { form, chunked, control } = this.#format;
    const bytes = bundle.bytes(form, chunked, control);
    if (bytes.length > 0) this.#write(bytes);
  }

  /** Writes a frame. A WebSocket has no heartbeats but pings. */
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

  /** The stream goes on at another position, whose id counts as sent. */
  movedTo({ seq }: Position): void {
    this.#sentSeq = seq;
  }

  /** A comment for a client without control events. A WebSocket has none. */
  comment(comment: Buffer): Buffer {
    return this.isWebSocket ? NOTHING : comment;
  }

  /** Tells of erasures before this position. */
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

  /** Says something that cannot wait. A full socket gets it, too, once before it drains: each renewal of a credential could bring another warning (invariant 5). */
  warn(frame: Buffer): void {
    if (this.#isWarned) return;
    this.say(frame);
    this.#isWarned = this.#isFull;
  }

  /** Writes the last frame: the client comes back after `retryMs`. */
  sayFarewell(retryMs: number, reason: BusyReason): void {
    this.#write(farewell(this.#format, retryMs, reason));
  }

  /** It has room again. Returns whether it was full. */
  drained(): boolean {
    this.#shared.unread.delete(this.#stream);
    if (!this.#isFull) return false;
    this.#isFull = false;
    this.#isWarned = false;
    this.#shared.fullSockets.delete(this.#stream);
    return true;
  }

  /** It is gone, or about to be. */
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
    // A large write returns false even where the kernel took it all; only what is left over means that the socket is full.
    if (this.#outlet.writableLength === 0) return;
    if (!this.#isFull && this.#outlet.writableNeedDrain) {
      this.#isFull = true;
      this.#shared.fullSockets.add(this.#stream);
    }
    // Last: it may end this stream.
    this.#shared.unread.add(this.#stream, bytes);
  }
}
