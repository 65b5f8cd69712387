import type { Logger } from '../../runtime/logging/logger.ts';
import type { Trimmed } from '../store.ts';
import { StoreError } from '../store.ts';
import { inUnboundedSession } from './connection/unbounded-session.ts';

/**
 * Vacuums a table (https://www.postgresql.org/docs/current/sql-vacuum.html): removes the old versions of deleted and erased rows, their data out of line too,
 * unless an older transaction can still see them. It runs beside the traffic, and reads only pages that have changed since the last vacuum.
 *
 * @param signal Ends it.
 */
export function vacuumTable(table: 'messages' | 'keys', url: string, signal: AbortSignal): Promise<void> {
  return inUnboundedSession({ url, signal }, async (ask) => {
    // Without the right to vacuum, the server would skip the table with only a warning.
    const [[mayVacuum] = []] = await ask(`SELECT pg_has_role(relowner, 'USAGE') OR coalesce((SELECT rolsuper FROM pg_roles WHERE rolname = current_user), false) FROM pg_class WHERE oid = 'tidings.${table}'::regclass`);
    if (mayVacuum !== 't') throw new StoreError('unavailable', `this user may not vacuum the table tidings.${table}: only its owner may; until autovacuum does, the server keeps erased and deleted data on its disk`);
    await ask(`VACUUM tidings.${table}`);
  });
}

/**
 * A table is vacuumed after retention has deleted this much of it: only a vacuum lets the server use the space of deleted rows again. Stops a small log with
 * much traffic from growing until autovacuum comes, once a minute. A large log must delete more, because a vacuum reads the indexes in full.
 */
const VACUUM_DELETED_BYTES = 64 * 1024 * 1024;
const VACUUM_DELETED_KEYS = 100_000;
/** The share of the present bytes, or keys, that must have been deleted. So a vacuum reads at most four times as much as was deleted. */
const VACUUM_HELD_SHARE = 1 / 4;

export interface DeletedRowsOptions {
  readonly url: string;
  readonly signal: AbortSignal;
  readonly logger: Pick<Logger, 'warn'>;
  /** `VACUUM_DELETED_BYTES` if absent. */
  readonly vacuumBytes?: number | undefined;
}

/** Counts the messages and keys that this instance's retention deletes, and vacuums the tables in the background. */
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

  /** Call it after each step of retention. @param bytes The bytes of the deleted messages. */
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
      // Autovacuum will do it later, so a warning is enough.
      if (!this.#hasFailed && !signal.aborted) logger.warn({ err: error }, 'rows that retention deleted cannot be vacuumed: the tables of the log grow until autovacuum comes');
      this.#hasFailed = true;
    } finally {
      this.#isRunning = false;
    }
  }
}
