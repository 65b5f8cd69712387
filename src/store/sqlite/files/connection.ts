import Database from 'better-sqlite3';
import { StoreError } from '../../store.ts';
import { checkBeforeOpening, DatabaseFiles, makePrivate, shutOthersOut, type FileIdentity, type SideIdentities } from './database-files.ts';
import { isBusy, toCommitError, toStoreError, toUnknownError } from './errors.ts';
import { SECURE_DELETE_USUALLY } from './secure-delete.ts';
import { CHECKPOINT_PAGES, WAL_KEPT_BYTES } from './write-ahead-log.ts';

/**
 * The room `sqlite/files` opens the database file and keeps it whole. A path comes in; a connection goes out, or a `StoreError` that says what to do.
 * Read it in this order: this file (connect, transactions); `database-files.ts` (somebody removed, replaced or cut a file); `write-ahead-log.ts`;
 * `errors.ts` (was something stored?); `schema.ts`, `migrate.ts`; `log-state.ts` (the rows that describe the log).
 */

/** A connection to the database, the files that it has open, and the statements of its transactions. */
export interface SqliteConnection {
  readonly db: Database.Database;
  readonly files: DatabaseFiles;
  readonly begin: Database.Statement;
  readonly beginImmediate: Database.Statement;
  readonly commit: Database.Statement;
  readonly rollback: Database.Statement;
}

/** The most memory for the pages of one connection. Enough for the upper pages of the indexes of a few million messages. */
const CACHE_KIB = 32_768;

/**
 * The bounds of the pause between two attempts at a lock. SQLite's own pause grows to 100 ms. With that, a waiting process would hardly ever try in the short
 * gap between two commits of a busy process.
 */
const LOCK_RETRY_MIN_MS = 1;
const LOCK_RETRY_MAX_MS = 5;

export interface ConnectOptions {
  /** The only file that may be opened. A worker that boots again must not use a copy that somebody is still restoring. */
  readonly expected?: FileIdentity | undefined;
  /** The files that another connection of this process has open. */
  readonly inUse?: SideIdentities | undefined;
  /** Called before anything in the file is changed. Throws if the file must not be changed. */
  readonly inspect?: (db: Database.Database) => void;
}

/** Opens the database. Makes a new one if the file is missing and `expected` is undefined. */
export function connect(file: string, deadline: number, { expected, inUse, inspect = () => undefined }: ConnectOptions): SqliteConnection {
  checkBeforeOpening(file, expected, inUse);
  if (expected === undefined) makePrivate(file);
  const db = new Database(file, { timeout: 0, fileMustExist: expected !== undefined });
  try {
    patiently(deadline, () => inspect(db));
    const mode = patiently(deadline, () => db.pragma('journal_mode = WAL', { simple: true }));
    if (mode !== 'wal') throw new StoreError('unavailable', `SQLite cannot keep a write-ahead log beside ${file}: the file must be on a local disk`);
    // Invariant 1: with the driver's default for WAL mode, a power cut could lose the last commits.
    db.pragma('synchronous = FULL');
    // On macOS, fsync alone does not reach the disk.
    db.pragma('fullfsync = ON');
    db.pragma('checkpoint_fullfsync = ON');
    db.pragma(SECURE_DELETE_USUALLY);
    db.pragma(`wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
    db.pragma(`journal_size_limit = ${WAL_KEPT_BYTES}`);
    db.pragma(`cache_size = -${CACHE_KIB}`);
    // A first read makes the write-ahead log and its index, if they are missing.
    patiently(deadline, () => db.pragma('schema_version'));
    shutOthersOut(file);
    // Check once more: somebody may have replaced the file meanwhile.
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
 * Closes a connection. SQLite's last connection to a file makes a checkpoint by its index and removes the write-ahead log. If other processes use a new
 * index, they may have restarted the write-ahead log, and that checkpoint would damage the file. So this opens a read-only connection and closes it last:
 * such a connection changes nothing.
 */
export function disconnect({ db, files }: SqliteConnection): void {
  let last: Database.Database | undefined;
  try {
    if (db.open && files.isIndexReplaced) last = new Database(db.name, { readonly: true, fileMustExist: true, timeout: 0 });
    last?.pragma('schema_version');
  } catch {
    // The file cannot be opened now. Close the connection anyway, or no thread could connect again.
  } finally {
    db.close();
    last?.close();
  }
}

/**
 * Runs one write transaction. Waits for the write lock until `deadline`. After an error before the COMMIT nothing is stored; an error of the COMMIT tells in
 * its kind whether that is certain.
 *
 * @param body May run twice: if the write-ahead log became shorter meanwhile, its first work is rolled back.
 */
export function writeTransaction<T>(sqliteConnection: SqliteConnection, deadline: number, body: () => T): T {
  const { files } = sqliteConnection;
  let result = beginWriting(sqliteConnection, deadline, body);
  if (files.isWalShorter) {
    // A checkpoint of another process has restarted the write-ahead log, or somebody has cut it. `compareWal` throws if it was cut.
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
    files.verify();
  } catch (error) {
    throw toUnknownError(error);
  }
  return result;
}

/** A write transaction up to its COMMIT. It ends with a look at the files, because after a commit a write-ahead log that was cut would seem whole. */
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

/** Runs one read transaction. Everything that `body` reads is from one snapshot, which is not older than the call. */
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
  // Check the files after the read, and throw if somebody replaced them meanwhile: the rows may be from the old file.
  files.verify();
  return result;
}

/** Rolls a transaction back. After some errors SQLite has done so itself. */
function rollBack(sqliteConnection: SqliteConnection): void {
  if (!sqliteConnection.db.inTransaction) return;
  try {
    sqliteConnection.rollback.run();
  } catch {
    // Ignore this error: the caller throws the first one. Closing rolls back, too, and the next call connects again.
    sqliteConnection.db.close();
  }
}

/** A clock that all threads share and that nobody can set, in milliseconds. */
export function monotonic(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** Nobody wakes a wait on it, so `Atomics.wait` sleeps. */
const gate = new Int32Array(new SharedArrayBuffer(4));

/** Repeats an attempt until `deadline` while another process has the lock. Blocks the thread, so only workers and commands may call it. */
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
