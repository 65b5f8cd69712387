import { refuseLevel, UNDERSTOOD_LEVEL, type Migrated } from '../level.ts';
import { StoreError } from '../store.ts';
import { HEAD } from './connection/access-sql.ts';
import { appliedMigrations, beginMigration, missing, recordCall, type Ask } from './applied-migrations.ts';
import { inSession } from './connection/connection-pool.ts';
import { wholeNumber } from './connection/literals.ts';
import { applyLongMigrations } from './long-migrations.ts';

export interface MigrateOptions {
  /** Whether to raise the level of the log to what this program understands. */
  readonly isRaising?: boolean;
  /** Is called now and then while another session makes an index of a migration. */
  readonly waits?: () => void;
}

/** Brings the schema of a database up to date, the long migrations as well, without beginning an epoch. For the command line. Rejects with a `StoreError`. */
export async function migrate(url: string, { isRaising = false, waits = () => undefined }: MigrateOptions = {}): Promise<Migrated> {
  const { isNew, applied, left, level } = await inSession(url, async (ask) => {
    const before = await appliedMigrations(ask);
    return { isNew: before.length === 0, ...await applyMigrations(ask), level: await readLevel(ask) };
  });
  const all = applied + (left ? await applyLongMigrations({ url, waits }) : 0);
  if (!isRaising || level === undefined || !await inSession(url, raiseLevel)) return { applied: all, isNew, level, raisedFrom: undefined };
  return { applied: all, isNew, level: UNDERSTOOD_LEVEL, raisedFrom: level };
}

/** The level of the log; undefined if there is no log yet. Rejects where this program does not understand it. */
async function readLevel(ask: Ask): Promise<number | undefined> {
  const [[text] = []] = await ask(`SELECT h.level FROM ${HEAD} h`);
  if (text === undefined) return undefined;
  const level = wholeNumber(text);
  refuseLevel(level);
  return level;
}

/** Whether it was below what this program understands. */
async function raiseLevel(ask: Ask): Promise<boolean> {
  const raised = await ask(`UPDATE tidings.head SET level = ${UNDERSTOOD_LEVEL} WHERE level < ${UNDERSTOOD_LEVEL} RETURNING level`);
  return raised.length > 0;
}

/**
 * Applies the missing migrations, all or nothing, under a lock: any number of instances may start at once. drizzle's own `migrate` takes none; its
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
  // A role that may not make schemas in this database may be given one.
  const [[schemas] = []] = await ask("SELECT count(*) FROM pg_namespace WHERE nspname = 'tidings'");
  if (schemas === '0') await ask('CREATE SCHEMA tidings');
  await ask('CREATE TABLE IF NOT EXISTS tidings.__drizzle_migrations (id SERIAL PRIMARY KEY, hash text NOT NULL, created_at bigint, compatible bigint)');
  await ask('ALTER TABLE tidings.__drizzle_migrations ADD COLUMN IF NOT EXISTS compatible bigint');
}
