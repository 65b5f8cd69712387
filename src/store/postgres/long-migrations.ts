import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from '../../runtime/logging/logger.ts';
import { StoreError } from '../store.ts';
import { missing, record } from './applied-migrations.ts';
import type { Ask } from './connection/connection.ts';
import { literal } from './connection/literals.ts';
import { inUnboundedSession } from './connection/unbounded-session.ts';

/**
 * Long migrations take too long for a start: they make indexes of a log that may have hundreds of millions of messages. PostgreSQL makes these indexes
 * beside the traffic (`CREATE INDEX CONCURRENTLY`, https://www.postgresql.org/docs/current/sql-createindex.html). An interrupted statement leaves an index
 * that is not valid: it is dropped and made again. If several instances try at the same time, one makes the index, and the others try again later.
 */

/** The pause before the next try, after a failure or while another session makes the index. */
const LONG_RETRY_MS = 30_000;
/** How long dropping an index waits for its lock. Other statements on the table wait behind it, so this bounds their delay. */
const DROP_LOCK_MS = 1_000;

/** The name of the index that a statement makes. */
const INDEX_NAME = /\bCONCURRENTLY (?:IF NOT EXISTS )?"?(\w+)"? ON /;

/** The codes of errors that show that another session is making or dropping the index: https://www.postgresql.org/docs/current/errcodes-appendix.html. */
const PG_BUSY_CODES = /^(23505|42P07|55P03)$/;

export interface LongMigrationsOptions {
  readonly url: string;
  /** Called before each pause, while another session makes the index. */
  readonly waits: () => void;
  /** Ends the work. The server may still finish its statement. */
  readonly signal?: AbortSignal;
}

/** Applies all long migrations, however long that takes. Resolves to their number; rejects with a `StoreError`. */
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

/** Applies long migrations in the background of an open store. Tries again after a failure. */
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

/** Applies the long migrations until one is left that another session is applying. */
function tryOnce(url: string, signal?: AbortSignal): Promise<{ readonly applied: number; readonly left: boolean }> {
  return inUnboundedSession({ url, signal }, async (ask) => {
    let applied = 0;
    for (const migration of await missing(ask)) {
      for (const statement of migration.statements) if (!await makeIndex(ask, statement)) return { applied, left: true };
      await record(ask, migration);
      applied += 1;
    }
    return { applied, left: false };
  });
}

/** Makes one index, unless it exists. Resolves to false if another session is making or dropping it. */
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
    if (error instanceof Error && 'code' in error && PG_BUSY_CODES.test(String(error.code))) return false;
    throw error;
  }
}

/** Drops an index that is not valid. Fails with `PG_BUSY_CODES` if another session is making it now, because that session has this lock of the table until the index is valid. */
async function dropLeftover(ask: Ask, name: string, table: string): Promise<void> {
  await ask(`SELECT set_config('lock_timeout', '${DROP_LOCK_MS}', true); DO $$
    BEGIN
      LOCK TABLE ${table} IN SHARE UPDATE EXCLUSIVE MODE NOWAIT;
      IF EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass('tidings.${name}') AND NOT indisvalid) THEN
        DROP INDEX tidings.${name};
      END IF;
    END $$`);
}
