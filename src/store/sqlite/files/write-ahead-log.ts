import type Database from 'better-sqlite3';
import type { DatabaseFiles } from './database-files.ts';
import { lostFile, ReplacedError } from './errors.ts';

/** A commit makes a checkpoint when the write-ahead log has this many pages (32 MB): it copies them into the database file. Fewer pages would cost more syncs. */
export const CHECKPOINT_PAGES = 8000;

/**
 * After a burst, SQLite cuts the file of the write-ahead log to this size. Usual traffic needs less, so the file seldom grows again: growth would cost syncs
 * of the file system's own records.
 */
export const WAL_KEPT_BYTES = 64 * 1024 * 1024;

/**
 * At this length of the write-ahead log the writer waits for all read transactions to end, and empties it. Stops the log from growing for ever if at every
 * moment some read is under way.
 */
export const WAL_MAX_BYTES = 96 * 1024 * 1024;

/** How long to wait for read transactions before the write-ahead log is emptied or rescued. */
const WAL_WAIT_MS = 200;

/** After a wait in vain, the log must grow by this factor before the writer waits again. Stops a long read, such as a backup, from delaying each commit. */
const WAL_WAIT_FACTOR = 1.5;

/** A write-ahead log of this length shows a long read: the writer has waited in vain at least once. */
export const WAL_HELD_BYTES = WAL_MAX_BYTES * WAL_WAIT_FACTOR;

/** Empties the write-ahead log when it is too long. */
export class WalShortener {
  /** The length at which it waits next. */
  #waitsAtBytes = WAL_MAX_BYTES;

  /** Call it after a commit. Throws if the database cannot be used. */
  shorten({ db, files }: { readonly db: Database.Database; readonly files: DatabaseFiles }): void {
    if (files.walBytes < WAL_MAX_BYTES) this.#waitsAtBytes = WAL_MAX_BYTES;
    if (files.walBytes < this.#waitsAtBytes) return;
    if (!truncateWal({ db, files })) this.#waitsAtBytes = files.walBytes * WAL_WAIT_FACTOR;
  }
}

/** Empties the write-ahead log now. Returns false if a read or a write of another connection prevents it. */
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
    // Do not copy the log into a file that took the old one's place, nor from a log that was cut. Earlier jobs have reported this error.
    if (lostFile(error)?.which === 'wal') rescueWal({ db, files });
    else if (error instanceof ReplacedError) files.setWalAside();
    return;
  }
  db.pragma('wal_checkpoint(TRUNCATE)');
}

/**
 * Copies the commits of a write-ahead log that was removed (unlinked) into the database file. Only processes that have it open can still read it. If a read
 * transaction prevents a part of the copy, another of these processes copies the rest when it closes the file.
 */
export function rescueWal({ db, files }: { readonly db: Database.Database; readonly files: DatabaseFiles }): void {
  if (files.isIndexReplaced) return;
  waitingBriefly(db, () => db.pragma('wal_checkpoint(FULL)'));
}

/** Runs an action for which SQLite waits up to WAL_WAIT_MS for other connections. */
function waitingBriefly(db: Database.Database, action: () => unknown): void {
  db.pragma(`busy_timeout = ${WAL_WAIT_MS}`);
  try {
    action();
  } finally {
    db.pragma('busy_timeout = 0');
  }
}
