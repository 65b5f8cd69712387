import type { Tail } from '../log/tail.ts';
import type { Start } from '../model/gap.ts';
import type { Position } from '../model/position.ts';
import type { Counters } from '../runtime/counters.ts';
import type { NamedHolder, Share } from '../runtime/fair-shares.ts';
import type { ErasureNews } from './erasure-news.ts';
import { farewell } from './farewell.ts';
import type { Bundle } from './frame-bundle.ts';
import type { FullSockets } from './full-sockets.ts';
import { heartbeatFrame } from './heartbeats.ts';
import { httpChunk, type StreamFraming } from './http-chunk.ts';
import type { Group } from './reader-group.ts';
import { expiringFrame, gapComment, gapFrame, HEARTBEAT, openFrame, retryLine, topicsFrame, type BusyReason, type ControlWriter, type Form } from './sse.ts';
import { controlTextFrame, PING, presenceTextFrame } from './text-frame.ts';
import type { UnreadWrites } from './unread-writes.ts';

/** The socket of a stream, as far as a reader needs it: `net.Socket` is one. */
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

/** The client of a stream, for administrators. Fields that cost memory are read on demand. */
export interface StreamClient {
  /** Names the stream on this instance. */
  readonly number: number;
  /** Who is present by it, as presence calls them; undefined where that is nobody in particular. */
  readonly member: string | undefined;
  /** The name of its credential, as log lines have it; undefined where it has none. */
  readonly credential: string | undefined;
  /** The address as a trusted proxy told it; undefined where it is the other end of the connection. */
  readonly address: string | undefined;
  /** The client's `User-Agent`. */
  readonly agent: string | undefined;
  /** The client that its place counts for. */
  holder(): NamedHolder;
  /** By what its next attempt can be refused: the use of a ticket, or the id of a session. */
  readonly ownIdentity: { readonly ticket: string; readonly generation: number } | { readonly session: string } | undefined;
}

/** The options of a stream that its client chose. */
export interface StreamOptions extends StreamFraming {
  readonly form: Form;
  /** Whether control events are wanted. */
  readonly control: boolean;
  /** Whether the client wants to know who listens. */
  readonly presence?: boolean;
}

export interface ReaderDependencies {
  readonly tail: Tail;
  readonly counters: Counters;
  readonly fullSockets: FullSockets<Reader>;
  readonly unread: UnreadWrites<Reader>;
}

/** The parts of one reader. It shares its dependencies with all others. */
export interface ReaderParts {
  readonly group: Group;
  readonly options: StreamOptions;
  readonly outlet: Outlet;
  /** Where reading begins. */
  readonly at: Position;
  /** Undefined where nobody administers streams. */
  readonly client: StreamClient | undefined;
  /** When it was opened, by the clock of the process: tenths of a second. A small integer, which takes no memory of its own. */
  readonly openedTenths: number;
}

/**
 * - `behind`: everything up to the cursor has been written; catchup.ts reads on from there.
 * - `live`: everything up to the end of the tail has been written, or up to the place where it became live, if that is further. The fan-out
 *   writes new messages to it as they come.
 * - `blocked`: behind, with a full socket. Nothing is written to it before the socket drains, so a reader costs bounded memory, however
 *   slow it is (invariant 5): the socket holds at most one write, which has a bound of its own, and one heartbeat.
 * - `dismissed`: the client was sent away. The connection closes a little later.
 * - `closed`: the socket is gone, or about to be.
 */
export type ReaderState = 'behind' | 'live' | 'blocked' | 'dismissed' | 'closed';

/** How much news one reader may have yet to be told. Stops erasures that come faster than catch-up from filling the memory: beyond that it is told at once. */
const NEWS_MAX_ENTRIES = 100;

/** The one control frame that is the same for all: encoded once. */
const HEARTBEAT_CHUNK = httpChunk([HEARTBEAT]);

const NOTHING = Buffer.alloc(0);

/**
 * One stream: a cursor, a filter (its group's), and a socket.
 *
 * Everything that a stream ever sends passes through `#write`, control events too. So the order on the socket is the order of the calls
 * (invariant 4), and the position in a control event is true at that place of the stream.
 */
