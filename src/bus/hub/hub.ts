import { rm, unlink } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Clock } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/logging/logger.ts';
import { HubLog } from './hub-log.ts';
import { Session } from './session.ts';
import { isAnswered, makeSocketFolder, SOCKET_NAME, SOCKET_PATH_MAX_BYTES } from './socket-folder.ts';

/**
 * This room connects the workers of one machine. The supervisor starts the hub, a server on a Unix socket in a folder that only its user can enter. Each worker has one connection to it (`connection.ts`), which its
 * bus, presence place, limit ledger and shared writer use. Commits and notes come in from one worker and go out to the others, as hints: one write for each worker. A worker that does not read gets none.
 * The hub combines the presence and the limits of the workers in memory (`presence-board.ts`, `limit-book.ts`). A restarted hub gets them again from the workers.
 *
 * Read `frames.ts` and `calls.ts` first (the wire), then `session.ts` and `hub-log.ts` (the hub's side), and `connection.ts` with its users `bus.ts`, `presence-place.ts`, `limit-ledger.ts` and `shared-writer.ts` (a worker's side).
 */

/** 64 workers, as many again in a rolling restart, and room for more. Stops a program from holding all file descriptors of the supervisor. */
const HUB_MAX_CONNECTIONS = 256;

/** How long a connection may wait with its hello. Stops silent connections from using up `HUB_MAX_CONNECTIONS`. */
const HELLO_MAX_MS = 10_000;

/** The most logs at a time, although the workers of a supervisor have one. Stops a program from filling the memory with invented logs. */
const LOGS_MAX_ENTRIES = 64;

/** How often a warning may be logged. Stops a broken client from filling the log of the process. */
const HUB_WARN_INTERVAL_MS = 60_000;

export interface HubOptions {
  /** The path of the socket, in a folder that no other user can enter. By default the hub makes a folder. */
  readonly path?: string;
  /** The port of the service. Folders that killed supervisors of this port left are removed. */
  readonly port?: number;
  readonly clock: Clock;
  readonly logger: Pick<Logger, 'warn'>;
}

export interface Hub {
  /** The path of the socket. */
  readonly path: string;
  /** Ends all connections, and removes the socket and its folder. */
  close(): Promise<void>;
}

/** Starts the hub. Rejects with an error that names the path when it cannot listen there. */
export async function startHub({ path, port, clock, logger }: HubOptions): Promise<Hub> {
  const folder = path === undefined ? await makeSocketFolder(port) : undefined;
  const hub = new RunningHub({ path: path ?? join(folder!, SOCKET_NAME), folder, clock, logger });
  try {
    await hub.listen();
  } catch (error) {
    await hub.close();
    throw error;
  }
  return hub;
}

interface RunningHubDependencies {
  readonly path: string;
  /** The folder to remove at the end. */
  readonly folder: string | undefined;
  readonly clock: Clock;
  readonly logger: Pick<Logger, 'warn'>;
}

class RunningHub implements Hub {
  readonly path: string;
  readonly #folder: string | undefined;
  readonly #clock: Clock;
  readonly #logger: Pick<Logger, 'warn'>;
  readonly #server: Server;
  readonly #sessions = new Set<Session>();
  readonly #logs = new Map<string, HubLog>();
  #warnedAt = -Infinity;
  #isClosed = false;

  constructor({ path, folder, clock, logger }: RunningHubDependencies) {
    this.path = path;
    this.#folder = folder;
    this.#clock = clock;
    this.#logger = logger;
    this.#server = createServer((socket) => this.#welcome(socket));
    this.#server.maxConnections = HUB_MAX_CONNECTIONS;
  }

  async listen(): Promise<void> {
    if (Buffer.byteLength(this.path) > SOCKET_PATH_MAX_BYTES) throw new Error(`the path of the hub's socket is longer than ${SOCKET_PATH_MAX_BYTES} bytes: ${this.path}`);
    try {
      await this.#listenOnce();
    } catch (error) {
      if (!isCode(error, 'EADDRINUSE') || await isAnswered(this.path)) throw error;
      // Remove the socket that a killed hub left.
      await unlink(this.path);
      await this.#listenOnce();
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const closed = Promise.withResolvers<void>();
    // Ignore an error: it says only that the server never listened.
    this.#server.close(() => closed.resolve());
    for (const { socket } of this.#sessions) socket.destroy();
    await closed.promise;
    if (this.#folder !== undefined) await rm(this.#folder, { recursive: true, force: true });
  }

  #listenOnce(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#server.once('error', reject);
    this.#server.listen({ path: this.path }, () => {
      this.#server.off('error', reject);
      this.#server.on('error', (error) => this.#warn(error.message, 'the hub cannot accept a connection'));
      resolve();
    });
    return promise;
  }

  #welcome(socket: Socket): void {
    if (this.#isClosed) {
      socket.destroy();
      return;
    }
    const session = new Session({
      socket, logOf: (id) => this.#logOf(id),
      onRefused: (reason) => this.#warn(reason, 'a question to the hub was refused: its worker goes on without the answer'),
      onEnd: (ended, reason) => {
        this.#sessions.delete(ended);
        hello.cancel();
        if (reason !== undefined && !this.#isClosed) this.#warn(reason, 'a connection to the hub broke: its worker connects again');
      },
    });
    const hello = this.#clock.after(HELLO_MAX_MS, () => {
      if (!session.isGreeted) socket.destroy(new Error('a connection said nothing'));
    });
    this.#sessions.add(session);
  }

  #logOf(id: string): HubLog {
    const known = this.#logs.get(id);
    if (known !== undefined) return known;
    for (const [old, log] of this.#logs) {
      if (this.#logs.size < LOGS_MAX_ENTRIES) break;
      if (log.isIdle) this.#logs.delete(old);
    }
    if (this.#logs.size >= LOGS_MAX_ENTRIES) throw new Error('the hub knows too many logs');
    const log = new HubLog(this.#clock);
    this.#logs.set(id, log);
    return log;
  }

  #warn(reason: string, sentence: string): void {
    const now = this.#clock.monotonic();
    if (now - this.#warnedAt < HUB_WARN_INTERVAL_MS) return;
    this.#warnedAt = now;
    this.#logger.warn({ reason }, sentence);
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
