import { isLoopback } from '../config/loopback.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Counters } from '../runtime/counters.ts';
import { InTurns } from '../runtime/in-turns.ts';
import type { Logger } from '../runtime/logging/logger.ts';
import type { SendQueue } from '../runtime/sockets/tcp-rows.ts';
import type { TcpTable } from '../runtime/sockets/tcp-table.ts';
import type { FullSockets } from './reader/full-sockets.ts';
import { GoneClients } from './gone-clients.ts';
import type { Reader } from './reader/reader.ts';
import type { Outlet } from './reader/stream-socket.ts';
import { isOfAge, UNWATCHED_MAX_AGE_MS } from './unwatched-age.ts';

/** The part of `stallMs` between two looks. The watch finds a client late by this much at most. */
const LOOK_PAUSE_SHARE = 1 / 6;
/** The shortest pause between two looks. It stops a short STALL_SECONDS from having the table read all the time. */
const LOOK_PAUSE_MIN_MS = 1000;
/** The part of the time that looks may take. It stops a table of hundreds of thousands of connections from being read all the time. */
const LOOK_SHARE = 0.05;
/** How long the watch ends streams in one turn of the event loop. It stops thousands of clients that vanish together from blocking it. */
const END_TURN_MS = 0.5;

const UNTOLD = 'nothing tells which clients have vanished (/proc/net/tcp does not list their connections): streams of other machines end at an age, and their clients come back';

export interface ClientWatchDependencies {
  readonly table: TcpTable;
  readonly clock: Clock;
  readonly counters: Counters;
  readonly logger: Logger;
  readonly readers: Iterable<Reader>;
  readonly fullSockets: FullSockets<Reader>;
  readonly stallMs: number;
  readonly heartbeatMs: number;
}

/**
 * Ends the streams of clients that take no bytes any more. A `stalled` client acknowledges, but reads nothing. A `gone` client vanished without closing its connection.
 *
 * One look at the kernel's table of connections serves all streams. Every client has bytes to acknowledge, because streams get heartbeats.
 */
export class ClientWatch {
  readonly #table: TcpTable;
  readonly #clock: Clock;
  readonly #counters: Counters;
  readonly #logger: Logger;
  readonly #readers: Iterable<Reader>;
  readonly #fullSockets: FullSockets<Reader>;
  readonly #stallMs: number;
  readonly #heartbeatMs: number;
  readonly #gone = new GoneClients<Reader>();
  readonly #walks: InTurns;
  readonly #ends: InTurns;
  #isLooking = false;
  #isStopped = false;
  /** Whether the kernel's table lists connections of streams, by the last look that could show it. */
  #isTold = true;
  /** When the next look is due, and the earliest time at which a look may begin. By the monotonic clock, in milliseconds. */
  #dueAt: number;
  #earliestAt = -Infinity;

  constructor({ table, clock, counters, logger, readers, fullSockets, stallMs, heartbeatMs }: ClientWatchDependencies) {
    this.#table = table;
    this.#clock = clock;
    this.#counters = counters;
    this.#logger = logger;
    this.#readers = readers;
    this.#fullSockets = fullSockets;
    this.#stallMs = stallMs;
    this.#heartbeatMs = heartbeatMs;
    this.#walks = new InTurns(clock);
    this.#ends = new InTurns(clock, END_TURN_MS);
    this.#dueAt = clock.monotonic() + this.#pauseMs;
  }

  /** Begins a look if it is due. */
  tick(): void {
    const now = this.#clock.monotonic();
    if (this.#isLooking || now < this.#earliestAt) return;
    if (now >= this.#dueAt || this.#fullSockets.isDue(this.#stallMs)) void this.#look(now);
  }

  /** Whether a stream ends because of its age: the table does not list connections, so its client may have vanished. Clients on the same machine cannot vanish. */
  isOfAge({ beats, outlet }: Reader): boolean {
    return !this.#isTold && isOfAge(beats, this.#heartbeatMs, Math.random()) && !isLoopback(outlet.remoteAddress ?? '');
  }

  stop(): void {
    this.#isStopped = true;
  }

  get #pauseMs(): number {
    return Math.max(LOOK_PAUSE_MIN_MS, this.#stallMs * LOOK_PAUSE_SHARE);
  }

  async #look(began: number): Promise<void> {
    this.#isLooking = true;
    const queues = await this.#queues();
    const now = this.#clock.monotonic();
    this.#dueAt = now + this.#pauseMs;
    this.#earliestAt = now + (now - began) / LOOK_SHARE;
    this.#isLooking = false;
    if (this.#isStopped) return;
    const gone = this.#gone.look(queues, now, this.#stallMs);
    const stalled = this.#fullSockets.look(queues, this.#stallMs);
    this.#ends.forEach(gone, (reader) => this.#endGone(reader));
    this.#ends.forEach(stalled, (reader) => {
      // The socket may have drained before its turn.
      if (!this.#fullSockets.has(reader)) return;
      if (this.#gone.has(reader)) {
        this.#endGone(reader);
        return;
      }
      reader.abort();
      this.#counters.stalled++;
    });
  }

  #endGone(reader: Reader): void {
    if (!reader.isGone) this.#counters.cut.gone++;
    reader.abort();
  }

  /** The send queues of those streams that may be stalled or gone. */
  async #queues(): Promise<ReadonlyMap<Reader, SendQueue>> {
    const found = new Map<Reader, SendQueue>();
    const localPort = this.#localPort();
    if (localPort === undefined) return found;
    const remotePorts = new Set<number>();
    for (const { outlet: { remotePort } } of this.#fullSockets) if (remotePort !== undefined) remotePorts.add(remotePort);
    const rows = await this.#read(localPort, remotePorts);
    if (rows === undefined || rows.length === 0) return found;
    const byPort = Map.groupBy(rows, ({ remotePort }) => remotePort);
    const walked = Promise.withResolvers<void>();
    this.#walks.forEach(this.#readers, (reader) => {
      const row = byPort.get(reader.outlet.remotePort ?? -1)?.find((one) => isOf(one, reader.outlet));
      if (row !== undefined) found.set(reader, row);
    });
    this.#walks.forEach([walked], ({ resolve }) => resolve());
    await walked.promise;
    return found;
  }

  async #read(localPort: number, remotePorts: ReadonlySet<number>): Promise<readonly SendQueue[] | undefined> {
    try {
      const rows = await this.#table.read({ localPort, remotePorts });
      this.#tell(rows !== undefined);
      return rows;
    } catch (error) {
      this.#tell(false, error);
      return undefined;
    }
  }

  #tell(isTold: boolean, error?: unknown): void {
    if (this.#isTold && !isTold) {
      const facts = { maxMinutes: UNWATCHED_MAX_AGE_MS / 60_000 };
      if (error === undefined) this.#logger.info(facts, UNTOLD);
      else this.#logger.warn({ ...facts, err: error }, UNTOLD);
    }
    this.#isTold = isTold;
  }

  /** All streams come in at one port. A stream whose socket is closed has none. */
  #localPort(): number | undefined {
    for (const { outlet: { localPort } } of this.#readers) if (localPort !== undefined) return localPort;
    return undefined;
  }
}

function isOf({ localAddress, remoteAddress }: SendQueue, outlet: Outlet): boolean {
  return localAddress === withoutZone(outlet.localAddress) && remoteAddress === withoutZone(outlet.remoteAddress);
}

/** Node names the interface of a link-local address (`fe80::1%eth0`), the table does not. */
function withoutZone(address: string | undefined): string | undefined {
  return address?.split('%', 1)[0];
}
