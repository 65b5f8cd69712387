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
 * This room is one stream: its cursor and filter (`reader.ts`), and its socket with all that backpressure demands (`stream-socket.ts`). Frames come in
 * from the fan-out or from catch-up; bytes go out to the socket, each message once and in order.
 */

export interface ReaderDependencies extends StreamSocketDependencies<Reader> {
  readonly tail: Tail;
  readonly counters: Counters;
}

/** The parts of one reader, besides those that it shares with all others. */
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
 * - `live`: everything up to the end of the tail has been written, or up to its cursor, if that is later. The fan-out
 *   writes new messages to it as they come.
 * - `blocked`: behind, with a full socket. Nothing is written to it before the socket drains. So the socket holds at most one write, which has a
 *   bound of its own, and one heartbeat: a reader costs bounded memory (invariant 5).
 * - `dismissed`: the client was sent away. The connection closes a little later.
 * - `closed`: the socket is gone, or about to be.
 */
export type ReaderState = 'behind' | 'live' | 'blocked' | 'dismissed' | 'closed';

/**
 * One stream: a cursor, a filter (its group's), and a socket (stream-socket.ts).
 *
 * It moves the cursor and writes in one turn of the event loop. So the position in a control event is true where the event stands in the stream (invariant 4).
 */
export class Reader {
  #group: Group;
  readonly client: StreamClient | undefined;
  readonly openedTenths: number;
  /** Kept by heartbeats.ts. */
  heartbeatSlot = 0;
  /** Kept by stream-shares.ts. */
  charge: Charge | undefined;
  /** Shared by all readers: four fields in each stream would take more memory. */
  readonly #deps: ReaderDependencies;
  readonly #socket: StreamSocket<Reader>;
  /**
   * The cursor: everything up to here has been written, and is not written again. A live reader seldom moves it, and has also been written what its group has (`position`).
   * It is no object of its own: that would take 32 bytes more of each stream.
   */
  #epoch: string;
  #seq: number;
  #isLive = false;
  /** How it ended; undefined while it is written to. */
  #end: 'dismissed' | 'closed' | undefined;
  #beats = 0;
  /** Whether the fan-out has left it behind, through no known fault of its client. */
  #isLeftBehind = false;
  /** News that goes before any other frame with a position. */
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

  /** How many heartbeats it has had. */
  get beats(): number {
    return this.#beats;
  }

  get transport(): 'sse' | 'websocket' {
    return this.#socket.isWebSocket ? 'websocket' : 'sse';
  }

  /** How many pings it has had since its client was last heard; 0 where it has none. */
  get unansweredPings(): number {
    return this.#socket.unansweredPings;
  }

  /** Its client was heard: a pong, or anything else. */
  heard(): void {
    this.#socket.heard();
  }

  /** Bytes of writes that have not ended, and bytes of the write under way that the kernel has not taken. */
  get unsentBytes(): readonly number[] {
    return this.#socket.unsentBytes;
  }

  /** Bytes of writes that have not ended. */
  get unsent(): number {
    return this.#socket.unsent;
  }

  /** Whether nothing is written to its socket before that has drained. A heartbeat may fill the socket of a live reader, which then stays live until the next sweep. */
  get isFull(): boolean {
    return this.#socket.isFull;
  }

  get isLive(): boolean {
    return this.#end === undefined && this.#isLive;
  }

  /** Whether nothing is written to it any more. */
  get isGone(): boolean {
    return this.#end !== undefined;
  }

  /** The number of its cursor. Nothing up to this number may be written to it again. */
  get cursorSeq(): number {
    return this.#seq;
  }

