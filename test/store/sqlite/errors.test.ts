import Database from 'better-sqlite3';
import t from 'tap';
import { toCommitError, toStoreError } from '../../../src/store/sqlite/files/errors.ts';
import type { StoreErrorKind } from '../../../src/store/store.ts';

/** Every primary result code of SQLite that is an error, and some extended ones (https://www.sqlite.org/rescode.html): what it is before the COMMIT, and of the COMMIT itself. */
const CODES: Readonly<Record<string, readonly [StoreErrorKind, StoreErrorKind]>> = {
  SQLITE_ABORT: ['unavailable', 'outcome-unknown'],
  SQLITE_AUTH: ['unavailable', 'outcome-unknown'],
  SQLITE_BUSY: ['unavailable', 'unavailable'],
  SQLITE_BUSY_RECOVERY: ['unavailable', 'unavailable'],
  SQLITE_BUSY_SNAPSHOT: ['unavailable', 'unavailable'],
  SQLITE_CANTOPEN: ['unavailable', 'outcome-unknown'],
  SQLITE_CONSTRAINT: ['refused', 'refused'],
  SQLITE_CONSTRAINT_FOREIGNKEY: ['refused', 'refused'],
  SQLITE_CONSTRAINT_PRIMARYKEY: ['unavailable', 'unavailable'],
  SQLITE_CORRUPT: ['unavailable', 'outcome-unknown'],
  SQLITE_EMPTY: ['unavailable', 'outcome-unknown'],
  SQLITE_ERROR: ['unavailable', 'outcome-unknown'],
  SQLITE_FORMAT: ['unavailable', 'outcome-unknown'],
  SQLITE_FULL: ['unavailable', 'unavailable'],
  SQLITE_INTERNAL: ['unavailable', 'outcome-unknown'],
  SQLITE_INTERRUPT: ['unavailable', 'unavailable'],
  SQLITE_IOERR: ['unavailable', 'outcome-unknown'],
  SQLITE_IOERR_FSYNC: ['unavailable', 'outcome-unknown'],
  SQLITE_IOERR_SHMMAP: ['unavailable', 'outcome-unknown'],
  SQLITE_IOERR_SHMSIZE: ['unavailable', 'outcome-unknown'],
  SQLITE_IOERR_WRITE: ['unavailable', 'outcome-unknown'],
  SQLITE_LOCKED: ['unavailable', 'unavailable'],
  SQLITE_MISMATCH: ['refused', 'outcome-unknown'],
  SQLITE_MISUSE: ['unavailable', 'outcome-unknown'],
  SQLITE_NOLFS: ['unavailable', 'outcome-unknown'],
  SQLITE_NOMEM: ['unavailable', 'outcome-unknown'],
  SQLITE_NOTADB: ['unavailable', 'outcome-unknown'],
  SQLITE_NOTFOUND: ['unavailable', 'outcome-unknown'],
  SQLITE_PERM: ['unavailable', 'outcome-unknown'],
  SQLITE_PROTOCOL: ['unavailable', 'outcome-unknown'],
  SQLITE_RANGE: ['refused', 'outcome-unknown'],
  SQLITE_READONLY: ['unavailable', 'outcome-unknown'],
  SQLITE_SCHEMA: ['unavailable', 'outcome-unknown'],
  SQLITE_TOOBIG: ['refused', 'outcome-unknown'],
};

t.test('only codes that prove it say that a COMMIT stored nothing', async (t) => {
  for (const [code, kinds] of Object.entries(CODES)) {
    const error = new Database.SqliteError('something', code);
    t.same([toStoreError(error, 'refused').kind, toCommitError(error).kind], kinds, code);
  }
  t.equal(toCommitError(new Error('not of SQLite')).kind, 'outcome-unknown');
});
