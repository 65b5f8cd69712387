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
import { Dismissals } from './dismissals.ts';
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

/** How often the registry ticks. A tick sends heartbeats, looks for vanished clients, and dismisses the next streams of a drain. */
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

/** The client of a stream, and the first bytes of its response. */
export interface StreamOrigin {
  readonly client?: StreamClient;
  /** The data of `$open`, besides the stream's position. */
  readonly handle?: object | undefined;
  /** The holder that `maxStreams` counts this stream for. If absent, `client.holder()` counts later. */
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

/**
 * The open streams of this instance. It bounds their number, sends their heartbeats, and ends them; one timer serves all.
 *
 * A stream ends in one of three ways (`ReaderState`):
 *
 *   open ─ dismiss ─► dismissed ─ a tick later ─► closed   `end`, a drain, an eviction: the client gets `$busy` and comes back
 *   open ─ abort ───────────────────────────────► closed   `stop`, a vanished or stalled client, too many unread writes
 *   open ─ the socket closes ───────────────────► closed   the client left
 *
 * In each case the socket's owner then calls `closed`, which takes the reader out of the registry. `refuse` dismisses a client that never had a stream.
 */
export class StreamRegistry {
  readonly #tail: Tail;
  readonly #audience: Audience;
  readonly #fanout: Fanout;
  readonly #catchup: Catchup;
  readonly #clock: Clock;
  readonly #counters: Counters;
  readonly #settings: StreamSettings;
  /** All open and dismissed streams, in slots for their heartbeats. */
  readonly #readers: Heartbeats<Reader>;
  readonly #watch: ClientWatch;
  readonly #unread: UnreadWrites<Reader>;
  readonly #dismissals: Dismissals;
  readonly #readerDependencies: ReaderDependencies;
  readonly #shares: StreamShares;
  #timer: Timer | undefined;
  #drain: StreamDrain | undefined;

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
    this.#dismissals = new Dismissals({ clock, retryMinMs: settings.retryMinMs, retryMaxMs: settings.retryMaxMs });
    this.#shares = new StreamShares({ maxStreams: settings.maxStreams, readers: this.#readers, evict: (reader) => this.end(reader, 'full'), counters });
    this.#readerDependencies = { tail, counters, fullSockets, unread: this.#unread };
    this.#schedule();
  }

  /** How many streams are open. */
  get size(): number {
    return this.#shares.size;
  }

  /** How many readers are behind, and the distance in messages between the tail's end and the lowest of their cursors. */
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

  /** The memory of writes that clients have not read. */
  get unreadBytes(): number {
    return this.#unread.bytes;
  }

  /** All streams in no particular order, including dismissed streams whose sockets are still open. */
  get readers(): Iterable<Reader> {
    return this.#readers;
  }

  /** Whether the instance is draining. */
  get isDraining(): boolean {
    return this.#drain !== undefined;
  }

  /** Whether another stream of this holder fits, or could evict a stream of a larger holder. */
  hasRoomFor(holder: () => Holder): boolean {
    return this.#drain === undefined && this.#shares.hasRoomFor(holder);
  }

  /** As `hasRoomFor`, but evicts that stream if need be. Call `open` in the same turn of the event loop, before another stream takes the place. */
  makeRoom(holder: () => Holder): boolean {
    return this.#drain === undefined && this.#shares.makeRoom(holder);
  }

