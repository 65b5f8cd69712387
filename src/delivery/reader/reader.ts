import type { Tail } from '../../log/tail/tail.ts';
import type { Start } from '../../model/gap.ts';
import type { Position } from '../../model/position.ts';
import type { Counters } from '../../runtime/counters.ts';
import type { Charge } from '../../runtime/sharing/fair-shares.ts';
import type { ErasureNews } from '../frames/erasure-news.ts';
import type { Bundle } from '../frames/frame-bundle.ts';
import { heartbeatFrame } from './heartbeats.ts';
import type { Group } from './reader-group.ts';
import { expiringFrame, gapComment, gapFrame, HEARTBEAT, openFrame, retryLine, type BusyReason } from '../frames/sse.ts';
import type { StreamClient } from './stream-client.ts';
import { StreamSocket, type Outlet, type StreamOptions, type StreamSocketDependencies } from './stream-socket.ts';
import { presenceTextFrame } from '../frames/text-frame.ts';
import { UntoldNews } from './untold-news.ts';

/**
 * This room is one stream: its cursor and filter (`reader.ts`), and its socket with its backpressure (`stream-socket.ts`). Bundles of messages come in
 * from the fan-out or from catch-up; bytes go out to the socket, each message once and in order.
 *
 * Read this file first, then `stream-socket.ts`, then the group that shares a filter (`reader-group.ts`). The other files each serve the registry or one of these.
 */

export interface ReaderDependencies extends StreamSocketDependencies<Reader> {
  readonly tail: Tail;
  readonly counters: Counters;
}

/** The parts of one reader that it does not share with other readers. */
export interface ReaderParts {
  readonly group: Group;
  readonly options: StreamOptions;
  readonly outlet: Outlet;
  /** Where reading begins. */
  readonly at: Position;
  /** The client, for administration and fair shares; undefined if the caller named none. */
  readonly client: StreamClient | undefined;
  /** When the stream was opened, by the process's monotonic clock. Tenths of a second, because a small integer needs no memory beyond its field. */
  readonly openedTenths: number;
}

/**
 * - `behind`: everything up to the cursor has been written. Catch-up reads on from there.
 * - `live`: the fan-out writes new messages to the reader. Messages that are pending in its group may still be unwritten; all earlier ones are written.
 * - `blocked`: behind, with a full socket. It gets no more messages before the socket drains; only a warning and `$busy` may still be written. Each
 *   write has a bound of its own: so a reader costs bounded memory (invariant 5).
 * - `dismissed`: the client got `$busy`, and nothing is written any more. The registry closes the connection a tick later.
 * - `closed`: the socket is closed, or closes in this turn of the event loop.
 *
 *   behind  ─ goLive ──────────────────► live       the cursor has reached the end of the tail
 *   live    ─ fallBehind, leaveBehind ─► behind     too much is pending, the tail moves back, or the reader changes its group
 *   live    ─ passOn ──────────────────► blocked    a sweep's write has filled the socket
 *   behind  ─ any write ───────────────► blocked    the write has filled the socket
 *   blocked ─ drained ─────────────────► behind
 *   any of these ─ dismiss ────────────► dismissed
 *   any ─ abort, closed ───────────────► closed
 */
export type ReaderState = 'behind' | 'live' | 'blocked' | 'dismissed' | 'closed';

/**
 * One stream: a cursor, a filter (its group's), and a socket (stream-socket.ts).
 *
 * Each method writes and moves the cursor in one turn of the event loop. So the position in a control event covers exactly the messages before that event (invariant 4).
 */
