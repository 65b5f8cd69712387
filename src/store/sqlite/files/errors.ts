import Database from 'better-sqlite3';
import { StoreError, type StoreErrorKind } from '../../store.ts';

/** What SQLite's result codes mean, for readers of the service's log (https://www.sqlite.org/rescode.html). */
const SQLITE_SENTENCES: Readonly<Record<string, string>> = {
  SQLITE_BUSY: 'another process kept the database locked for too long',
  SQLITE_LOCKED: 'another process kept the database locked for too long',
  SQLITE_PROTOCOL: 'another process kept the database locked for too long',
  SQLITE_FULL: 'the disk, or the quota on it, is full',
  SQLITE_READONLY: 'the database file or its folder cannot be written to',
  SQLITE_PERM: 'the database file or its folder may not be used by this user',
  SQLITE_CANTOPEN: 'the database file cannot be opened: its folder must exist, and this user must be able to write there',
  SQLITE_CORRUPT: 'the database file is damaged: stop Tidings and restore a copy',
  SQLITE_NOTADB: 'the file is not a SQLite database',
  SQLITE_IOERR: 'the disk reported an error',
  SQLITE_NOMEM: 'there is not enough memory',
  // The row is not the reason: the head row and the messages disagree.
  SQLITE_CONSTRAINT_PRIMARYKEY: 'the database file is damaged: the log holds numbers beyond its head',
};

/** Codes of errors that one row of the request causes (invariant 13). */
const SQLITE_ROW_CODES = new Set(['SQLITE_TOOBIG', 'SQLITE_CONSTRAINT', 'SQLITE_MISMATCH', 'SQLITE_RANGE']);

/** Codes of errors that the connection itself may cause. It is closed, and the next call connects again. */
const SQLITE_CONNECTION_CODES = new Set(['SQLITE_READONLY', 'SQLITE_CANTOPEN', 'SQLITE_CORRUPT', 'SQLITE_NOTADB', 'SQLITE_IOERR', 'SQLITE_NOMEM']);

/** Codes of a `DamageError`. */
const SQLITE_DAMAGE_CODES = new Set(['SQLITE_CORRUPT', 'SQLITE_NOTADB', 'SQLITE_IOERR']);

/** Stored bytes cannot be read. While that lasts, the store acknowledges nothing (sqlite.ts). */
export class DamageError extends StoreError {
  constructor(message: string, cause?: unknown) {
    super('unavailable', message, cause);
  }
}

/** The name of the write-ahead log, or of its index, does not stand for the open file any more. A new connection makes a new file. */
export class LostFileError extends StoreError {
  readonly which: 'wal' | 'index';

  constructor(message: string, which: 'wal' | 'index') {
    super('unavailable', message);
    this.which = which;
  }
}

/** The name of the database file does not stand for the open file any more. */
export class ReplacedError extends StoreError {
  constructor(message: string) {
    super('unavailable', message);
  }
}

/** Explains an error before the COMMIT, so that nothing was stored. @param other The kind of an error that SQLite did not report. */
export function toStoreError(error: unknown, other: StoreErrorKind): StoreError {
  if (error instanceof StoreError) return error;
  const code = codeOf(error);
  const text = error instanceof Error ? error.message : String(error);
  if (code === undefined) return new StoreError(other, `the database could not be used: ${text}`, error);
  const sentence = SQLITE_SENTENCES[code] ?? SQLITE_SENTENCES[primary(code)];
  if (sentence === undefined && SQLITE_ROW_CODES.has(primary(code))) return new StoreError('refused', `the database refused a row (${code}: ${text})`, error);
  const complaint = `${sentence ?? 'the database could not be used'} (${code}: ${text})`;
  return SQLITE_DAMAGE_CODES.has(primary(code)) ? new DamageError(complaint, error) : new StoreError('unavailable', complaint, error);
}

/**
 * If the COMMIT fails with one of these codes, nothing was stored (invariant 1). The last frame of a transaction in the write-ahead log commits it. SQLite
 * reports these errors before that frame is complete, and rolls back. After any other code, that frame may be in the file:
 * - IOERR: the sync failed, or the index of the write-ahead log could not be extended. This process overwrites the frame later, but a recovery after a crash may find it.
 * - NOMEM, CANTOPEN, PROTOCOL, READONLY, CORRUPT and the rest: SQLite updates the index after it has written the frame, and that may fail with these codes.
 */
const SQLITE_NOTHING_STORED: Readonly<Record<string, string>> = {
  SQLITE_BUSY: 'a lock was missing, before anything was written',
  SQLITE_LOCKED: 'a lock was missing, before anything was written',
  SQLITE_CONSTRAINT: 'a deferred constraint was violated, before anything was written',
  SQLITE_FULL: 'the frame found no place: where the sync finds out, the code is IOERR',
  SQLITE_INTERRUPT: 'the statement was interrupted, before anything was written',
};

/** Explains an error of the COMMIT itself. */
export function toCommitError(error: unknown): StoreError {
  const failure = toStoreError(error, 'outcome-unknown');
  const code = codeOf(error);
  if (code !== undefined && primary(code) in SQLITE_NOTHING_STORED) return failure;
  return new StoreError('outcome-unknown', `the commit failed half-way: ${failure.message}`, error);
}

/** Explains an error after the COMMIT. */
export function toUnknownError(error: unknown): StoreError {
  const failure = toStoreError(error, 'outcome-unknown');
  return new StoreError('outcome-unknown', `committed, but it may be lost: ${failure.message}`, failure);
}

/** Whether another process had the lock. */
export function isBusy(error: unknown): boolean {
  const code = codeOf(error);
  return code !== undefined && SQLITE_SENTENCES[primary(code)] === SQLITE_SENTENCES['SQLITE_BUSY'];
}

/** Whether the connection itself may be the reason for an error. */
export function isOfConnection(error: unknown): boolean {
  const code = codeOf(error);
  return code !== undefined && SQLITE_CONNECTION_CODES.has(primary(code));
}

/** The `LostFileError` in an error or its causes. */
export function lostFile(error: unknown): LostFileError | undefined {
  if (error instanceof LostFileError) return error;
  return error instanceof StoreError && error.cause !== undefined ? lostFile(error.cause) : undefined;
}

/** SQLite's code in an error or its causes. */
function codeOf(error: unknown): string | undefined {
  if (error instanceof Database.SqliteError) return error.code;
  return error instanceof Error && error.cause !== undefined ? codeOf(error.cause) : undefined;
}

/** The primary code of an extended one: SQLITE_IOERR of SQLITE_IOERR_FSYNC. */
function primary(code: string): string {
  return code.split('_', 2).join('_');
}
