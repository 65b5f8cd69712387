import type { Tail } from '../log/tail/tail.ts';
import type { Start } from '../model/gap.ts';
import { readProblem, type Grant } from '../model/grant.ts';
import type { Position } from '../model/position.ts';
import type { Filter } from '../model/topic.ts';
import type { Clock, Timer } from '../runtime/clock.ts';
import type { Counters } from '../runtime/counters.ts';
import { type Holder, namesOf, UNNAMED } from '../runtime/sharing/fair-shares.ts';
import type { Logger } from '../runtime/logging/logger.ts';
import type { TcpTable } from '../runtime/sockets/tcp-table.ts';
import type { Audience } from './audience.ts';
import type { Catchup } from './catchup/catchup.ts';
import { ClientWatch } from './client-watch.ts';
import { DelayedClose } from './delayed-close.ts';
import { farewell } from './frames/farewell.ts';
import type { Fanout } from './fanout.ts';
import { FullSockets } from './reader/full-sockets.ts';
import { Heartbeats } from './reader/heartbeats.ts';
import type { Group } from './reader/reader-group.ts';
import { Reader, type ReaderDependencies } from './reader/reader.ts';
import type { StreamClient } from './reader/stream-client.ts';
import type { Outlet, StreamOptions } from './reader/stream-socket.ts';
import type { BusyReason } from './frames/sse.ts';
import { StreamDrain } from './stream-drain.ts';
import { StreamShares } from './stream-shares.ts';
import { UnreadWrites } from './reader/unread-writes.ts';

/** How often the registry ticks: it sends heartbeats, looks for vanished clients, and closes streams of a drain only at ticks. */
export const REGISTRY_TICK_MS = 100;

export interface StreamSettings {
  readonly maxStreams: number;
  /** Bounds the memory of all larger filters together. */
  readonly filterBytes: number;
  /** Bounds all writes that clients have not read, together. */
  readonly unreadBytes: number;
  readonly heartbeatMs: number;
  readonly stallMs: number;
  readonly retryMinMs: number;
  readonly retryMaxMs: number;
}

/** How others find a stream, and what its response begins with. All are optional. */
export interface StreamNames {
  readonly client?: StreamClient;
  /** The data of `$open`, besides the stream's position. */
  readonly handle?: object | undefined;
  /** The client that the stream's place counts for. */
  readonly holder?: () => Holder;
  /** The response head, if the caller has not written it yet. */
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
  /** Shows which clients have vanished. */
  readonly table: TcpTable;
  readonly settings: StreamSettings;
}

