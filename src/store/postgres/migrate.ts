import { missingMigrations, type AppliedMigration, type Migration } from '../migrations.ts';
import { StoreError } from '../store.ts';
import { PgConnections } from './connection-pool.ts';
import type { Row } from './connection.ts';
import { literal } from './literals.ts';
import { TRANSACTION_SETTINGS } from './transaction-settings.ts';

/** The advisory lock that every migration takes, so that one instance migrates and the others wait: the word as a number. */
const MIGRATION_LOCK = Buffer.from('tidings\0').readBigInt64BE();

export type Ask = (text: string) => Promise<readonly Row[]>;

/** Brings the schema of a database up to date, without beginning an epoch. For the command line. Resolves to the number of migrations applied; rejects with a `StoreError`. */
export async function migrate(url: string): Promise<number> {
  const pgConnections = new PgConnections({ url, maxQueryConnections: 1 });
  try {
    return await applyMigrations(pgConnections);
  } finally {
    await pgConnections.close();
  }
}

/**
 * Applies what is missing, all or nothing, under a lock: any number of instances may start at once. drizzle's own `migrate` takes none; its
 * table is kept. A database that is up to date is only looked at.
 */
export function applyMigrations(pgConnections: PgConnections): Promise<number> {
  return pgConnections.session(async (ask) => {
    if ((await missingSteps(ask)).length === 0) return 0;
    await ask(`BEGIN; ${TRANSACTION_SETTINGS}, pg_advisory_xact_lock(${MIGRATION_LOCK})`);
    const missing = await missingSteps(ask);
    await prepare(ask);
    for (const migration of missing) await ask([...migration.statements, recordCall(migration)].join(';\n'));
    await ask('COMMIT');
    return missing.length;
  });
}

/** The migrations that are applied before the store is open. */
export async function missingSteps(ask: Ask): Promise<readonly Migration[]> {
  return missingMigrations('postgres', await appliedMigrations(ask)).filter(({ isLong }) => !isLong);
}

export async function appliedMigrations(ask: Ask): Promise<AppliedMigration[]> {
  // Not by to_regclass, which may answer from what this session knew before it waited for the lock.
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

/** Makes what migrations need, where it is missing. */
async function prepare(ask: Ask): Promise<void> {
  const [[encoding] = []] = await ask('SHOW server_encoding');
  if (encoding !== 'UTF8') throw new StoreError('unavailable', `the database is encoded in ${encoding}, and topics may be any text: make it with ENCODING 'UTF8' TEMPLATE template0`);
  // Whoever may not make schemas in this database may be given one.
  const [[schemas] = []] = await ask("SELECT count(*) FROM pg_namespace WHERE nspname = 'tidings'");
  if (schemas === '0') await ask('CREATE SCHEMA tidings');
  await ask('CREATE TABLE IF NOT EXISTS tidings.__drizzle_migrations (id SERIAL PRIMARY KEY, hash text NOT NULL, created_at bigint, compatible bigint)');
  await ask('ALTER TABLE tidings.__drizzle_migrations ADD COLUMN IF NOT EXISTS compatible bigint');
}
