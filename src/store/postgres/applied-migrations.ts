import { missingMigrations, type AppliedMigration, type Migration } from '../migrations.ts';
import type { Row } from './connection/connection.ts';
import { literal } from './connection/literals.ts';
import { TRANSACTION_SETTINGS } from './connection/transaction-settings.ts';

/** The advisory lock that every migration takes, so that one instance migrates and the others wait: the word as a number. */
const MIGRATION_LOCK = Buffer.from('tidings\0').readBigInt64BE();

/** Sends SQL over one connection. */
export type Ask = (text: string) => Promise<readonly Row[]>;

/** Begins a transaction under the lock. */
export async function beginMigration(ask: Ask): Promise<void> {
  await ask(`BEGIN; ${TRANSACTION_SETTINGS}, pg_advisory_xact_lock(${MIGRATION_LOCK})`);
}

/** The migrations that the database lacks. */
export async function missing(ask: Ask): Promise<readonly Migration[]> {
  return missingMigrations('postgres', await appliedMigrations(ask));
}

/** The migrations that the database has; none where there is no log. */
export async function appliedMigrations(ask: Ask): Promise<AppliedMigration[]> {
  // to_regclass may answer from a cache that is older than the wait for the lock.
  const [[tables] = []] = await ask("SELECT count(*) FROM pg_tables WHERE schemaname = 'tidings' AND tablename = '__drizzle_migrations'");
  if (tables === '0') return [];
  // The first programs made the table without the second column.
  const rows = await ask("SELECT m.created_at, to_jsonb(m) ->> 'compatible' FROM tidings.__drizzle_migrations AS m");
  return rows.map(([version, compatible]) => ({ version: Number(version), compatible: compatible === null ? undefined : Number(compatible) }));
}

/** Remembers that a migration was applied. */
export function recordCall({ hash, version, compatible }: Migration): string {
  return `INSERT INTO tidings.__drizzle_migrations (hash, created_at, compatible) VALUES (${literal(hash)}, ${version}, ${compatible})`;
}

/** Remembers, once, that a long migration was applied. */
export async function record(ask: Ask, migration: Migration): Promise<void> {
  await beginMigration(ask);
  if ((await missing(ask)).some(({ version }) => version === migration.version)) await ask(recordCall(migration));
  await ask('COMMIT');
}
