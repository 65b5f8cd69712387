import type { Logger } from '../../runtime/logging/logger.ts';
import type { Trimmed } from '../store.ts';
import { StoreError } from '../store.ts';
import { connectionConfig } from './connection/connection-pool.ts';
import { PgConnection } from './connection/connection.ts';
import { toStoreError } from './connection/errors.ts';

/**
 * Vacuums a table. That removes what an erasure or a deletion left of the rows, out of line too, unless an older transaction can still see it. It runs beside the traffic
 * (https://www.postgresql.org/docs/current/sql-vacuum.html), over a connection of its own that waits without end, and reads only pages that have changed since the last time.
 *
 * @param signal Ends it.
 */
export async function vacuumTable(table: 'messages' | 'keys', url: string, signal: AbortSignal): Promise<void> {
  const pgConnection = new PgConnection({ ...connectionConfig(url), answerMs: Infinity });
  const cut = (): void => pgConnection.destroy();
  signal.addEventListener('abort', cut);
  try {
    await pgConnection.connect();
    const ask = (text: string): ReturnType<PgConnection['ask']> => pgConnection.ask(text);
    // The settings of the role or the database. A pooler would keep our changes to them, so change only where needed.
    await ask("SELECT set_config(name, '0', false) FROM pg_settings WHERE name IN ('statement_timeout', 'lock_timeout') AND setting <> '0'");
    // Without the right the server would pass the table over, with no more than a warning.
    const [[mayVacuum] = []] = await ask(`SELECT pg_has_role(relowner, 'USAGE') OR coalesce((SELECT rolsuper FROM pg_roles WHERE rolname = current_user), false) FROM pg_class WHERE oid = 'tidings.${table}'::regclass`);
    if (mayVacuum !== 't') throw new StoreError('unavailable', `this user may not vacuum the table tidings.${table}: only its owner may; until autovacuum does, the server keeps erased and deleted data on its disk`);
    await ask(`VACUUM tidings.${table}`);
  } catch (error) {
    throw toStoreError(error, 'unavailable');
  } finally {
    signal.removeEventListener('abort', cut);
    pgConnection.destroy();
  }
}

/**
 * How much retention deletes of messages, and how many keys, until the tables are vacuumed: the server uses the room of deleted rows again only then. Stops a small log that is written fast from
 * growing until autovacuum comes, once in a minute. More where more is held: a vacuum reads the indexes in full.
 */
const VACUUM_DELETED_BYTES = 64 * 1024 * 1024;
const VACUUM_DELETED_KEYS = 100_000;
/** The least share of the held bytes to delete: so a vacuum reads four times as much as was deleted. */
const VACUUM_HELD_SHARE = 1 / 4;

export interface DeletedRowsOptions {
  readonly url: string;
  readonly signal: AbortSignal;
  readonly logger: Pick<Logger, 'warn'>;
  /** `VACUUM_DELETED_BYTES` if absent. */
  readonly vacuumBytes?: number | undefined;
}

/** Counts what this instance's retention deletes, and has it vacuumed in the background. */
export class DeletedRows {
  readonly #options: DeletedRowsOptions;
  readonly #vacuumBytes: number;
  #bytes = 0;
  #keys = 0;
  #isRunning = false;
  #hasFailed = false;

  constructor(options: DeletedRowsOptions) {
    this.#options = options;
    this.#vacuumBytes = options.vacuumBytes ?? VACUUM_DELETED_BYTES;
  }

  /** @param bytes Of the messages that a step deleted. */
  add(bytes: number, { keys, bytes: heldBytes, heldKeys }: Pick<Trimmed, 'keys' | 'bytes' | 'heldKeys'>): void {
    this.#bytes += bytes;
    this.#keys += keys;
    if (this.#isRunning) return;
    if (this.#bytes >= Math.max(this.#vacuumBytes, heldBytes * VACUUM_HELD_SHARE)) {
      this.#bytes = 0;
      void this.#vacuum('messages');
    } else if (this.#keys >= Math.max(VACUUM_DELETED_KEYS, heldKeys * VACUUM_HELD_SHARE)) {
      this.#keys = 0;
      void this.#vacuum('keys');
    }
  }

  async #vacuum(table: 'messages' | 'keys'): Promise<void> {
    const { url, signal, logger } = this.#options;
    this.#isRunning = true;
    try {
      await vacuumTable(table, url, signal);
      this.#hasFailed = false;
    } catch (error) {
      // Autovacuum does it later.
      if (!this.#hasFailed && !signal.aborted) logger.warn({ err: error }, 'rows that retention deleted cannot be vacuumed: the tables of the log grow until autovacuum comes');
      this.#hasFailed = true;
    } finally {
      this.#isRunning = false;
    }
  }
}
