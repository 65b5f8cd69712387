import pg from 'pg';
import { StoreError, type StoreErrorKind } from '../../store.ts';
import { PgConnection, type Row } from './connection.ts';
import { isAnswer, isOfServer, toStoreError } from './errors.ts';
import { refuseStandby } from './standby.ts';
import { TRANSACTION_SETTINGS } from './transaction-settings.ts';

/**
 * This room talks to PostgreSQL: a few connections, literals of SQL, the framing of answers, and errors. A statement comes in; rows go out, or a
 * `StoreError` that says whether the change may have happened. It notices a standby.
 */

/** How long a call waits for a `PgConnection`, and a `PgConnection` for the server with its TLS and login. */
const CONNECT_MS = 5_000;
/** How long an unused `PgConnection` stays open: each costs the server a process, and a new one costs a login. */
const IDLE_MS = 60_000;
/** How long a `PgConnection` is idle before TCP probes it. */
const KEEPALIVE_MS = 10_000;

export interface PgConnectionsOptions {
  /** With every option that pg-connection-string takes. */
  readonly url: string;
  /** The most connections at a time in the query pool. */
  readonly maxQueryConnections: number;
}

/** The options of each connection to a server. */
export function connectionConfig(url: string): pg.ClientConfig {
  return { connectionString: url, connectionTimeoutMillis: CONNECT_MS, keepAlive: true, keepAliveInitialDelayMillis: KEEPALIVE_MS, fallback_application_name: 'tidings' };
}

/** Turns the rows of an answer into a value. It throws an error of the server that the rows report. Every other throw counts as a loss of the connection, whose next answer would be uncertain. */
type Understand<Answer> = (rows: readonly Row[]) => Answer;

/** The meaning of an error, once a `PgConnection` was there. */
interface Failing {
  /** Whether the `PgConnection` can be used again. */
  readonly survives: (error: unknown) => boolean;
  /** Its kind where nothing proves that the message had no effect. */
  readonly lost: StoreErrorKind;
}

/** The connections of one store to its server: a pool for queries, and one connection that writes. */
export class PgConnections {
  readonly #config: pg.ClientConfig;
  readonly #queryPool: pg.Pool;
  #writer: Promise<PgConnection> | undefined;
  readonly #pending = new Set<Promise<unknown>>();
  #losses = 0;

  constructor({ url, maxQueryConnections }: PgConnectionsOptions) {
    this.#config = connectionConfig(url);
    this.#queryPool = new pg.Pool({ ...this.#config, Client: PgConnection, max: maxQueryConnections, idleTimeoutMillis: IDLE_MS });
    // An idle `PgConnection` was lost; the pool removes it.
    this.#queryPool.on('error', () => this.#lost());
  }

  /** How many `PgConnection`s ended otherwise than by this process. */
  get losses(): number {
    return this.#losses;
  }

  /** One call that reads, in a transaction of its own. Its rows end with the state of the log, or with whether the server is a standby. `understand` throws at an answer that makes no sense. */
  read<Answer>(call: string, understand: Understand<Answer>): Promise<Answer> {
    return this.glance(`${TRANSACTION_SETTINGS}; ${call}`, understand);
  }

  /** A call that is too short to need limits on the server: the questions that an instance without traffic asks every second. Its rows end as those of `read`. */
  glance<Answer>(call: string, understand: Understand<Answer>): Promise<Answer> {
    return this.#answer(call, understand, 'unavailable');
  }

  /** One call that changes something beside the log, in a transaction of its own. Without an answer its outcome is unknown. Its rows end with whether the server is a standby. */
  change<Answer>(call: string, understand: Understand<Answer>): Promise<Answer> {
    return this.#answer(`${TRANSACTION_SETTINGS}; ${call}`, understand, 'outcome-unknown');
  }

  /** Several messages over one `PgConnection`. When `work` fails, the `PgConnection` ends, and with it the transaction that was begun. */
  session<Result>(work: (ask: (text: string) => Promise<readonly Row[]>) => Promise<Result>): Promise<Result> {
    return this.#borrow((pgConnection) => work((text) => pgConnection.ask(text)), { survives: () => false, lost: 'unavailable' });
  }

