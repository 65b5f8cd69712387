import { statSync } from 'node:fs';
import type Database from 'better-sqlite3';

/** Pages in the write-ahead log at which a commit copies them into the database: 32 MB. Fewer would mean more syncs. */
export const CHECKPOINT_PAGES = 8000;

/**
 * What a burst leaves of the write-ahead log's file. It is more than the file needs between bursts, because a file that
 * is cut and grows again costs a sync of the file system's own records each time.
 */
export const WAL_KEPT_BYTES = 64 * 1024 * 1024;

/**
 * At this length of the write-ahead log's file the writer waits for read transactions to leave it, so that it can begin
 * anew. Stops it from growing for ever where some read is always under way.
 */
export const WAL_MAX_BYTES = 96 * 1024 * 1024;

/** How long the writer waits for read transactions to leave a write-ahead log that is too long. */
const WAL_WAIT_MS = 200;

/**
 * Empties a write-ahead log that has become too long. Throws when the database cannot be used.
 *
 * @param wal The path of the log's file.
 */
export function shortenWal({ db, wal }: { readonly db: Database.Database; readonly wal: string }): void {
  if (statSync(wal).size < WAL_MAX_BYTES) return;
  db.pragma(`busy_timeout = ${WAL_WAIT_MS}`);
  db.pragma('wal_checkpoint(TRUNCATE)');
  db.pragma('busy_timeout = 0');
}
