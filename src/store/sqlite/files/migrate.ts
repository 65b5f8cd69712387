import { closeSync, existsSync, fsyncSync, mkdirSync, openSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type Database from 'better-sqlite3';
import { refuseLevel, UNDERSTOOD_LEVEL, type Migrated } from '../../level.ts';
import { foreignDatabase, missingMigrations, type AppliedMigration } from '../../migrations.ts';
import { StoreError } from '../../store.ts';
import { connect, monotonic, writeTransaction } from './connection.ts';
import { toStoreError } from './errors.ts';

/** How long `migrate` waits for another process to release the database. */
const MIGRATE_WAIT_MS = 30_000;

/**
 * Applies the missing migrations for the command line. It begins no epoch. Makes a missing file, but no missing folder, so that a mistyped path is noticed.
 * Blocks the thread. Throws a `StoreError`; then it has changed nothing.
 *
 * @param isRaising Whether to raise the level of the log to `UNDERSTOOD_LEVEL` (level.ts).
 */
export function migrate(file: string, { isRaising = false }: { readonly isRaising?: boolean } = {}): Migrated {
  const folder = dirname(resolve(file));
  if (!existsSync(folder)) throw new StoreError('unavailable', `there is no folder ${folder}: make it, or correct DATABASE_URL`);
  return write(file, (db) => {
    const isNew = appliedMigrations(db).length === 0;
    const applied = applyMigrations(db);
    const level = db.prepare<[], number>('SELECT level FROM head').pluck().get();
    if (level !== undefined) refuseLevel(level);
    if (!isRaising || level === undefined || level === UNDERSTOOD_LEVEL) return { applied, isNew, level, raisedFrom: undefined };
    db.prepare('UPDATE head SET level = ?').run(UNDERSTOOD_LEVEL);
    return { applied, isNew, level: UNDERSTOOD_LEVEL, raisedFrom: level };
  });
}

function write<Result>(file: string, work: (db: Database.Database) => Result): Result {
  try {
    const sqliteConnection = connect(resolve(file), monotonic() + MIGRATE_WAIT_MS, { inspect: refuseForeign });
    try {
      return writeTransaction(sqliteConnection, monotonic() + MIGRATE_WAIT_MS, () => work(sqliteConnection.db));
    } finally {
      sqliteConnection.db.close();
    }
  } catch (error) {
    throw toStoreError(error, 'unavailable');
  }
}

/**
 * Applies the missing migrations, inside the caller's write transaction. drizzle's own `migrate` reads its record before its transaction begins, so two
 * processes that start at the same time would both apply the first migration. The record is in drizzle's table, so drizzle's tools still work.
 */
export function applyMigrations(db: Database.Database): number {
  db.exec('CREATE TABLE IF NOT EXISTS "__drizzle_migrations" (id SERIAL PRIMARY KEY, hash text NOT NULL, created_at numeric, compatible numeric)');
  const missing = missingMigrations('sqlite', appliedMigrations(db));
  if (missing.length === 0) return 0;
  if (!remembersCompatible(db)) db.exec('ALTER TABLE "__drizzle_migrations" ADD COLUMN compatible numeric');
  const record = db.prepare('INSERT INTO "__drizzle_migrations" ("hash", "created_at", "compatible") VALUES (?, ?, ?)');
  for (const { statements, hash, version, compatible } of missing) {
    for (const statement of statements) db.exec(statement);
    record.run(hash, version, compatible);
  }
  return missing.length;
}

/** Throws if another program made the tables of the file, or a newer version changed them so that this program cannot use them. */
export function refuseForeign(db: Database.Database): void {
  // Read both in one transaction. Otherwise another process could make this log between them, and its tables would look like those of another program.
  db.transaction(() => {
    const applied = appliedMigrations(db);
    if (applied.length === 0 && db.prepare("SELECT 1 FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'").get() !== undefined) throw foreignDatabase();
    missingMigrations('sqlite', applied);
  })();
}

/** The migrations that were applied to a database; none if Tidings did not make its tables. */
export function appliedMigrations(db: Database.Database): AppliedMigration[] {
  if (db.prepare("SELECT 1 FROM sqlite_master WHERE name = '__drizzle_migrations'").get() === undefined) return [];
  const rows = db.prepare<[], { created_at: number; compatible?: number | null }>('SELECT * FROM "__drizzle_migrations"').all();
  return rows.map(({ created_at: version, compatible }) => ({ version, compatible: compatible ?? undefined }));
}

/** The first versions of Tidings made the table without this column. */
function remembersCompatible(db: Database.Database): boolean {
  return db.prepare("SELECT 1 FROM pragma_table_info('__drizzle_migrations') WHERE name = 'compatible'").get() !== undefined;
}

/** Makes the folder of the database, and syncs the names of new folders. Otherwise a power cut could remove the folder with a stored log. */
export function makeFolder(file: string): void {
  const folder = dirname(resolve(file));
  let first: string | undefined;
  try {
    first = mkdirSync(folder, { recursive: true });
  } catch (error) {
    throw new StoreError('unavailable', `the database file needs a folder that cannot be made: ${error instanceof Error ? error.message : String(error)}`, error);
  }
  if (first === undefined) return;
  for (let made = folder; made.length >= first.length; made = dirname(made)) syncFolder(dirname(made));
}

/** Syncs the names in a folder. */
export function syncFolder(folder: string): void {
  // Windows cannot open folders, and needs no sync for them.
  if (process.platform === 'win32') return;
  const descriptor = openSync(folder, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
