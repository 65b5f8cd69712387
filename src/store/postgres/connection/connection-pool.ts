import pg from 'pg';
import { StoreError, type StoreErrorKind } from '../../store.ts';
import { PgConnection, type Ask, type Row } from './connection.ts';
import { isAnswer, isOfServer, toStoreError } from './errors.ts';
import { refuseStandby } from './standby.ts';
import { TRANSACTION_SETTINGS } from './transaction-settings.ts';

/**
 * The room `postgres/connection` talks to the server. A statement comes in; rows go out as text, or a `StoreError` that says whether the change may have
 * happened. Read it in this order: this file and `connection.ts`; `errors.ts` (was something stored?); `standby.ts`; `transaction-settings.ts`;
 * `answer-framing.ts` (answers that are too long or malformed). `literals.ts` and `expressions.ts` are for making statements, `json-values.ts` for reading
 * answers.
 */

/** How long a call waits for a free `PgConnection`, and how long connecting may take, with TLS and login. */
const CONNECT_MS = 5_000;
/** How long an unused `PgConnection` stays open. Each costs the server a process; connecting again costs a login. */
const IDLE_MS = 60_000;
/** How long a `PgConnection` is idle before TCP probes it. */
const KEEPALIVE_MS = 10_000;

export interface PgConnectionsOptions {
  /** postgres://…, with any option of pg-connection-string. */
  readonly url: string;
  /** The most connections at a time in the query pool. */
  readonly maxQueryConnections: number;
}

/** The options of each connection to a server. */
export function connectionConfig(url: string): pg.ClientConfig {
  return { connectionString: url, connectionTimeoutMillis: CONNECT_MS, keepAlive: true, keepAliveInitialDelayMillis: KEEPALIVE_MS, fallback_application_name: 'tidings' };
}

/** Turns the rows of an answer into a value. May throw an error that the server reports in its rows (`failureOf`). After any other throw the connection counts as lost, because its answers cannot be trusted. */
type Understand<Answer> = (rows: readonly Row[]) => Answer;

/** How a call treats an error after it had a `PgConnection`. */
interface Failing {
  /** Whether the `PgConnection` can be used again. */
  readonly survives: (error: unknown) => boolean;
  /** The kind of the error, if nothing proves that the statement had no effect. */
  readonly lost: StoreErrorKind;
}

/**
 * The connections of one store to its server: a pool for queries, and one connection that writes the log.
 *
 * | method | connection | transaction settings | without an answer |
 * |---|---|---|---|
 * | `glance` | pool | none, for the short calls of every second | `unavailable` |
 * | `read` | pool | yes | `unavailable` |
 * | `change` | pool | yes | `outcome-unknown` |
 * | `write` | writer; several calls may be under way | yes | `outcome-unknown` |
 * | `session` | pool; several messages | its own | `unavailable` |
 */
export class PgConnections {
  readonly #config: pg.ClientConfig;
  readonly #queryPool: pg.Pool;
  #writer: Promise<PgConnection> | undefined;
  readonly #pending = new Set<Promise<unknown>>();
  #losses = 0;

  constructor({ url, maxQueryConnections }: PgConnectionsOptions) {
    this.#config = connectionConfig(url);
    this.#queryPool = new pg.Pool({ ...this.#config, Client: PgConnection, max: maxQueryConnections, idleTimeoutMillis: IDLE_MS });
    // An idle connection was lost. The pool removes it.
    this.#queryPool.on('error', () => this.#lost());
  }

  /** How many connections were lost: not ended by this process. After a loss the log may be another one (invariant 8). */
  get losses(): number {
    return this.#losses;
  }

  /** Runs a call that reads, in a transaction of its own. The last column of its rows must tell whether the server is a standby: `STANDBY`, or the last column of `tidings.state`. */
  read<Answer>(call: string, understand: Understand<Answer>): Promise<Answer> {
    return this.glance(`${TRANSACTION_SETTINGS}; ${call}`, understand);
  }

  /** Runs a read that is too short to need timeouts on the server. An instance without traffic sends such calls every second, so they must cost little. */
  glance<Answer>(call: string, understand: Understand<Answer>): Promise<Answer> {
    return this.#answer(call, understand, 'unavailable');
  }

  /** Runs a call that changes anything but the log, in a transaction of its own. Its rows end as those of `read`. */
  change<Answer>(call: string, understand: Understand<Answer>): Promise<Answer> {
    return this.#answer(`${TRANSACTION_SETTINGS}; ${call}`, understand, 'outcome-unknown');
  }

  /** Sends several messages over one connection. If `work` fails, the connection ends, and the server rolls its transaction back. */
  session<Result>(work: (ask: Ask) => Promise<Result>): Promise<Result> {
    return this.#borrow((pgConnection) => work((text) => pgConnection.ask(text)), { survives: () => false, lost: 'unavailable' });
  }

  /** Runs a call that writes the log. All such calls go over one connection without waiting for each other, and are committed in their order. */
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
        this.#keepOrEnd(pgConnection, connecting, error);
        throw failure;
      }
    });
  }

  /**
   * Keeps or ends the writer after an error:
   *
   * | error | the writer |
   * |---|---|
   * | the server's answer that a statement failed | stays |
   * | the answer of a standby, or an answer that leaves the outcome unknown | ends once the calls after this one are answered; the next write connects again |
   * | anything else, such as a timeout or a malformed answer | is destroyed; the next write connects again |
   */
  #keepOrEnd(pgConnection: PgConnection, connecting: Promise<PgConnection>, error: unknown): void {
    if (!isAnswer(error)) {
      pgConnection.destroy();
      return;
    }
    if (isOfServer(error)) this.#forget(connecting);
    if (this.#writer !== connecting) pgConnection.end().catch(() => undefined);
  }

  /** Waits for the calls under way, then ends every connection. */
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
        // Destroy the socket: a server that sends no valid answers may never close the connection.
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

  /** Also rejects if the URL names a certificate that cannot be read. */
  async #connectWriter(lost: () => void): Promise<PgConnection> {
    // `pipeline`: send a message without waiting for the answer to the one before.
    const pgConnection = new PgConnection({ ...this.#config, pipeline: true });
    // If the server gives a reason before it closes, the event comes twice. At the second, `#writer` may be a later connection already.
    pgConnection.on('error', lost);
    await pgConnection.connect();
    return pgConnection;
  }

  /** Makes the next write connect again, if this is still the writer. */
  #forget(writer: Promise<PgConnection>): void {
    if (this.#writer === writer) this.#writer = undefined;
  }

  /** Counts the loss of a writer once: its own error event and the error of a call may both report it. */
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

/** A `session` with connections of its own, for a command. Rejects with a `StoreError`. */
export async function inSession<Result>(url: string, work: (ask: Ask) => Promise<Result>): Promise<Result> {
  const pgConnections = new PgConnections({ url, maxQueryConnections: 1 });
  try {
    return await pgConnections.session(work);
  } finally {
    await pgConnections.close();
  }
}
