import { missingMigrations, type AppliedMigration, type Migration } from '../migrations.ts';
import type { Ask } from './connection/connection.ts';
import { literal } from './connection/literals.ts';
import { TRANSACTION_SETTINGS } from './connection/transaction-settings.ts';

/** The number of the advisory lock under which migrations run, so that one instance migrates and the others wait. It is the text `tidings` as a number. */
const MIGRATION_LOCK = Buffer.from('tidings\0').readBigInt64BE();

/** Begins a transaction, and waits for the lock of migrations. */
export async function beginMigration(ask: Ask): Promise<void> {
  await ask(`BEGIN; ${TRANSACTION_SETTINGS}, pg_advisory_xact_lock(${MIGRATION_LOCK})`);
}

/** The migrations that the database lacks. */
export async function missing(ask: Ask): Promise<readonly Migration[]> {
  return missingMigrations('postgres', await appliedMigrations(ask));
}

/** The migrations that were applied to the database; none if it has no tables of Tidings. */
export async function appliedMigrations(ask: Ask): Promise<AppliedMigration[]> {
  // Do not ask `to_regclass`: it may answer from a cache that is older than the lock.
  const [[tables] = []] = await ask("SELECT count(*) FROM pg_tables WHERE schemaname = 'tidings' AND tablename = '__drizzle_migrations'");
  if (tables === '0') return [];
  // Through JSON, because the first versions of Tidings made the table without `compatible`.
  const rows = await ask("SELECT m.created_at, to_jsonb(m) ->> 'compatible' FROM tidings.__drizzle_migrations AS m");
  return rows.map(([version, compatible]) => ({ version: Number(version), compatible: compatible === null ? undefined : Number(compatible) }));
}

/** The statement that records an applied migration. */
export function recordCall({ hash, version, compatible }: Migration): string {
  return `INSERT INTO tidings.__drizzle_migrations (hash, created_at, compatible) VALUES (${literal(hash)}, ${version}, ${compatible})`;
}

/** Records a long migration, unless another instance has recorded it. */
export async function record(ask: Ask, migration: Migration): Promise<void> {
  await beginMigration(ask);
  if ((await missing(ask)).some(({ version }) => version === migration.version)) await ask(recordCall(migration));
  await ask('COMMIT');
}