  /**
   * Up to here, everything that the stream wants was written: its cursor, or `end` where it is live and that is later.
   * Without `end`, true only while its group is not waiting (`Group.isWaiting`).
   *
   * @param end How far its group has been written.
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

  /** Says that something may be missing, and moves the cursor to `at`. The reader is not live. */
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
   * Writes messages after the cursor of a reader that is behind, and moves the cursor to `end`. Invariant 4: both happen in one turn of the event
   * loop, the frames first.
   */
  catchUp(bundle: Bundle, end: Position): void {
    // Also without a message: the client learns of the new filter at the position where it took effect.
    this.#tellNews();
    this.#deliver(bundle);
    if (this.#isLeftBehind && this.isFull) this.#countSlow();
    this.#advanceTo(end);
  }

  /** The cursor has reached the end of the tail: from now on the fan-out writes to the reader, unless its socket is full. */
  goLive(): void {
    this.#tellNews();
    this.#advanceTo(this.#deps.tail.position);
    if (this.state !== 'behind') return;
    this.#isLive = true;
    this.#isLeftBehind = false;
  }

  /**
   * Writes new messages to a live reader. If that fills its socket, it falls behind.
   *
   * @param end How far it has been written then.
   */
  passOn(bundle: Bundle, end: Position): void {
    this.#deliver(bundle);
    if (!this.isFull) return;
    this.fallBehind(end);
    this.#countSlow();
  }

  /** Ends being live because more is published than sweeps can take: that is no fault of its client. */
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

  /** A sweep has written everything up to `end` to this reader, if it is live still, but not to all of its group. */
  skipTo(end: Position): void {
    if (this.isLive) this.#advanceTo(end);
  }

  /**
   * Ends being live, at the position that the reader has reached.
   *
   * @param end How far its group has been written.
   */
  fallBehind(end?: Position): void {
    if (!this.isLive) return;
    this.#moveTo(this.position(end));
    this.#isLive = false;
  }

  /**
   * Goes on in another group. It is not live: everything up to its cursor was written for the old group, and later messages are for this one (invariant 4). Its client is told at that
   * position, before any frame with another position.
   */
  changeGroup(group: Group): void {
    this.#group = group;
    if (this.#socket.wantsControl) (this.#news ??= new UntoldNews()).changedTo(group.filter.names);
    if (!this.isFull && !this.isGone) this.#tellNews();
  }

  /**
   * Announces erased messages that the client may have been sent before. Its group is not waiting.
   *
   * Bytes in a full socket cannot be taken back: the stream ends, and its client comes back for tombstones. Nothing is written to a full socket, so other news
   * do not reach it.
   */
  tellErased(news: ErasureNews): void {
    if (!this.#takesNews(news)) return;
    this.#tellNews();
    this.#socket.tellErased(news, this.position());
  }

  /** The same, once catch-up reaches the reader, which stops being live for it. To tell many readers at once would take too long. */
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

  /** Writes a sign of life (heartbeats.ts). */
  beat(): void {
    const socket = this.#socket;
    if (socket.isFull || this.isGone) return;
    if (socket.isWebSocket) {
      socket.ping();
      if (socket.isFull) return;
    }
    // Messages are about to be written to it, and its position lies before them: a comment names none.
    if (this.isLive && this.group.isWaiting) return socket.say(HEARTBEAT);
    const at = this.position();
    const frame = heartbeatFrame({ control: socket.wantsControl, at, sentSeq: socket.sentSeq, beats: ++this.#beats }, socket.controlWriter);
    if (frame === HEARTBEAT) socket.say(frame);
    else socket.sayAt(at, frame);
  }

  /** Says when the credential of the stream ends. It names no position, so it may stand anywhere. */
  warn(secondsLeft: number): void {
    if (this.#socket.wantsControl && !this.isGone) this.#socket.warn(expiringFrame(secondsLeft, this.#socket.controlWriter));
  }

  /** Says who listens. As `tell`. */
  tellPresence(frame: Buffer): boolean {
    return this.tell(this.#socket.isWebSocket ? presenceTextFrame(frame) : frame);
  }

  /** Writes a frame that names no position, so it may stand anywhere. @returns False where the socket is full: nothing is written to it (invariant 5). */
  tell(frame: Buffer): boolean {
    if (this.isGone) return true;
    if (this.isFull) return false;
    this.#socket.say(frame);
    return true;
  }

  /** The socket has room again. Returns whether it was full. */
  drained(): boolean {
    return this.#socket.drained();
  }

  /** Sends the client away: it comes back after `retryMs`. Its connection is closed a little later (delayed-close.ts). */
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

  /** Ends the stream, because there is no room for the bytes that its client does not read. */
  giveWay(): void {
    if (!this.isGone) this.#deps.counters.cut.unread++;
    this.abort();
  }

  /** Ends the stream at once. */
  abort(): void {
    this.closed();
    this.#socket.destroy();
  }

  /** The socket is gone. */
  closed(): void {
    this.#leave();
    this.#end = 'closed';
    this.#socket.closed();
  }

  /** Ends being live. While its group is waiting, its position is not known. */
  #leave(): void {
    if (this.group.isWaiting) this.#isLive = false;
    else this.fallBehind();
  }

  #moveTo({ epoch, seq }: Position): void {
    this.#epoch = epoch;
    this.#seq = seq;
  }

  /** Moves on to a later position; an earlier one changes nothing. */
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
