import Database from 'better-sqlite3';
import { StoreError } from '../../store.ts';
import { checkBeforeOpening, DatabaseFiles, makePrivate, shutOthersOut, type FileIdentity, type SideIdentities } from './database-files.ts';
import { isBusy, toCommitError, toStoreError, toUnknownError } from './errors.ts';
import { SECURE_DELETE_USUALLY } from './secure-delete.ts';
import { CHECKPOINT_PAGES, WAL_KEPT_BYTES } from './write-ahead-log.ts';

/**
 * This room has the database file: its connection, its schema and migrations, its write-ahead log, and the errors of SQLite. A path comes in; a prepared
 * connection goes out, or a `StoreError` that says what to do.
 */

/** The connection of a worker to the database, and the files that it has open. */
export interface SqliteConnection {
  readonly db: Database.Database;
  readonly files: DatabaseFiles;
  readonly begin: Database.Statement;
  readonly beginImmediate: Database.Statement;
  readonly commit: Database.Statement;
  readonly rollback: Database.Statement;
}

/** Memory for pages of one `SqliteConnection`: room for the upper pages of the indexes of a few million messages. */
const CACHE_KIB = 32_768;

/**
 * The pause between two attempts at a lock. SQLite's own pause grows to 100 ms: then a process that waits
 * hardly ever meets the gap between two commits of a busy process.
 */
const LOCK_RETRY_MIN_MS = 1;
const LOCK_RETRY_MAX_MS = 5;

export interface ConnectOptions {
  /** The only file that may be opened. A worker that starts again must not go on in a copy that someone is still restoring. */
  readonly expected?: FileIdentity | undefined;
  /** The files that another connection of this process has open. */
  readonly inUse?: SideIdentities | undefined;
  /** Looks at the file before anything in it is changed, and throws where it must stay as it is. */
  readonly inspect?: (db: Database.Database) => void;
}

/** Opens the database, and makes a new one where none exists or is expected. */
export function connect(file: string, deadline: number, { expected, inUse, inspect = () => undefined }: ConnectOptions): SqliteConnection {
  checkBeforeOpening(file, expected, inUse);
  if (expected === undefined) makePrivate(file);
  const db = new Database(file, { timeout: 0, fileMustExist: expected !== undefined });
  try {
    patiently(deadline, () => inspect(db));
    const mode = patiently(deadline, () => db.pragma('journal_mode = WAL', { simple: true }));
    if (mode !== 'wal') throw new StoreError('unavailable', `SQLite cannot keep a write-ahead log beside ${file}: the file must be on a local disk`);
    // Invariant 1: the driver's default in WAL mode leaves the last commits to a power cut.
    db.pragma('synchronous = FULL');
    // macOS: fsync alone does not reach the disk there.
    db.pragma('fullfsync = ON');
    db.pragma('checkpoint_fullfsync = ON');
    db.pragma(SECURE_DELETE_USUALLY);
    db.pragma(`wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
    db.pragma(`journal_size_limit = ${WAL_KEPT_BYTES}`);
    db.pragma(`cache_size = -${CACHE_KIB}`);
    // Makes the write-ahead log and its index, where they are missing.
    patiently(deadline, () => db.pragma('schema_version'));
    shutOthersOut(file);
    // Once more: the file may have been exchanged meanwhile.
    checkBeforeOpening(file, expected, inUse);
    return {
      db,
      files: patiently(deadline, () => new DatabaseFiles(db, file, inUse)),
      begin: db.prepare('BEGIN'),
      beginImmediate: db.prepare('BEGIN IMMEDIATE'),
      commit: db.prepare('COMMIT'),
      rollback: db.prepare('ROLLBACK'),
    };
  } catch (error) {
    db.close();
    throw error;
  }
}

/**
 * Closes a connection. The last one to close makes a checkpoint and removes the write-ahead log. That must not happen by an index that others have
 * replaced: they may have restarted the write-ahead log. A read-only connection that closes last changes nothing.
 */
export function disconnect({ db, files }: SqliteConnection): void {
  let last: Database.Database | undefined;
  try {
    if (db.open && files.isIndexReplaced) last = new Database(db.name, { readonly: true, fileMustExist: true, timeout: 0 });
    last?.pragma('schema_version');
  } catch {
    // The file cannot be opened now. The connection must still close, or no thread could connect again.
  } finally {
    db.close();
    last?.close();
  }
}

/**
 * One write transaction under the database's write lock, waiting for it until `deadline`. An error before the COMMIT
 * leaves nothing in the database; an error of the COMMIT says itself what is known.
 *
 * @param body Runs twice where another process emptied the write-ahead log: its first work is then rolled back.
 */
export function writeTransaction<T>(sqliteConnection: SqliteConnection, deadline: number, body: () => T): T {
  const { files } = sqliteConnection;
  let result = beginWriting(sqliteConnection, deadline, body);
  if (files.isWalShorter) {
    rollBack(sqliteConnection);
    files.compareWal();
    result = beginWriting(sqliteConnection, deadline, body);
  }
  try {
    sqliteConnection.commit.run();
  } catch (error) {
    rollBack(sqliteConnection);
    throw toCommitError(error);
  }
  try {
    files.look();
    if (files.isWalShorter) files.compareWal();
    files.accept();
  } catch (error) {
    throw toUnknownError(error);
  }
  return result;
}

/** All of a write transaction but its COMMIT. The last thing is a look at the files: a commit would make a write-ahead log that was cut seem whole. */
function beginWriting<T>(sqliteConnection: SqliteConnection, deadline: number, body: () => T): T {
  patiently(deadline, () => sqliteConnection.beginImmediate.run());
  try {
    const result = body();
    sqliteConnection.files.look();
    return result;
  } catch (error) {
    rollBack(sqliteConnection);
    throw error;
  }
}

/** One read transaction: everything that `body` reads is from one snapshot, taken after the call. */
export function readTransaction<T>(sqliteConnection: SqliteConnection, deadline: number, body: () => T): T {
  const { files } = sqliteConnection;
  const result = patiently(deadline, () => {
    sqliteConnection.begin.run();
    try {
      return body();
    } finally {
      rollBack(sqliteConnection);
    }
  });
  // Afterwards: rows read from a file that was exchanged meanwhile are worth nothing.
  files.look();
  if (files.isWalShorter) files.compareWal();
  files.accept();
  return result;
}

/** Ends a transaction without a trace. SQLite has done so itself after some errors. */
function rollBack(sqliteConnection: SqliteConnection): void {
  if (!sqliteConnection.db.inTransaction) return;
  try {
    sqliteConnection.rollback.run();
  } catch {
    // Closing rolls back too, and the worker connects again for the next call. The first error is the one to tell.
    sqliteConnection.db.close();
  }
}

/** Milliseconds of a clock that all threads share and that nobody sets. */
export function monotonic(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

const gate = new Int32Array(new SharedArrayBuffer(4));

/** Tries again while another process holds the lock. Blocks the thread: for workers only. */
export function patiently<T>(deadline: number, attempt: () => T): T {
  for (;;) {
    try {
      return attempt();
    } catch (error) {
      if (!isBusy(error)) throw error;
      if (monotonic() >= deadline) throw toStoreError(error, 'unavailable');
      Atomics.wait(gate, 0, 0, LOCK_RETRY_MIN_MS + Math.random() * (LOCK_RETRY_MAX_MS - LOCK_RETRY_MIN_MS));
    }
  }
}