export class Reader {
  #group: Group;
  readonly client: StreamClient | undefined;
  readonly openedTenths: number;
  /** Only heartbeats.ts reads and sets it. */
  heartbeatSlot = 0;
  /** Only stream-shares.ts reads and sets it. */
  charge: Charge | undefined;
  /** All readers share this object. Its four fields in each reader would take more memory. */
  readonly #deps: ReaderDependencies;
  readonly #socket: StreamSocket<Reader>;
  /**
   * The cursor, as an epoch and a number: everything up to it has been written, and is not written again. While a reader is live, its cursor may lag: `position` returns
   * the later of the cursor and the group's end. A `Position` object would take 32 bytes more for each stream.
   */
  #epoch: string;
  #seq: number;
  #isLive = false;
  /** The state after the stream's end; undefined before. */
  #end: 'dismissed' | 'closed' | undefined;
  #beats = 0;
  /** The service, not the client, made the reader fall behind. The reader counts as slow only if its socket fills during catch-up. */
  #isLeftBehind = false;
  /** Erasures and a changed filter that the client has not been told. They go before any other frame with a position. */
  #news: UntoldNews | undefined;

  constructor({ group, options, outlet, at, client, openedTenths }: ReaderParts, deps: ReaderDependencies) {
    this.#group = group;
    this.client = client;
    this.openedTenths = openedTenths;
    this.#deps = deps;
    this.#socket = new StreamSocket({ stream: this, outlet, options, sentSeq: at.seq }, deps);
    this.#epoch = at.epoch;
    this.#seq = at.seq;
  }

  get group(): Group {
    return this.#group;
  }