  /**
   * Opens a stream. Flush the response head before, or pass it as `head`. On the socket's events `drain` and `close`, call `drained` and `closed`.
   * @throws Problem `forbidden`, before the stream joins a group or writes a byte
   */
  open(grant: Grant, filter: Filter, options: StreamOptions, outlet: Outlet, start: Start, { client, handle, holder, head }: StreamOrigin = {}): Reader {
    const forbidden = readProblem(grant, filter);
    if (forbidden !== undefined) throw forbidden;
    const group = this.#audience.join(filter);
    const reader = new Reader({ group, options, outlet, at: start.at, client, openedTenths: Math.round(this.#clock.monotonic() / 100) }, this.#readerDependencies);
    this.#enter(group, reader, holder ?? (() => client?.holder() ?? UNNAMED));
    this.#readers.add(reader);
    this.#counters.opened++;
    this.#shares.opened(reader, holder);
    reader.open(start, this.#dismissals.retryMs(), handle, head);
    this.#catchup.resume(reader);
    return reader;
  }

  /** Refuses a stream with `$busy` instead of an error status, after which a browser's EventSource would never reconnect. */
  refuse(options: StreamOptions, outlet: Outlet, reason: BusyReason): void {
    this.#counters.busy++;
    this.#dismissals.refuse(options, outlet, reason);
  }

  /** The position up to which the stream got all its messages. */
  positionOf(reader: Reader): Position {
    return this.#fanout.positionOf(reader);
  }

  /**
   * Moves a stream to another filter.
   *
   * Never call it with an equal filter. `join` would return the reader's own group, and `audience.leave` would then remove the reader from the filter's memory account.
   * @returns The position from which catch-up reads on with the new filter
   */
  changeFilter(reader: Reader, filter: Filter): Position {
    // 1. Fix the position while the reader is in the old group: it depends on the pending messages of that group (invariant 4).
    this.#fanout.setAside(reader);
    this.#catchup.forget(reader);
    const before = reader.group;
    before.readers.delete(reader);
    // 2. Enter the new group.
    const group = this.#audience.join(filter);
    this.#enter(group, reader, () => reader.client?.holder() ?? UNNAMED);
    reader.changeGroup(group);
    // 3. Leave the old group, which ends if this was its last reader.
    this.#fanout.leftGroup(reader);
    this.#audience.leave(before, reader);
    // 4. Read on in the new group.
    this.#catchup.resume(reader);
    return reader.position();
  }

  /** Call it when the socket has drained. Catch-up resumes the reader if its socket was full. */
  drained(reader: Reader): void {
    if (!reader.drained()) return;
    this.#fanout.forget(reader);
    this.#catchup.resume(reader);
  }

  /**
   * Dismisses one stream: its client comes back and is checked again. Does nothing if the stream has ended.
   *
   * Does not flush pending messages: the client gets them when it comes back with its cursor. Flushing thousands of streams would make publishers wait.
   * @param retryMs When the client may come back; a random time by default
   */
  end(reader: Reader, reason: BusyReason, retryMs?: number): void {
    if (!reader.isGone) this.#dismissals.dismiss(reader, reason, retryMs);
  }

  /** Call it when the socket has closed, for whatever reason. The second call does nothing. */
  closed(reader: Reader): void {
    if (!this.#readers.delete(reader)) return;
    this.#shares.closed(reader);
    reader.closed();
    this.#leaveGroup(reader);
    this.#counters.closed++;
    this.#finishDrain();
  }

  /**
   * Refuses new streams, and dismisses the open streams evenly over the window, each with its own random reconnection time.
   * @returns Resolves when the last stream has closed
   */
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

  /** Ends all streams at once. */
  stop(): void {
    this.#timer?.cancel();
    this.#watch.stop();
    this.#dismissals.stop();
    for (const reader of this.#readers) reader.abort();
  }

  #schedule(): void {
    this.#timer = this.#clock.after(REGISTRY_TICK_MS, () => {
      this.#schedule();
      this.#tick();
    });
  }

  #tick(): void {
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
    this.#dismissals.tick();
    if (this.#drain === undefined) return;
    // `writeSome` usually writes all pending messages; a full flush would make publishers wait. A client that misses a message comes back with the previous id and gets it then (invariant 4).
    this.#fanout.writeSome();
    this.#dismissSome(this.#drain);
  }

  /**
   * Whether a WebSocket's client has answered no ping for STALL_SECONDS, and for at least one heartbeat. It counts heartbeats instead of seconds. Otherwise a process that was frozen for a while
   * would end all its streams.
   */
  #isSilent({ unansweredPings }: Reader): boolean {
    const { heartbeatMs, stallMs } = this.#settings;
    return unansweredPings > Math.max(1, Math.ceil(stallMs / heartbeatMs));
  }

  #dismissSome(drain: StreamDrain): void {
    const open = [...this.#readers].filter((reader) => !reader.isGone);
    const due = drain.due(open.length);
    for (const reader of open.slice(0, due)) this.#dismissals.dismiss(reader, 'draining');
  }

  #enter(group: Group, reader: Reader, holder: () => Holder): void {
    group.readers.add(reader);
    if (group.filterBytes > 0) this.#audience.enter(group, reader, { holder: namesOf(holder()), giveWay: () => this.#evictFromFilter(reader) });
  }

  /** Dismisses a reader because another client needs the memory of its filter. Frees that memory at once, before the socket closes. */
  #evictFromFilter(reader: Reader): void {
    // The newcomer also takes this reader's place. Otherwise a second stream would be evicted for the place.
    this.#shares.freePlace(reader);
    this.end(reader, 'full');
    this.#leaveGroup(reader);
  }

  /** `closed` calls it again after an eviction. The second call changes nothing. */
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
