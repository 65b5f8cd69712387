import type { Tail } from '../log/tail.ts';
import type { Start } from '../model/gap.ts';
import { readProblem, type Grant } from '../model/grant.ts';
import type { Position } from '../model/position.ts';
import type { Filter } from '../model/topic.ts';
import type { Clock, Timer } from '../runtime/clock.ts';
import type { Counters } from '../runtime/counters.ts';
import { ANYBODY, namesOf, type Holder } from '../runtime/fair-shares.ts';
import type { Logger } from '../runtime/logger.ts';
import type { TcpTable } from '../runtime/tcp-table.ts';
import type { Audience } from './audience.ts';
import type { Catchup } from './catchup.ts';
import { ClientWatch } from './client-watch.ts';
import { DelayedClose } from './delayed-close.ts';
import { farewell } from './farewell.ts';
import type { Fanout } from './fanout.ts';
import { FullSockets } from './full-sockets.ts';
import { Heartbeats } from './heartbeats.ts';
import type { Group } from './reader-group.ts';
import { Reader, type ReaderDependencies } from './reader.ts';
import type { StreamClient } from './stream-client.ts';
import type { Outlet, StreamOptions } from './stream-socket.ts';
import type { BusyReason } from './sse.ts';
import { StreamDrain } from './stream-drain.ts';
import { StreamShares } from './stream-shares.ts';
import { UnreadWrites } from './unread-writes.ts';

/** How often the registry looks after its streams: the grain of heartbeats, of looks at clients, and of the drain. */
export const REGISTRY_TICK_MS = 100;

export interface StreamSettings {
  readonly maxStreams: number;
  /** The most memory of larger filters together, and of unread writes together. */
  readonly filterBytes: number;
  readonly unreadBytes: number;
  readonly heartbeatMs: number;
  readonly stallMs: number;
  readonly retryMinMs: number;
  readonly retryMaxMs: number;
}

/** The names by which a stream can be found. */
export interface StreamNames {
  readonly client?: StreamClient;
  /** The data of `$open` besides the position of the stream. */
  readonly handle?: object | undefined;
  /** The client that its place counts for. */
  readonly holder?: () => Holder;
  /** The head of its response, where it was not written yet. */
  readonly head?: Buffer;
}

export interface StreamRegistryDependencies {
  readonly tail: Tail;
  readonly audience: Audience;
  readonly fanout: Fanout;
  readonly catchup: Catchup;
  readonly clock: Clock;
  readonly counters: Counters;
  readonly logger: Logger;
  /** Tells which clients have vanished. */
  readonly table: TcpTable;
  readonly settings: StreamSettings;
}

/** The open streams of this instance: how many there may be, their heartbeats, and their end. One timer serves all. */
export class StreamRegistry {
  readonly #tail: Tail;
  readonly #audience: Audience;
  readonly #fanout: Fanout;
  readonly #catchup: Catchup;
  readonly #clock: Clock;
  readonly #counters: Counters;
  readonly #settings: StreamSettings;
  readonly #readers: Heartbeats<Reader>;
  readonly #watch: ClientWatch;
  readonly #unread: UnreadWrites<Reader>;
  readonly #delayedClose: DelayedClose;
  readonly #readerDependencies: ReaderDependencies;
  readonly #shares: StreamShares;
  #timer: Timer | undefined;
  #drain: StreamDrain | undefined;
  #isStopped = false;

  constructor({ tail, audience, fanout, catchup, clock, counters, logger, table, settings }: StreamRegistryDependencies) {
    this.#tail = tail;
    this.#audience = audience;
    this.#fanout = fanout;
    this.#catchup = catchup;
    this.#clock = clock;
    this.#counters = counters;
    this.#settings = settings;
    this.#readers = new Heartbeats(settings.heartbeatMs / REGISTRY_TICK_MS);
    this.#unread = new UnreadWrites({ maxBytes: settings.unreadBytes });
    const fullSockets = new FullSockets<Reader>(clock);
    this.#watch = new ClientWatch({ table, clock, counters, logger, readers: this.#readers, fullSockets, stallMs: settings.stallMs, heartbeatMs: settings.heartbeatMs });
    this.#delayedClose = new DelayedClose(clock);
    this.#shares = new StreamShares({ maxStreams: settings.maxStreams, readers: this.#readers, evict: (reader) => this.#evict(reader), counters });
    this.#readerDependencies = { tail, counters, fullSockets, unread: this.#unread };
    this.#schedule();
  }

