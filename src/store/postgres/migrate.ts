import { UNDERSTOOD_LEVEL } from '../level.ts';
import { StoreError } from '../store.ts';
import { beginMigration, missing, recordCall, type Ask } from './applied-migrations.ts';
import { inSession } from './connection-pool.ts';
import { wholeNumber } from './literals.ts';
import { applyLongMigrations } from './long-migrations.ts';

/**
 * Brings the schema of a database up to date, the long migrations as well, without beginning an epoch. For the command line. Resolves to the number of
 * migrations applied; rejects with a `StoreError`.
 *
 * @param waits Is called now and then while another session makes an index of a migration.
 */
export async function migrate(url: string, waits: () => void = () => undefined): Promise<number> {
  const { applied, left } = await inSession(url, applyMigrations);
  return applied + (left ? await applyLongMigrations({ url, waits }) : 0);
}

/** Raises the level of a log to what this program understands. Resolves to the level that it has then; undefined when there is no log yet. */
export function raiseLevel(url: string): Promise<number | undefined> {
  return inSession(url, async (ask) => {
    const [[level] = []] = await ask(`UPDATE tidings.head SET level = greatest(level, ${UNDERSTOOD_LEVEL}) RETURNING level`);
    return level === undefined ? undefined : wholeNumber(level);
  });
}

/**
 * Applies what is missing, all or nothing, under a lock: any number of instances may start at once. drizzle's own `migrate` takes none; its
 * table is kept. A database that is up to date is only looked at. Resolves to the number of migrations applied, and to whether long ones are left.
 */
export async function applyMigrations(ask: Ask): Promise<{ readonly applied: number; readonly left: boolean }> {
  const seen = await missing(ask);
  const left = seen.some(({ isLong }) => isLong);
  if (seen.every(({ isLong }) => isLong)) return { applied: 0, left };
  await beginMigration(ask);
  const short = (await missing(ask)).filter(({ isLong }) => !isLong);
  await prepare(ask);
  for (const migration of short) await ask([...migration.statements, recordCall(migration)].join(';\n'));
  await ask('COMMIT');
  return { applied: short.length, left };
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