/** The open streams of this instance. It bounds their number, sends their heartbeats, and ends them; one timer serves all. */
export class StreamRegistry {
  readonly #tail: Tail;
  readonly #audience: Audience;
  readonly #fanout: Fanout;
  readonly #catchup: Catchup;
  readonly #clock: Clock;
  readonly #counters: Counters;
  readonly #settings: StreamSettings;
  readonly #heartbeats: Heartbeats<Reader>;
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
    this.#heartbeats = new Heartbeats(settings.heartbeatMs / REGISTRY_TICK_MS);
    this.#unread = new UnreadWrites({ maxBytes: settings.unreadBytes });
    const fullSockets = new FullSockets<Reader>(clock);
    this.#watch = new ClientWatch({ table, clock, counters, logger, readers: this.#heartbeats, fullSockets, stallMs: settings.stallMs, heartbeatMs: settings.heartbeatMs });
    this.#delayedClose = new DelayedClose(clock);
    this.#shares = new StreamShares({ maxStreams: settings.maxStreams, readers: this.#heartbeats, evict: (reader) => this.#evict(reader), counters });
    this.#readerDependencies = { tail, counters, fullSockets, unread: this.#unread };
    this.#schedule();
  }

  /** How many streams are open. */
  get size(): number {
    return this.#shares.size;
  }

  /** How many readers are behind, and how many numbers of the log the slowest reader lacks. */
  get behind(): { readonly readers: number; readonly furthest: number } {
    let readers = 0;
    let furthest = 0;
    for (const { state, cursorSeq } of this.#heartbeats) {
      if (state !== 'behind' && state !== 'blocked') continue;
      readers++;
      furthest = Math.max(furthest, this.#tail.last - cursorSeq);
    }
    return { readers, furthest };
  }

  /** Bytes that were written to streams and that the clients have not read. */
  get unreadBytes(): number {
    return this.#unread.bytes;
  }

  /** All open streams, in no particular order, with those that were dismissed and have not closed yet. */
  get readers(): Iterable<Reader> {
    return this.#heartbeats;
  }

  /** Whether the registry is closing its streams, because the instance ends. */
  get isDraining(): boolean {
    return this.#drain !== undefined;
  }

  /** Whether another stream fits, or a larger holder's stream would give way to it. */
  hasRoomFor(holder: () => Holder): boolean {
    return this.#drain === undefined && this.#shares.hasRoomFor(holder);
  }

  /** As `hasRoomFor`, but makes larger holders give way. Open the stream in the same turn. */
  makeRoom(holder: () => Holder): boolean {
    return this.#drain === undefined && this.#shares.makeRoom(holder);
  }

  /**
   * Begins a stream. The caller has flushed the response head, or passes it as `head`, and calls `drained` and `closed` on these events of the socket.
   * @throws Problem `forbidden`, before anything has begun
   */
  open(grant: Grant, filter: Filter, options: StreamOptions, outlet: Outlet, start: Start, { client, handle, holder, head }: StreamNames = {}): Reader {
    const forbidden = readProblem(grant, filter);
    if (forbidden !== undefined) throw forbidden;
    const group = this.#audience.join(filter);
    const reader = new Reader({ group, options, outlet, at: start.at, client, openedTenths: Math.round(this.#clock.monotonic() / 100) }, this.#readerDependencies);
    this.#enter(group, reader, holder ?? (() => client?.holder() ?? UNNAMED));
    this.#heartbeats.add(reader);
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
   * Ends one stream, as a drain does: its client comes back and is checked again. The stream's cursor lies before the pending messages, so they need no flush: for thousands of streams,
   * flushes would make publishers wait.
   * @param retryMs When the client may come back; a random time by default
   */
  end(reader: Reader, reason: BusyReason, retryMs?: number): void {
    if (!reader.isGone) this.#dismiss(reader, reason, retryMs);
  }

  /** The position up to which the stream has been written. */
  positionOf(reader: Reader): Position {
    return this.#fanout.positionOf(reader);
  }

  /**
   * Moves a stream to a filter that differs from its current one; with an equal filter, `leave` would stop counting the stream. `setAside` comes first, because
   * the position depends on the pending messages of the old group (invariant 4).
   * @returns The position from which catch-up reads on with the new filter
   */
  changeFilter(reader: Reader, filter: Filter): Position {
    this.#fanout.setAside(reader);
    this.#catchup.forget(reader);
    const before = reader.group;
    before.readers.delete(reader);
    const group = this.#audience.join(filter);
    this.#enter(group, reader, () => reader.client?.holder() ?? UNNAMED);
    reader.changeGroup(group);
    this.#fanout.moved(reader);
    this.#audience.leave(before, reader);
    this.#catchup.resume(reader);
    return reader.position();
  }

  /** The socket has drained: a blocked reader goes on. */
  drained(reader: Reader): void {
    if (!reader.drained()) return;
    this.#fanout.forget(reader);
    this.#catchup.resume(reader);
  }

  /** The socket has closed: the reader leaves. */
  closed(reader: Reader): void {
    if (!this.#heartbeats.delete(reader)) return;
    this.#shares.closed(reader);
    reader.closed();
    this.#leaveGroup(reader);
    this.#counters.closed++;
    this.#finishDrain();
  }

  /** Takes no new streams, and closes all open ones evenly over the window. Each client gets its own random reconnection time. */
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
    for (const reader of this.#heartbeats) reader.abort();
  }

  /** A random reconnection time in milliseconds. Stops clients that were cut together from coming back together. */
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
    for (const reader of this.#heartbeats.tick()) {
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
    // Nearly always this writes everything pending, and writing more would make publishers wait. A client that misses a message comes back with the id before it (invariant 4).
    this.#fanout.writeSome();
    this.#dismissSome(this.#drain);
  }

  /**
   * Whether a WebSocket's client has answered no ping for STALL_SECONDS, and for at least one heartbeat. Counts heartbeats instead of seconds, so that a process that was stopped for a while
   * does not take its clients for gone.
   */
  #isSilent({ unansweredPings }: Reader): boolean {
    const { heartbeatMs, stallMs } = this.#settings;
    return unansweredPings > Math.max(1, Math.ceil(stallMs / heartbeatMs));
  }

  #dismissSome(drain: StreamDrain): void {
    const open = [...this.#heartbeats].filter((reader) => !reader.isGone);
    const due = drain.due(open.length);
    for (const reader of open.slice(0, due)) this.#dismiss(reader, 'draining');
  }

  #dismiss(reader: Reader, reason: BusyReason, retryMs = this.#retryMs()): void {
    reader.dismiss(retryMs, reason);
    this.#delayedClose.add(reader);
  }

  #evict(reader: Reader): void {
    // The socket of a dismissed reader is about to close anyway.
    if (!reader.isGone) this.#dismiss(reader, 'full');
  }

  #enter(group: Group, reader: Reader, holder: (() => Holder) | undefined): void {
    group.readers.add(reader);
    if (group.filterBytes > 0) this.#audience.enter(group, reader, { holder: namesOf(holder?.() ?? UNNAMED), giveWay: () => this.#giveFilterUp(reader) });
  }

  /** Ends a reader and frees its filter at once, before its connection closes. `closed` calls `#leaveGroup` again, which is safe. */
  #giveFilterUp(reader: Reader): void {
    // Give the newcomer this reader's place, too. Otherwise a second stream would give way.
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