  /** How many streams are open. */
  get size(): number {
    return this.#shares.size;
  }

  /** How many readers are behind, and how many numbers of the log the furthest of them lacks. */
  get behind(): { readonly readers: number; readonly furthest: number } {
    let readers = 0;
    let furthest = 0;
    for (const { state, cursorSeq } of this.#readers) {
      if (state !== 'behind' && state !== 'blocked') continue;
      readers++;
      furthest = Math.max(furthest, this.#tail.last - cursorSeq);
    }
    return { readers, furthest };
  }

  /** The bytes written to streams that their clients have not taken. Bytes. */
  get unreadBytes(): number {
    return this.#unread.bytes;
  }

  /** All open streams, in no particular order. Streams that were sent away and are not closed yet are among them. */
  get readers(): Iterable<Reader> {
    return this.#readers;
  }

  /** Whether streams are being closed, because the instance ends. */
  get isDraining(): boolean {
    return this.#drain !== undefined;
  }

  /** Whether there is a place for another stream, or one that has to give way. */
  hasRoomFor(holder: () => Holder): boolean {
    return this.#drain === undefined && this.#shares.hasRoomFor(holder);
  }

  /** As `hasRoomFor`, for a stream that is opened at once: larger holders make room for it. */
  makeRoom(holder: () => Holder): boolean {
    return this.#drain === undefined && this.#shares.makeRoom(holder);
  }

  /**
   * Begins a stream on a socket whose response head was flushed, or is given. Call `drained` and `closed` when the socket says so.
   * @throws Problem `forbidden`; then nothing has begun.
   */
  open(grant: Grant, filter: Filter, options: StreamOptions, outlet: Outlet, start: Start, { client, handle, holder, head }: StreamNames = {}): Reader {
    const forbidden = readProblem(grant, filter);
    if (forbidden !== undefined) throw forbidden;
    const group = this.#audience.join(filter);
    const reader = new Reader({ group, options, outlet, at: start.at, client, openedTenths: Math.round(this.#clock.monotonic() / 100) }, this.#readerDependencies);
    this.#enter(group, reader, holder ?? (() => client?.holder() ?? ANYBODY));
    this.#readers.add(reader);
    this.#counters.opened++;
    this.#shares.opened(reader, holder);
    reader.open(start, this.#retryMs(), handle, head);
    this.#catchup.resume(reader);
    return reader;
  }

  /** Refuses a stream without an error status, which would end a browser's EventSource for good. */
  refuse(options: StreamOptions, outlet: Outlet, reason: BusyReason): void {
    outlet.write(farewell(options, this.#retryMs(), reason));
    this.#counters.busy++;
    if (this.#isStopped) outlet.destroySoon();
    else this.#delayedClose.add(outlet);
  }

  /**
   * Ends one stream as a drain does: its client comes back, and is looked at again. Pending messages are not written to it: its cursor lies before them. To flush for each of thousands would
   * make publishers wait for all readers.
   * @param retryMs When its client may come back; by default a time of its own.
   */
  end(reader: Reader, reason: BusyReason, retryMs?: number): void {
    if (!reader.isGone) this.#dismiss(reader, reason, retryMs);
  }

  /** Up to where a stream was written. */
  positionOf(reader: Reader): Position {
    return this.#fanout.positionOf(reader);
  }

  /**
   * Goes on with another filter at the position that the stream has reached with the one before. All of it happens in one turn of the event loop, and catch-up reads on from that
   * position: nothing is lost or doubled there (invariant 4).
   * @returns That position.
   */
  changeFilter(reader: Reader, filter: Filter): Position {
    this.#fanout.setAside(reader);
    this.#catchup.forget(reader);
    const before = reader.group;
    before.readers.delete(reader);
    const group = this.#audience.join(filter);
    this.#enter(group, reader, () => reader.client?.holder() ?? ANYBODY);
    reader.changeGroup(group);
    this.#fanout.moved(reader);
    this.#audience.leave(before, reader);
    this.#catchup.resume(reader);
    return reader.position();
  }

  /** The socket has room again. */
  drained(reader: Reader): void {
    if (!reader.drained()) return;
    this.#fanout.forget(reader);
    this.#catchup.resume(reader);
  }

  /** The socket is gone. */
  closed(reader: Reader): void {
    if (!this.#readers.delete(reader)) return;
    this.#shares.closed(reader);
    reader.closed();
    this.#leaveGroup(reader);
    this.#counters.closed++;
    this.#finishDrain();
  }

  /** Closes all streams, evenly over the window, each with a reconnection time of its own; takes no new ones. */
  drain(windowMs: number): Promise<void> {
    const drain = new StreamDrain({ clock: this.#clock, windowMs, tickMs: REGISTRY_TICK_MS });
    this.#drain = drain;
    if (windowMs === 0) {
      this.#fanout.flush();
      this.#dismissSome(drain);
    }
    this.#finishDrain();
    return drain.done;
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
    this.#watch.stop();
    this.#delayedClose.finish();
    for (const reader of this.#readers) reader.abort();
  }

  /** The reconnection time for one client: spread, so that clients that were cut together do not come back together. Milliseconds. */
  #retryMs(): number {
    const { retryMinMs, retryMaxMs } = this.#settings;
    return Math.round(retryMinMs + Math.random() * (retryMaxMs - retryMinMs));
  }

  #schedule(): void {
    this.#timer = this.#clock.after(REGISTRY_TICK_MS, () => {
      this.#schedule();
      this.#lookAfter();
    });
  }

  #lookAfter(): void {
    for (const reader of this.#readers.tick()) {
      if (reader.isGone) continue;
      if (this.#isSilent(reader)) {
        this.#counters.cut.gone++;
        reader.abort();
      } else if (reader.transport === 'sse' && this.#watch.isOfAge(reader)) {
        this.#counters.cut.age++;
        this.end(reader, 'age');
      }
    }
    this.#watch.tick();
    this.#delayedClose.tick();
    if (this.#drain === undefined) return;
    // Nearly always this writes all that is pending. To write more at once would make publishers wait; a client that lacks a message comes back with the id before it (invariant 4).
    this.#fanout.writeSome();
    this.#dismissSome(this.#drain);
  }

  /**
   * Whether the client of a WebSocket has answered no ping for STALL_SECONDS, and at least one heartbeat. Heartbeats are counted, not seconds: a process that was stopped for a while does not take its
   * clients for gone.
   */
  #isSilent({ unansweredPings }: Reader): boolean {
    const { heartbeatMs, stallMs } = this.#settings;
    return unansweredPings > Math.max(1, Math.ceil(stallMs / heartbeatMs));
  }

  #dismissSome(drain: StreamDrain): void {
    const open = [...this.#readers].filter((reader) => !reader.isGone);
    const due = drain.due(open.length);
    for (const reader of open.slice(0, due)) this.#dismiss(reader, 'draining');
  }

  #dismiss(reader: Reader, reason: BusyReason, retryMs = this.#retryMs()): void {
    reader.dismiss(retryMs, reason);
    this.#delayedClose.add(reader);
  }

  #evict(reader: Reader): void {
    // A reader that is gone already is only not closed yet.
    if (!reader.isGone) this.#dismiss(reader, 'full');
  }

  #enter(group: Group, reader: Reader, holder: (() => Holder) | undefined): void {
    group.readers.add(reader);
    if (group.filterBytes > 0) this.#audience.enter(group, reader, { holder: namesOf(holder?.() ?? ANYBODY), giveWay: () => this.#giveFilterUp(reader) });
  }

  /** The memory of its filter is needed at once, and not when its connection has closed. */
  #giveFilterUp(reader: Reader): void {
    // Its place is free for the newcomer, too. Otherwise a second stream would give way.
    this.#shares.gaveWay(reader);
    this.end(reader, 'full');
    this.#leaveGroup(reader);
  }

  #leaveGroup(reader: Reader): void {
    reader.group.readers.delete(reader);
    this.#fanout.forget(reader);
    this.#catchup.forget(reader);
    this.#audience.leave(reader.group, reader);
  }

  #finishDrain(): void {
    if (this.size === 0) this.#drain?.finish();
  }
}