  /** One call that writes. A store's calls are sent at once, and committed in the order in which they were made. */
  write<Answer>(call: string, understand: Understand<Answer>): Promise<Answer> {
    return this.#track(async () => {
      let pgConnection: PgConnection;
      const connecting = this.#writer ?? this.#connect();
      try {
        pgConnection = await connecting;
      } catch (error) {
        this.#forget(connecting);
        throw toStoreError(error, 'unavailable');
      }
      try {
        return understand(await pgConnection.ask(`${TRANSACTION_SETTINGS}; ${call}`));
      } catch (error) {
        const failure = toStoreError(error, 'outcome-unknown');
        if (failure.kind === 'outcome-unknown') this.#lostWriter(connecting);
        if (!isAnswer(error)) pgConnection.destroy();
        else {
          if (isOfServer(error)) this.#forget(connecting);
          // The calls after this one may still be answered.
          if (this.#writer !== connecting) pgConnection.end().catch(() => undefined);
        }
        throw failure;
      }
    });
  }

  /** Lets the calls under way finish, then ends every `PgConnection`. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#pending);
    await Promise.all([this.#queryPool.end(), this.#writer?.then((pgConnection) => pgConnection.end(), () => undefined)]);
  }

  #answer<Answer>(call: string, understand: Understand<Answer>, lost: StoreErrorKind): Promise<Answer> {
    return this.#borrow(async (pgConnection) => {
      const rows = await pgConnection.ask(call);
      refuseStandby(rows);
      return understand(rows);
    }, { survives: (error) => isAnswer(error) && !isOfServer(error), lost });
  }

  #borrow<Result>(work: (pgConnection: PgConnection) => Promise<Result>, { survives, lost }: Failing): Promise<Result> {
    return this.#track(async () => {
      let pgConnection: pg.PoolClient & PgConnection;
      try {
        pgConnection = await this.#queryPool.connect() as pg.PoolClient & PgConnection;
      } catch (error) {
        throw toStoreError(error, 'unavailable');
      }
      let broken = false;
      try {
        return await work(pgConnection);
      } catch (error) {
        broken = !survives(error);
        if (!isAnswer(error) && !(error instanceof StoreError)) this.#lost();
        throw toStoreError(error, lost);
      } finally {
        // A server that we do not understand need not close what we end.
        if (broken) pgConnection.destroy();
        pgConnection.release(broken);
      }
    });
  }

  #connect(): Promise<PgConnection> {
    const connecting = this.#connectWriter(() => this.#lostWriter(connecting));
    this.#writer = connecting;
    return connecting;
  }

  /** Rejects also where the URL names a certificate that cannot be read. */
  async #connectWriter(lost: () => void): Promise<PgConnection> {
    // Several messages may be under way: the server takes the next without waiting for this process.
    const pgConnection = new PgConnection({ ...this.#config, pipeline: true });
    // The event comes twice when the server gives a reason before it closes: `#writer` may be a later `PgConnection` at the second.
    pgConnection.on('error', lost);
    await pgConnection.connect();
    return pgConnection;
  }

  /** The next write connects again. */
  #forget(writer: Promise<PgConnection>): void {
    if (this.#writer === writer) this.#writer = undefined;
  }

  /** Counts the loss once, whichever comes first: the `PgConnection`'s own error, or a call's that was under way. */
  #lostWriter(writer: Promise<PgConnection>): void {
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

/** Several messages over one `PgConnection`, for a command. Rejects with a `StoreError`. */
export async function inSession<Result>(url: string, work: (ask: (text: string) => Promise<readonly Row[]>) => Promise<Result>): Promise<Result> {
  const pgConnections = new PgConnections({ url, maxQueryConnections: 1 });
  try {
    return await pgConnections.session(work);
  } finally {
    await pgConnections.close();
  }
}
