import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from '../../runtime/logging/logger.ts';
import { StoreError } from '../store.ts';
import { missing, record, type Ask } from './applied-migrations.ts';
import { connectionConfig } from './connection/connection-pool.ts';
import { PgConnection } from './connection/connection.ts';
import { toStoreError } from './connection/errors.ts';
import { literal } from './connection/literals.ts';

/** The pause before the next try, after a failure, or while somebody else makes the index. */
const LONG_RETRY_MS = 30_000;
/** How long dropping an index may keep others from its table. */
const DROP_LOCK_MS = 1_000;

/** The name of the index that a statement makes. */
const INDEX_NAME = /\bCONCURRENTLY (?:IF NOT EXISTS )?"?(\w+)"? ON /;

/** Another session has the index in hand, or the table: https://www.postgresql.org/docs/current/errcodes-appendix.html. */
const PG_IN_HAND = /^(23505|42P07|55P03)$/;

/**
 * The migrations that take too long for a start: indexes of a log of hundreds of millions of messages, say. PostgreSQL makes them beside the traffic
 * (`CREATE INDEX CONCURRENTLY`, https://www.postgresql.org/docs/current/sql-createindex.html), over a connection of their own that waits without end. An
 * interrupted one leaves an index that is not valid: it is dropped and made again. Several instances may be at it; one makes the index.
 */
export interface LongMigrationsOptions {
  readonly url: string;
  /** Is called before each pause, while another session makes the index. */
  readonly waits: () => void;
  /** Ends it. The server may go on with its statement. */
  readonly signal?: AbortSignal;
}

/** Applies them all, however long that takes. Resolves to their number; rejects with a `StoreError`. */
export async function applyLongMigrations({ url, waits, signal }: LongMigrationsOptions): Promise<number> {
  for (let applied = 0; ;) {
    const tried = await tryOnce(url, signal);
    applied += tried.applied;
    if (!tried.left) return applied;
    waits();
    await pause(LONG_RETRY_MS, undefined, { signal });
  }
}

export interface BackgroundMigrationsOptions {
  readonly url: string;
  readonly logger: Logger;
}

/** Applies long migrations beside a store that is open, and tries again after a failure. */
export class BackgroundMigrations {
  readonly #url: string;
  readonly #logger: Logger;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;

  constructor({ url, logger }: BackgroundMigrationsOptions) {
    this.#url = url;
    this.#logger = logger;
  }

  run(): void {
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    const began = performance.now();
    this.#logger.info('indexes of a migration are made in the background');
    const waits = (): void => this.#logger.info({ retryMs: LONG_RETRY_MS }, 'another session makes an index of a migration');
    while (!signal.aborted) {
      try {
        const migrations = await applyLongMigrations({ url: this.#url, waits, signal });
        this.#logger.info({ migrations, milliseconds: Math.round(performance.now() - began) }, 'the indexes of a migration are made');
        return;
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof StoreError)) throw error;
        this.#logger.warn({ err: error, retryMs: LONG_RETRY_MS }, 'the indexes of a migration cannot be made just now');
        await pause(LONG_RETRY_MS, undefined, { signal }).catch(() => undefined);
      }
    }
  }
}

/** Applies migrations that nobody else has in hand. */
async function tryOnce(url: string, signal?: AbortSignal): Promise<{ readonly applied: number; readonly left: boolean }> {
  const pgConnection = new PgConnection({ ...connectionConfig(url), answerMs: Infinity });
  const cut = (): void => pgConnection.destroy();
  signal?.addEventListener('abort', cut);
  try {
    await pgConnection.connect();
    const ask: Ask = (text) => pgConnection.ask(text);
    // The settings of the role or the database. A pooler would keep our changes to them, so change only where needed.
    await ask("SELECT set_config(name, '0', false) FROM pg_settings WHERE name IN ('statement_timeout', 'lock_timeout') AND setting <> '0'");
    let applied = 0;
    for (const migration of await missing(ask)) {
      for (const statement of migration.statements) if (!await makeIndex(ask, statement)) return { applied, left: true };
      await record(ask, migration);
      applied += 1;
    }
    return { applied, left: false };
  } catch (error) {
    throw toStoreError(error, 'unavailable');
  } finally {
    signal?.removeEventListener('abort', cut);
    pgConnection.destroy();
  }
}

/** Makes one index, if it is not there. Resolves to false when somebody else has it in hand. */
async function makeIndex(ask: Ask, statement: string): Promise<boolean> {
  const name = INDEX_NAME.exec(statement)![1]!;
  try {
    const [[isValid, table] = []] = await ask('SELECT i.indisvalid, i.indrelid::regclass FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid '
      + `WHERE c.relnamespace = 'tidings'::regnamespace AND c.relname = ${literal(name)}`);
    if (isValid === 't') return true;
    if (isValid === 'f') await dropLeftover(ask, name, table!);
    await ask(statement);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && PG_IN_HAND.test(String(error.code))) return false;
    throw error;
  }
}

/** Drops an index that is not valid, unless somebody makes it just now: that session holds this lock of the table until the index is valid. */
async function dropLeftover(ask: Ask, name: string, table: string): Promise<void> {
  await ask(`SELECT set_config('lock_timeout', '${DROP_LOCK_MS}', true); DO $$
    BEGIN
      LOCK TABLE ${table} IN SHARE UPDATE EXCLUSIVE MODE NOWAIT;
      IF EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass('tidings.${name}') AND NOT indisvalid) THEN
        DROP INDEX tidings.${name};
      END IF;
    END $$`);
}
