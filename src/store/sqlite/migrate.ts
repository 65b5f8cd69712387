import { closeSync, fsyncSync, mkdirSync, openSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type Database from 'better-sqlite3';
import { missingMigrations } from '../migrations.ts';
import { connect, monotonic, writeTransaction } from './connection.ts';
import { toStoreError } from './errors.ts';

/** How long `migrate` waits for another process to let go of the database. */
const MIGRATE_WAIT_MS = 30_000;

/**
 * Brings the schema of a database file up to date, without beginning an epoch; creates file and folder where they are
 * missing. Blocks the thread: for the command line. Answers with the number of migrations applied; throws a `StoreError`.
 */
export function migrate(file: string): number {
  try {
    makeFolder(file);
    const sqliteConnection = connect(resolve(file), monotonic() + MIGRATE_WAIT_MS);
    try {
      return writeTransaction(sqliteConnection, monotonic() + MIGRATE_WAIT_MS, () => applyMigrations(sqliteConnection.db));
    } finally {
      sqliteConnection.db.close();
    }
  } catch (error) {
    throw toStoreError(error, 'unavailable');
  }
}

/**
 * Applies what is missing, inside the caller's write transaction. drizzle's own `migrate` reads what was applied before
 * its transaction begins, so that two processes that start at once both apply the first; its table is kept.
 */
export function applyMigrations(db: Database.Database): number {
  db.exec('CREATE TABLE IF NOT EXISTS "__drizzle_migrations" (id SERIAL PRIMARY KEY, hash text NOT NULL, created_at numeric)');
  const newest = db.prepare<[], number | null>('SELECT max(created_at) FROM "__drizzle_migrations"').pluck().get();
  const missing = missingMigrations('sqlite', Number(newest ?? 0));
  const record = db.prepare('INSERT INTO "__drizzle_migrations" ("hash", "created_at") VALUES (?, ?)');
  for (const migration of missing) {
    for (const statement of migration.sql) db.exec(statement);
    record.run(migration.hash, migration.folderMillis);
  }
  return missing.length;
}

/** Makes the database's folder, and makes it last: a power cut must not take the folder away from under what was stored. */
export function makeFolder(file: string): void {
  const folder = dirname(resolve(file));
  const first = mkdirSync(folder, { recursive: true });
  if (first === undefined) return;
  for (let made = folder; made.length >= first.length; made = dirname(made)) syncFolder(dirname(made));
}

function syncFolder(folder: string): void {
  // Windows cannot open folders, and needs no sync for them.
  if (process.platform === 'win32') return;
  const descriptor = openSync(folder, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
