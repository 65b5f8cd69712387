import type Database from 'better-sqlite3';
import type { DatabaseFiles } from './database-files.ts';
import { lostFile, ReplacedError } from './errors.ts';

/** Pages in the write-ahead log at which a commit copies them into the database: 32 MB. Fewer would mean more syncs. */
export const CHECKPOINT_PAGES = 8000;

/**
 * The size to which a burst's write-ahead log is cut. Larger than usual traffic needs: each time a file grows again, the file system syncs its own records.
 */
export const WAL_KEPT_BYTES = 64 * 1024 * 1024;

/**
 * At this length of the write-ahead log's file the writer waits for read transactions to leave it, so that it can begin
 * again. Stops it from growing for ever where some read is always under way.
 */
export const WAL_MAX_BYTES = 96 * 1024 * 1024;

/** How long is waited for read transactions to leave a write-ahead log that is too long, or lost. */
const WAL_WAIT_MS = 200;

/** How many times longer the file has to be after a wait in vain before the writer waits again. Stops a reader that stays, such as a backup, from delaying each commit. */
const WAL_WAIT_FACTOR = 1.5;

/** From this length of the write-ahead log's file on, some reader stays: the writer has waited in vain. */
export const WAL_HELD_BYTES = WAL_MAX_BYTES * WAL_WAIT_FACTOR;

/** Empties a write-ahead log that has become too long. */
export class WalShortener {
  #waitsAtBytes = WAL_MAX_BYTES;

  /** Throws when the database cannot be used. */
  shorten({ db, files }: { readonly db: Database.Database; readonly files: DatabaseFiles }): void {
    if (files.walBytes < WAL_MAX_BYTES) this.#waitsAtBytes = WAL_MAX_BYTES;
    if (files.walBytes < this.#waitsAtBytes) return;
    if (!truncateWal({ db, files })) this.#waitsAtBytes = files.walBytes * WAL_WAIT_FACTOR;
  }
}

/** Empties the write-ahead log now. Returns false if a reader or writer holds it up. */
export function truncateWal({ db, files }: { readonly db: Database.Database; readonly files: DatabaseFiles }): boolean {
  let isDone = false;
  waitingBriefly(db, () => {
    const [result] = db.pragma('wal_checkpoint(TRUNCATE)') as { readonly busy: number }[];
    isDone = result?.busy === 0;
  });
  files.compareWal();
  return isDone;
}

/** Empties the write-ahead log before its connection is closed. */
export function emptyWal({ db, files }: { readonly db: Database.Database; readonly files: DatabaseFiles }): void {
  try {
    files.compareWal();
  } catch (error) {
    // Not for a file that took the old one's place, and not from a write-ahead log that was cut. The jobs before have reported it.
    if (lostFile(error)?.which === 'wal') rescueWal({ db, files });
    else if (error instanceof ReplacedError) files.setWalAside();
    return;
  }
  db.pragma('wal_checkpoint(TRUNCATE)');
}

/**
 * Copies the commits of an unlinked write-ahead log into the database. Only the processes that have it open can still read it.
 * A read transaction may prevent part of the copy; the process that closes the file later copies the rest.
 */
export function rescueWal({ db, files }: { readonly db: Database.Database; readonly files: DatabaseFiles }): void {
  if (files.isIndexReplaced) return;
  waitingBriefly(db, () => db.pragma('wal_checkpoint(FULL)'));
}

function waitingBriefly(db: Database.Database, action: () => unknown): void {
  db.pragma(`busy_timeout = ${WAL_WAIT_MS}`);
  try {
    action();
  } finally {
    db.pragma('busy_timeout = 0');
  }
}