export class Reader {
  #group: Group;
  readonly client: StreamClient | undefined;
  readonly openedTenths: number;
  /** Kept by heartbeats.ts. */
  heartbeatSlot = 0;
  /** Kept by stream-shares.ts. */
  share: Share | undefined;
  /** One object for all readers: four fields in each stream would cost more memory. */
  readonly #deps: ReaderDependencies;
  readonly #outlet: Outlet;
  readonly #form: Form;
  readonly #control: boolean;
  readonly #chunked: boolean;
  readonly #lastChunk: boolean;
  #state: ReaderState = 'behind';
  /** While it is not live: everything up to here has been written. */
  #cursorEpoch: string;
  #cursorSeq: number;
  /** While it is live: everything up to here has been written, and perhaps more. Nothing up to here may be written again. */
  #writtenEpoch = '';
  #writtenSeq = 0;
  /** The number in the last id that was sent. */
  #sentSeq: number;
  /** The number of the first message of the last write that had some. While the socket is full, that write is in it. */
  #wroteFrom: number | undefined;
  #beats = 0;
  /** Of a WebSocket: how many pings it has had since its client was last heard. */
  #unansweredPings = 0;
  /** Whether a write has found the socket full since it last drained. A heartbeat may find that of a live reader, which then stays live until the next sweep. */
  #isFull = false;
  /** Whether it is behind because the fan-out has left it there: its client takes everything, as far as is known. */
  #isLeft = false;
  /** What it is told before anything else that has a place. */
  #news: ErasureNews[] | undefined;
  /** Whether it has another filter, and its client was not told of that yet. */
  #isFilterUntold = false;
  /** Whether the socket was given a warning that it has not taken yet. */
  #isWarned = false;

  constructor({ group, options, outlet, at, client, openedTenths }: ReaderParts, deps: ReaderDependencies) {
    this.#group = group;
    this.client = client;
    this.openedTenths = openedTenths;
    this.#deps = deps;
    this.#outlet = outlet;
    this.#form = options.form;
    this.#control = options.control;
    this.#chunked = options.chunked;
    this.#lastChunk = options.lastChunk;
    this.#cursorEpoch = at.epoch;
    this.#cursorSeq = at.seq;
    this.#sentSeq = at.seq;
  }

  get group(): Group {
    return this.#group;
  }

  get state(): ReaderState {
    return this.#state;
  }

  get outlet(): Outlet {
    return this.#outlet;
  }

  /** How many heartbeats it has had. */
  get beats(): number {
    return this.#beats;
  }

  get transport(): 'sse' | 'websocket' {
    return this.#form === 'websocket' ? 'websocket' : 'sse';
  }

  /** How many pings it has had since its client was last heard; 0 where it has none. */
  get unansweredPings(): number {
    return this.#unansweredPings;
  }

  /** Its client was heard: a pong, or anything else. */
  heard(): void {
    this.#unansweredPings = 0;
  }

