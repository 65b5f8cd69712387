import Database from 'better-sqlite3';
import pg from 'pg';
import t from 'tap';
import { failureReason } from '../../src/store/failure-reason.ts';
import { refuseLevel } from '../../src/store/level.ts';
import { foreignDatabase, missingMigrations } from '../../src/store/migrations.ts';
import { toStoreError as fromPostgres } from '../../src/store/postgres/connection/errors.ts';
import { toStoreError as fromSqlite, toUnknownError } from '../../src/store/sqlite/files/errors.ts';

/** Errors as the stores make them. What a process then shows is in test/wire/operations.test.ts, test/fleet/rolling.test.ts and test/stream/failures.test.ts. */

function thrown(run: () => unknown): Error {
  try {
    run();
  } catch (error) {
    return error as Error;
  }
  throw new Error('nothing was thrown');
}

t.test('each failure of a database has its word', async (t) => {
  const newer = Date.now() + 1_000_000_000_000;
  const known = missingMigrations('sqlite', []).map(({ version }) => ({ version, compatible: version }));
  t.equal(failureReason(thrown(() => refuseLevel(1_000)).message), 'level');
  t.equal(failureReason(thrown(() => missingMigrations('sqlite', [...known, { version: newer, compatible: newer }])).message), 'schema');
  t.equal(failureReason(foreignDatabase().message), 'foreign');
  for (const [reason, codes] of [
    ['damaged', 'SQLITE_CORRUPT SQLITE_NOTADB SQLITE_IOERR_READ SQLITE_CONSTRAINT_PRIMARYKEY'], ['full', 'SQLITE_FULL'], ['locked', 'SQLITE_BUSY SQLITE_LOCKED SQLITE_PROTOCOL'],
    ['read-only', 'SQLITE_READONLY'], ['access', 'SQLITE_CANTOPEN SQLITE_PERM'], ['other', 'SQLITE_NOMEM'],
  ] as const) {
    for (const code of codes.split(' ')) t.equal(failureReason(fromSqlite(new Database.SqliteError('something', code), 'unavailable').message), reason, code);
  }
  t.equal(failureReason(toUnknownError(foreignDatabase()).message), 'foreign', 'after a commit, too');
  for (const [reason, codes] of [
    ['level', 'TD001'], ['damaged', '23505 58030 XX001'], ['full', '53100'], ['locked', '55P03'], ['read-only', '25006 0A000 55000'],
    ['access', '28P01 3D000 42501'], ['unreachable', '08006 57014 57P01 57P03'], ['other', '53200'],
  ] as const) {
    for (const code of codes.split(' ')) t.equal(failureReason(fromPostgres(Object.assign(new pg.DatabaseError('something', 9, 'error'), { severity: 'ERROR', code }), 'unavailable').message), reason, code);
  }
  t.equal(failureReason(fromPostgres(new Error('connect ECONNREFUSED'), 'unavailable').message), 'unreachable');
});