  get state(): ReaderState {
    if (this.#end !== undefined) return this.#end;
    if (this.#isLive) return 'live';
    return this.#socket.isFull ? 'blocked' : 'behind';
  }

  get outlet(): Outlet {
    return this.#socket.outlet;
  }

  /** The number of the stream's heartbeats. Heartbeats that were sent while its group was waiting do not count. */
  get beats(): number {
    return this.#beats;
  }

  get transport(): 'sse' | 'websocket' {
    return this.#socket.isWebSocket ? 'websocket' : 'sse';
  }

  /** How many pings were sent since the client last sent anything; 0 for an event stream. */
  get unansweredPings(): number {
    return this.#socket.unansweredPings;
  }

  /** Call it when a WebSocket's client has sent anything, such as a pong. */
  heard(): void {
    this.#socket.heard();
  }

  /** Two counts: the bytes that Node's stream has queued, and the bytes of the current write that the kernel has not taken. They shrink as the client reads. */
  get unsentBytes(): readonly number[] {
    return this.#socket.unsentBytes;
  }

  /** Bytes of writes that have not ended. */
  get unsent(): number {
    return this.#socket.unsent;
  }

  /** Whether the socket must drain before the next write. A heartbeat may fill the socket of a live reader, which then stays live until the next sweep. */
  get isFull(): boolean {
    return this.#socket.isFull;
  }

  get isLive(): boolean {
    return this.#end === undefined && this.#isLive;
  }

  /** Whether the stream was dismissed or closed. Nothing is written to it any more. */
  get isGone(): boolean {
    return this.#end !== undefined;
  }

  /** The number of the cursor. No message up to this number may be written again. */
  get cursorSeq(): number {
    return this.#seq;
  }

  /**
   * The position up to which the stream got all its messages: the cursor, or `end` if the reader is live and `end` is later.
   *
   * Example with a cursor at 40 and a group that was written up to 60: 60 for a live reader, 40 for a reader that is behind.
   * @param end How far the group has been written. The default is right only while the group is not waiting (`Group.isWaiting`).
   */
  position(end: Position = this.#deps.tail.position): Position {
    return this.#isLive && end.seq >= this.#seq ? end : { epoch: this.#epoch, seq: this.#seq };
  }

  /**
   * Writes the stream's first frames.
   * @param handle The id and secret of the stream, for `$open`.
   * @param head The response head, which goes before the frames.
   */
  open({ at, gap }: Start, retryMs: number, handle?: object, head?: Buffer): void {
    const socket = this.#socket;
    socket.open(socket.wantsControl ? openFrame(gap === undefined ? at : undefined, retryMs, handle, socket.controlWriter) : socket.comment(retryLine(retryMs)), head);
    if (gap !== undefined) this.gap({ at, gap });
  }

  /** Writes `$gap`, and moves the cursor to `at`. Call it only for a reader that is not live. Without `gap` it only moves the cursor. */
  gap({ at, gap }: Start): void {
    this.#tellNews();
    if (gap !== undefined) {
      const socket = this.#socket;
      socket.say(socket.wantsControl ? gapFrame(at, gap, socket.controlWriter) : socket.comment(gapComment(gap)));
      this.#deps.counters.gaps++;
    }
    this.#moveTo(at);
    this.#socket.movedTo(at);
  }

  /**
   * Writes the messages after the cursor of a reader that is behind, and then moves the cursor to `end`, in the same turn of the event loop (invariant 4).
   */
  catchUp(bundle: Bundle, end: Position): void {
    // Even if the bundle is empty: the client must learn of the new filter at the position where it took effect.
    this.#tellNews();
    this.#deliver(bundle);
    if (this.#isLeftBehind && this.isFull) this.#countSlow();
    this.#advanceTo(end);
  }

  /** Makes the reader live, unless its socket is full. Call it when the cursor has reached the end of the tail. */
  goLive(): void {
    this.#tellNews();
    this.#advanceTo(this.#deps.tail.position);
    if (this.state !== 'behind') return;
    this.#isLive = true;
    this.#isLeftBehind = false;
  }

  /**
   * Writes new messages to a live reader. If the write fills its socket, it falls behind.
   *
   * @param end The position up to which the bundle goes. The reader falls behind there.
   */
  passOn(bundle: Bundle, end: Position): void {
    this.#deliver(bundle);
    if (!this.isFull) return;
    this.fallBehind(end);
    this.#countSlow();
  }

  /** Makes a live reader fall behind because the service is overloaded, not because the client is slow. So it does not count as slow, unless its socket is full. */
  leaveBehind(end: Position): void {
    if (!this.isLive) return;
    this.fallBehind(end);
    if (this.isFull) this.#countSlow();
    else this.#isLeftBehind = true;
  }

  #countSlow(): void {
    this.#isLeftBehind = false;
    this.#deps.counters.fellBehind++;
  }

  /** Moves the cursor of a reader that is still live after a sweep's write. The cursor records that this sweep has reached the reader, so the next sweep does not write these messages again. */
  skipTo(end: Position): void {
    if (this.isLive) this.#advanceTo(end);
  }

  /**
   * Makes a live reader fall behind, at the position that it has reached.
   *
   * @param end As for `position`
   */
  fallBehind(end?: Position): void {
    if (!this.isLive) return;
    this.#moveTo(this.position(end));
    this.#isLive = false;
  }

  /**
   * Moves the reader to another group. Call it only for a reader that is not live: messages up to its cursor came from the old group, and messages after it come from the new one (invariant 4). The client gets the new filter's
   * names at that position, before any frame with another position.
   */
  changeGroup(group: Group): void {
    this.#group = group;
    if (this.#socket.wantsControl) (this.#news ??= new UntoldNews()).changedTo(group.filter.names);
    if (!this.isFull && !this.isGone) this.#tellNews();
  }

  /**
   * Announces erased messages that the client may have received. Call it only while the group is not waiting, because the frame has a position.
   *
   * A full socket gets no announcement. If its unsent write may contain an erased message, the stream ends, because bytes in a socket cannot be taken back. Its client
   * comes back and gets tombstones instead.
   */
  tellErased(news: ErasureNews): void {
    if (!this.#takesNews(news)) return;
    this.#tellNews();
    this.#socket.tellErased(news, this.position());
  }

  /** Queues the announcement of `tellErased`, and makes the reader fall behind: catch-up then writes it. Use it if announcing to all readers now would make this turn too long. */
  tellErasedLater(news: ErasureNews): void {
    if (!this.#takesNews(news)) return;
    if (this.#news?.isFull === true) this.#tellNews();
    (this.#news ??= new UntoldNews()).erased(news);
    if (!this.isLive) return;
    this.fallBehind();
    this.#isLeftBehind = true;
  }

  #takesNews(news: ErasureNews): boolean {
    if (this.isGone) return false;
    if (this.isFull && this.#socket.mayHold(news)) this.abort();
    return this.#socket.wantsControl && !this.isFull;
  }

  #tellNews(): void {
    if (this.#news?.tell(this.#socket, this.position()) === true) this.#news = undefined;
  }

  /** Writes a heartbeat: a comment, a ping or `$cursor` (heartbeats.ts). */
  beat(): void {
    const socket = this.#socket;
    if (socket.isFull || this.isGone) return;
    if (socket.isWebSocket) {
      socket.ping();
      if (socket.isFull) return;
    }
    // Some messages of the group may be written and others pending. A comment names no position, so it cannot overtake them.
    if (this.isLive && this.group.isWaiting) return socket.say(HEARTBEAT);
    const at = this.position();
    const frame = heartbeatFrame({ control: socket.wantsControl, at, sentSeq: socket.sentSeq, beats: ++this.#beats }, socket.controlWriter);
    if (frame === HEARTBEAT) socket.say(frame);
    else socket.sayAt(at, frame);
  }

  /** Writes that the stream's credential ends soon. The frame has no position, so it may stand between any two messages. */
  warn(secondsLeft: number): void {
    if (this.#socket.wantsControl && !this.isGone) this.#socket.warn(expiringFrame(secondsLeft, this.#socket.controlWriter));
  }

  /** Writes a change of presence. As `tell`. */
  tellPresence(frame: Buffer): boolean {
    return this.tell(this.#socket.isWebSocket ? presenceTextFrame(frame) : frame);
  }

  /**
   * Writes a frame without a position, which may stand between any two messages.
   * @returns False if the socket is full: nothing was written, try again later (invariant 5). True if the frame was written, or the stream has ended.
   */
  tell(frame: Buffer): boolean {
    if (this.isGone) return true;
    if (this.isFull) return false;
    this.#socket.say(frame);
    return true;
  }

  /** Call it when the socket has drained. Returns whether it was full. */
  drained(): boolean {
    return this.#socket.drained();
  }

  /** Writes `$busy`, and ends the stream. The client comes back after `retryMs`. The registry closes its connection a tick later (delayed-close.ts). */
  dismiss(retryMs: number, reason: BusyReason): void {
    if (this.isGone) return;
    this.#tellNews();
    this.#socket.sayFarewell(retryMs, reason);
    this.#leave();
    this.#end = 'dismissed';
  }

  /** Closes the connection after the bytes written before. */
  destroySoon(): void {
    this.#socket.destroySoon();
  }

  /** Evicts the stream, because the unread writes of all streams exceed their bound (unread-writes.ts). */
  giveWay(): void {
    if (!this.isGone) this.#deps.counters.cut.unread++;
    this.abort();
  }

  /** Ends the stream at once, and drops its unsent bytes. */
  abort(): void {
    this.closed();
    this.#socket.destroy();
  }

  /** Call it when the socket has closed. */
  closed(): void {
    this.#leave();
    this.#end = 'closed';
    this.#socket.closed();
  }

  /** Ends being live. While the group is waiting, the reader's position is unknown here, so the cursor stays. */
  #leave(): void {
    if (this.group.isWaiting) this.#isLive = false;
    else this.fallBehind();
  }

  #moveTo({ epoch, seq }: Position): void {
    this.#epoch = epoch;
    this.#seq = seq;
  }

  /** Moves the cursor to a later position. Ignores an earlier position: a reader may be ahead of the tail. */
  #advanceTo(at: Position): void {
    if (at.seq > this.#seq) this.#moveTo(at);
  }

  #deliver(bundle: Bundle): void {
    if (bundle.last === undefined) return;
    this.#tellNews();
    this.#socket.deliver(bundle);
    this.#deps.counters.delivered += bundle.messages.length;
  }
}