  /** How control events are written; undefined for those of an event stream. */
  get #writer(): ControlWriter | undefined {
    return this.#form === 'websocket' ? controlTextFrame : undefined;
  }

  /** Bytes of writes that have not ended, and bytes of the write under way that the kernel has not taken. */
  get unsentBytes(): readonly number[] {
    return [this.#outlet.writableLength, this.#outlet._handle?.writeQueueSize ?? 0];
  }

  /** Bytes of writes that have not ended. */
  get unsent(): number {
    return this.#outlet.writableLength;
  }

  /** Whether nothing is written to its socket before that has drained. */
  get isFull(): boolean {
    return this.#isFull;
  }

  get isLive(): boolean {
    return this.#state === 'live';
  }

  /** Whether nothing is written to it any more. */
  get isGone(): boolean {
    return this.#state === 'dismissed' || this.#state === 'closed';
  }

  /** While it is not live: the number of its cursor. */
  get cursorSeq(): number {
    return this.#cursorSeq;
  }

  /** While it is live: nothing up to this number may be written to it again. */
  get writtenSeq(): number {
    return this.#writtenSeq;
  }

  /**
   * Where the stream is: everything up to here that it wants has been written to its socket. True only while its group is
   * not waiting (`Group.isWaiting`).
   *
   * @param end How far its group has been written.
   */
  position(end: Position = this.#deps.tail.position): Position {
    if (!this.isLive) return { epoch: this.#cursorEpoch, seq: this.#cursorSeq };
    return end.seq >= this.#writtenSeq ? end : { epoch: this.#writtenEpoch, seq: this.#writtenSeq };
  }

  /**
   * Writes the stream's first frames.
   * @param handle What `$open` tells of the stream besides its place.
   * @param head What comes before them on the socket.
   */
  open({ at, gap }: Start, retryMs: number, handle?: object, head?: Buffer): void {
    const frame = this.#control ? openFrame(gap === undefined ? at : undefined, retryMs, handle, this.#writer) : this.#comment(retryLine(retryMs));
    if (head === undefined) this.#say(frame);
    // In one write: a system call costs more than the copy.
    else this.#write(Buffer.concat([head, this.#chunked ? httpChunk([frame]) : frame]));
    if (gap !== undefined) this.gap({ at, gap });
  }

  /** Says that something may be missing, and moves the cursor to `at`. The reader is not live. */
  gap({ at, gap }: Start): void {
    this.#tellNews();
    if (gap !== undefined) {
      this.#say(this.#control ? gapFrame(at, gap, this.#writer) : this.#comment(gapComment(gap)));
      this.#deps.counters.gaps++;
    }
    this.#moveCursor(at);
    this.#sentSeq = at.seq;
  }

  /**
   * Writes messages after the cursor of a reader that is behind, and moves the cursor to `end`. Invariant 4: both happen in one turn of the event
   * loop, the frames first.
   */
  catchUp(bundle: Bundle, end: Position): void {
    // Also where there is no message: that the filter is another one is told where it became so.
    this.#tellNews();
    this.#deliver(bundle);
    if (this.#isLeft && this.#isFull) this.#countSlow();
    if (end.seq > this.#cursorSeq) this.#moveCursor(end);
  }

  /** The cursor has reached the end of the tail: from now on the fan-out writes to the reader, unless its socket is full. */
  goLive(): void {
    this.#tellNews();
    const end = this.#deps.tail.position;
    if (this.#cursorSeq < end.seq) this.#moveCursor(end);
    if (this.#state !== 'behind') return;
    this.#state = 'live';
    this.#isLeft = false;
    this.#writtenEpoch = this.#cursorEpoch;
    this.#writtenSeq = this.#cursorSeq;
  }

  /**
   * Writes new messages to a live reader. If that fills its socket, it falls behind.
   *
   * @param end How far it has been written then.
   */
  passOn(bundle: Bundle, end: Position): void {
    this.#deliver(bundle);
    if (!this.#isFull) return;
    this.fallBehind(end);
    this.#countSlow();
  }

  /** Ends being live because more is published than sweeps can take: that says nothing of its client yet. */
  leaveBehind(end: Position): void {
    if (!this.isLive) return;
    this.fallBehind(end);
    if (this.#isFull) this.#countSlow();
    else this.#isLeft = true;
  }

  #countSlow(): void {
    this.#isLeft = false;
    this.#deps.counters.fellBehind++;
  }

  /** The live reader has been written everything up to `end`, which its group has not. */
  skipTo({ epoch, seq }: Position): void {
    if (!this.isLive || seq <= this.#writtenSeq) return;
    this.#writtenEpoch = epoch;
    this.#writtenSeq = seq;
  }

  /**
   * Ends being live, at the place that the reader has reached.
   *
   * @param end How far its group has been written.
   */
  fallBehind(end?: Position): void {
    if (!this.isLive) return;
    this.#moveCursor(this.position(end));
    this.#state = this.#isFull ? 'blocked' : 'behind';
  }

  /**
   * Goes on in another group. It is not live: everything up to its cursor was written for the group before, and what follows is for this one (invariant 4). Its client is told at that
   * place, before anything else that has one.
   */
  changeGroup(group: Group): void {
    this.#group = group;
    this.#isFilterUntold = this.#control;
    if (!this.#isFull && !this.isGone) this.#tellNews();
  }

  /**
   * Says that messages were erased which the client may have been sent before. Its group is not waiting.
   *
   * What lies in a full socket cannot be taken out of it: the stream ends, and its client comes back for tombstones. To a full socket nothing is written, so other news
   * do not reach it.
   */
  tellErased(news: ErasureNews): void {
    if (!this.#takesNews(news)) return;
    this.#tellNews();
    this.#tell(news);
  }

  /** The same, once catch-up comes to the reader, which ends being live for it: where there are many readers, telling all of them at once would take long. */
  tellErasedLater(news: ErasureNews): void {
    if (!this.#takesNews(news)) return;
    if (this.#news !== undefined && this.#news.length >= NEWS_MAX_ENTRIES) this.#tellNews();
    (this.#news ??= []).push(news);
    if (!this.isLive) return;
    this.fallBehind();
    this.#isLeft = true;
  }

  #takesNews(news: ErasureNews): boolean {
    if (this.isGone) return false;
    if (this.#isFull && news.isAbout(this.#wroteFrom ?? Infinity, this.#sentSeq)) this.abort();
    return this.#control && !this.#isFull;
  }

  #tellNews(): void {
    if (this.#news !== undefined) {
      const all = this.#news;
      this.#news = undefined;
      for (const news of all) if (!this.#isFull) this.#tell(news);
    }
    if (!this.#isFilterUntold || this.#isFull) return;
    this.#isFilterUntold = false;
    const at = this.position();
    this.#say(topicsFrame(at, this.#group.filter.names, this.#writer));
    this.#sentSeq = at.seq;
  }

  #tell(news: ErasureNews): void {
    const at = this.position();
    const bytes = news.bytes(at, this.#form, this.#chunked);
    if (bytes === undefined) return;
    this.#write(bytes);
    this.#sentSeq = at.seq;
  }

  /** Writes a sign of life (heartbeats.ts). */
  beat(): void {
    if (this.#isFull || this.isGone) return;
    if (this.transport === 'websocket') {
      this.#unansweredPings++;
      this.#write(PING);
      if (this.#isFull) return;
    }
    // Messages are about to be written to it, and its place lies before them: a comment names no place.
    if (this.isLive && this.group.isWaiting) return this.#say(HEARTBEAT);
    const at = this.position();
    const frame = heartbeatFrame({ control: this.#control, at, sentSeq: this.#sentSeq, beats: ++this.#beats }, this.#writer);
    this.#say(frame);
    if (frame !== HEARTBEAT) this.#sentSeq = at.seq;
  }

  /** Says when the credential of the stream ends. It names no place, so it may stand anywhere. A full socket gets one, too, and no more: each renewal could bring another (invariant 5). */
  warn(secondsLeft: number): void {
    if (!this.#control || this.isGone || this.#isWarned) return;
    this.#say(expiringFrame(secondsLeft, this.#writer));
    this.#isWarned = this.#isFull;
  }

  /** Says who listens. It names no place, so it may stand anywhere. @returns False where the socket is full: nothing is written to it (invariant 5). */
  tellPresence(frame: Buffer): boolean {
    return this.tell(this.transport === 'websocket' ? presenceTextFrame(frame) : frame);
  }

  /** Writes a frame that names no place, so it may stand anywhere. @returns False where the socket is full: nothing is written to it (invariant 5). */
  tell(frame: Buffer): boolean {
    if (this.isGone) return true;
    if (this.#isFull) return false;
    this.#say(frame);
    return true;
  }

  /** The socket has room again. Returns whether it was full. */
  drained(): boolean {
    this.#deps.unread.delete(this);
    if (!this.#isFull) return false;
    this.#isFull = false;
    this.#isWarned = false;
    this.#deps.fullSockets.delete(this);
    if (this.#state === 'blocked') this.#state = 'behind';
    return true;
  }

  /** Sends the client away: it comes back after `retryMs`. Its connection is closed a little later (delayed-close.ts). */
  dismiss(retryMs: number, reason: BusyReason): void {
    if (this.isGone) return;
    this.#tellNews();
    this.#write(farewell({ control: this.#control, chunked: this.#chunked, lastChunk: this.#lastChunk, form: this.#form }, retryMs, reason));
    this.#leave();
    this.#state = 'dismissed';
  }

  /** Closes the connection after what was written. */
  destroySoon(): void {
    this.#outlet.destroySoon();
  }

  /** Ends the stream, because there is no room for what its client does not take. */
  giveWay(): void {
    if (this.#state !== 'closed' && this.#state !== 'dismissed') this.#deps.counters.cut.unread++;
    this.abort();
  }

  /** Ends the stream at once. */
  abort(): void {
    this.closed();
    this.#outlet.destroy();
  }

  /** The socket is gone. */
  closed(): void {
    this.#leave();
    this.#state = 'closed';
    this.#deps.fullSockets.delete(this);
    this.#deps.unread.delete(this);
  }

  /** Ends being live. While its group is waiting, its place is not known. */
  #leave(): void {
    if (!this.group.isWaiting) this.fallBehind();
  }

  #moveCursor({ epoch, seq }: Position): void {
    this.#cursorEpoch = epoch;
    this.#cursorSeq = seq;
  }

  #deliver(bundle: Bundle): void {
    if (bundle.last === undefined) return;
    this.#tellNews();
    this.#wroteFrom = bundle.messages[0]!.seq;
    this.#sentSeq = bundle.last.seq;
    const bytes = bundle.bytes(this.#form, this.#chunked, this.#control);
    if (bytes.length > 0) this.#write(bytes);
    this.#deps.counters.delivered += bundle.messages.length;
  }

  /** For clients without control events. A WebSocket has no comments. */
  #comment(comment: Buffer): Buffer {
    return this.transport === 'websocket' ? NOTHING : comment;
  }

  #say(frame: Buffer): void {
    // Its heartbeat is the ping.
    if (this.transport === 'websocket' && (frame === HEARTBEAT || frame === NOTHING)) return;
    if (!this.#chunked) this.#write(frame);
    else this.#write(frame === HEARTBEAT ? HEARTBEAT_CHUNK : httpChunk([frame]));
  }

  #write(bytes: Buffer): void {
    this.#outlet.write(bytes);
    this.#deps.counters.deliveredBytes += bytes.length;
    // A large write returns false even where the kernel took it all; only what is left over means that the socket is full.
    if (this.#outlet.writableLength === 0) return;
    if (!this.#isFull && this.#outlet.writableNeedDrain) {
      this.#isFull = true;
      this.#deps.fullSockets.add(this);
      if (this.#state === 'behind') this.#state = 'blocked';
    }
    // Last: it may end this stream.
    this.#deps.unread.add(this, bytes);
  }
}
