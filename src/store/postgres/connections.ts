import pg from 'pg';
import { StoreError } from '../store.ts';
import { Line, type Row } from './connection.ts';
import { isAnswer, isOfServer, toStoreError } from './errors.ts';
import { isOfStandby } from './known-log.ts';

/** How long a call waits for a connection, and a connection for the server with its TLS and login. Milliseconds. */
const CONNECT_MS = 5_000;
/** How long an append waits for the head's lock, which another instance has: only for as long as its commit takes. Milliseconds. */
export const LOCK_MS = 5_000;
/** How long the server works at one call before it gives up. Milliseconds. */
const STATEMENT_MS = 10_000;
/** The server ends a transaction that waits for its client for so long: none of ours does, but migrations. Milliseconds. */
const IDLE_IN_TRANSACTION_MS = 10_000;
/** Connections that nobody needs are kept for so long: each costs the server a process, and its return a login. Milliseconds. */
const IDLE_MS = 60_000;
/** When an idle connection is probed by TCP. Milliseconds. */
const KEEPALIVE_MS = 10_000;

/**
 * What holds for each call, whatever the server, the database or the role are set to, and through a pooler such as PgBouncer too: it is set
 * inside the call's own transaction, and travels with it in one message. READ COMMITTED takes a snapshot for each statement: what follows a lock
 * sees everything that was committed under it (invariant 2). `synchronous_commit` makes an answer a promise (invariant 1). Compiling statements so short
 * takes a hundred times as long as running them.
 */
export const SETTINGS = 'SET TRANSACTION ISOLATION LEVEL READ COMMITTED; SELECT '
  + Object.entries({
    statement_timeout: STATEMENT_MS, lock_timeout: LOCK_MS, idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS, synchronous_commit: 'on', array_nulls: 'on', jit: 'off',
  }).map(([name, value]) => `set_config('${name}', '${value}', true)`).join(', ');

/** The connections of one store: a pool that reads, and one connection that writes. */
export class Connections {
  readonly #config: pg.ClientConfig;
  readonly #readers: pg.Pool;
  #writer: Promise<Line> | undefined;
  readonly #pending = new Set<Promise<unknown>>();
  #losses = 0;

  /**
   * @param url With every option that pg-connection-string takes. Throws when it names a file that cannot be read.
   * @param readers The most connections at a time for reading.
   */
  constructor(url: string, readers: number) {
    this.#config = { connectionString: url, connectionTimeoutMillis: CONNECT_MS, keepAlive: true, keepAliveInitialDelayMillis: KEEPALIVE_MS, fallback_application_name: 'tidings' };
    this.#readers = new pg.Pool({ ...this.#config, Client: Line, max: readers, idleTimeoutMillis: IDLE_MS });
    // Of a connection that nobody uses just now; the pool removes it.
    this.#readers.on('error', () => this.#lost());
  }

  /** How many connections ended otherwise than by this process. */
  get losses(): number {
    return this.#losses;
  }

  /** One call that reads, in a transaction of its own. Its rows end with the state of the log. */
  read(call: string): Promise<readonly Row[]> {
    return this.glance(`${SETTINGS}; ${call}`);
  }

  /** A call that is too short to need limits on the server: all that an instance without traffic asks for every second. Its rows end with the state of the log. */
  glance(call: string): Promise<readonly Row[]> {
    return this.#borrow(async (line) => {
      const rows = await line.ask(call);
      // The connection ends with that: another may reach the primary, where this one would lead to the standby for good.
      if (rows.some(isOfStandby)) throw new StoreError('unavailable', 'the server is a standby: what it knows of the log may be old');
      return rows;
    }, (error) => isAnswer(error) && !isOfServer(error));
  }

  /** Several messages over one connection. When `work` fails the connection ends, and with it whatever was begun. */
  session<Result>(work: (ask: (text: string) => Promise<readonly Row[]>) => Promise<Result>): Promise<Result> {
    return this.#borrow((line) => work((text) => line.ask(text)), () => false);
  }

  /** One call that writes. Those of one store are sent at once, and committed in the order in which they were made. */
  write(call: string): Promise<readonly Row[]> {
    return this.#track(async () => {
      let line: Line;
      const connecting = this.#writer ?? this.#connect();
      try {
        line = await connecting;
      } catch (error) {
        this.#forget(connecting);
        throw toStoreError(error, 'unavailable');
      }
      try {
        return await line.ask(`${SETTINGS}; ${call}`);
      } catch (error) {
        if (!isAnswer(error)) this.#lostWriter(connecting);
        else if (isOfServer(error)) this.#forget(connecting);
        if (this.#writer !== connecting) line.end().catch(() => undefined);
        throw toStoreError(error, 'outcome-unknown');
      }
    });
  }

  /** Lets what is under way finish. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#pending);
    await Promise.all([this.#readers.end(), this.#writer?.then((line) => line.end(), () => undefined)]);
  }

  /** @param survives Whether the connection can be used again after an error. */
  #borrow<Result>(work: (line: Line) => Promise<Result>, survives: (error: unknown) => boolean): Promise<Result> {
    return this.#track(async () => {
      let line: pg.PoolClient & Line;
      try {
        line = await this.#readers.connect() as pg.PoolClient & Line;
      } catch (error) {
        throw toStoreError(error, 'unavailable');
      }
      let broken = false;
      try {
        return await work(line);
      } catch (error) {
        broken = !survives(error);
        if (!isAnswer(error) && !(error instanceof StoreError)) this.#lost();
        throw toStoreError(error, 'unavailable');
      } finally {
        line.release(broken);
      }
    });
  }

  #connect(): Promise<Line> {
    // Several messages may be under way: the server takes the next without waiting for this process.
    const line = new Line({ ...this.#config, pipeline: true });
    const writer = (this.#writer = line.connect().then(() => line));
    // Said twice where the server gives a reason before it ends the connection: by then another may have taken its place.
    line.on('error', () => this.#lostWriter(writer));
    return writer;
  }

  /** The next call opens another one. */
  #forget(writer: Promise<Line>): void {
    if (this.#writer === writer) this.#writer = undefined;
  }

  /** Counted once, whoever hears of it first: the connection itself, or one of those whose calls were under way. */
  #lostWriter(writer: Promise<Line>): void {
    if (this.#writer !== writer) return;
    this.#writer = undefined;
    this.#lost();
  }

  #lost(): void {
    this.#losses += 1;
  }

  #track<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = work().finally(() => this.#pending.delete(result));
    this.#pending.add(result);
    return result;
  }
}
