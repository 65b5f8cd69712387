import { realpathSync, statSync } from 'node:fs';
import Database from 'better-sqlite3';
import { StoreError } from '../store.ts';
import { isBusy, toCommitError, toStoreError } from './errors.ts';
import { CHECKPOINT_PAGES, WAL_KEPT_BYTES } from './write-ahead-log.ts';

/** Which file a name stood for: device and inode. */
export type FileIdentity = string;

/** What a worker reads and writes the database through, and the file that it has open. */
export interface SqliteConnection {
  readonly db: Database.Database;
  readonly file: string;
  readonly identity: FileIdentity;
  /** The write-ahead log: it lies beside the file itself, where `file` is a link. */
  readonly wal: string;
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

const REPLACED = 'was replaced or removed while in use; restart Tidings when the new file is complete';

/**
 * Opens the database. With `expected`, only if the name still stands for that file: a worker that starts again must
 * not go on in a copy that someone is still restoring.
 */
export function connect(file: string, deadline: number, expected?: FileIdentity): SqliteConnection {
  if (expected !== undefined) check(file, expected);
  if (statSync(file, { throwIfNoEntry: false })?.isDirectory() === true) throw new StoreError('unavailable', `${file} is a folder; it must be a file, or a name where one can be made`);
  const db = new Database(file, { timeout: 0, fileMustExist: expected !== undefined });
  try {
    const identity = identityOf(file);
    if (identity === undefined || (expected !== undefined && identity !== expected)) throw replaced(file);
    const mode = patiently(deadline, () => db.pragma('journal_mode = WAL', { simple: true }));
    if (mode !== 'wal') throw new StoreError('unavailable', `SQLite cannot keep a write-ahead log beside ${file}: the file must be on a local disk`);
    // Invariant 1: the driver's default in WAL mode leaves the last commits to a power cut.
    db.pragma('synchronous = FULL');
    // macOS: fsync alone does not reach the disk there.
    db.pragma('fullfsync = ON');
    db.pragma('checkpoint_fullfsync = ON');
    db.pragma(`wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
    db.pragma(`journal_size_limit = ${WAL_KEPT_BYTES}`);
    db.pragma(`cache_size = -${CACHE_KIB}`);
    return {
      db,
      file,
      identity,
      wal: `${realpathSync(file)}-wal`,
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
 * One write transaction under the database's write lock, waiting for it until `deadline`. An error before the COMMIT
 * leaves nothing in the database; an error of the COMMIT says itself what is known.
 */
export function writeTransaction<T>(sqliteConnection: SqliteConnection, deadline: number, body: () => T): T {
  check(sqliteConnection.file, sqliteConnection.identity);
  patiently(deadline, () => sqliteConnection.beginImmediate.run());
  let result: T;
  try {
    result = body();
  } catch (error) {
    rollBack(sqliteConnection);
    throw error;
  }
  try {
    sqliteConnection.commit.run();
  } catch (error) {
    rollBack(sqliteConnection);
    throw toCommitError(error);
  }
  if (identityOf(sqliteConnection.file) !== sqliteConnection.identity) throw new StoreError('outcome-unknown', `the database file ${sqliteConnection.file} ${REPLACED}`);
  return result;
}

/** One read transaction: everything that `body` reads is from one snapshot, taken after the call. */
export function readTransaction<T>(sqliteConnection: SqliteConnection, deadline: number, body: () => T): T {
  check(sqliteConnection.file, sqliteConnection.identity);
  return patiently(deadline, () => {
    sqliteConnection.begin.run();
    try {
      return body();
    } finally {
      rollBack(sqliteConnection);
    }
  });
}

/** Ends a transaction without a trace. SQLite has done so itself after some errors. */
function rollBack(sqliteConnection: SqliteConnection): void {
  if (!sqliteConnection.db.inTransaction) return;
  try {
    sqliteConnection.rollback.run();
  } catch {
    // Closing rolls back too, and the worker connects anew for the next call. The first error is the one to tell.
    sqliteConnection.db.close();
  }
}

/** Milliseconds of a clock that all threads share and that nobody sets. */
export function monotonic(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

const gate = new Int32Array(new SharedArrayBuffer(4));

/** Tries again while another process holds the lock. Blocks the thread: for workers only. */
function patiently<T>(deadline: number, attempt: () => T): T {
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

export function isInPlace({ file, identity }: SqliteConnection): boolean {
  return identityOf(file) === identity;
}

function check(file: string, identity: FileIdentity): void {
  if (identityOf(file) !== identity) throw replaced(file);
}

function replaced(file: string): StoreError {
  return new StoreError('unavailable', `the database file ${file} ${REPLACED}`);
}

function identityOf(file: string): FileIdentity | undefined {
  const stat = statSync(file, { bigint: true, throwIfNoEntry: false });
  return stat === undefined ? undefined : `${stat.dev}:${stat.ino}`;
}
