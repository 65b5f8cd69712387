import { refuseLevel, UNDERSTOOD_LEVEL, type Migrated } from '../level.ts';
import { StoreError } from '../store.ts';
import { HEAD } from './connection/expressions.ts';
import { appliedMigrations, beginMigration, missing, recordCall } from './applied-migrations.ts';
import { inSession } from './connection/connection-pool.ts';
import type { Ask } from './connection/connection.ts';
import { wholeNumber } from './connection/literals.ts';
import { applyLongMigrations } from './long-migrations.ts';

export interface MigrateOptions {
  /** Whether to raise the level of the log to `UNDERSTOOD_LEVEL` (level.ts). */
  readonly isRaising?: boolean;
  /** Called before each pause, while another session makes an index of a migration. */
  readonly waits?: () => void;
}

/** Applies the missing migrations, long ones too, for the command line. It begins no epoch. Rejects with a `StoreError`. */
export async function migrate(url: string, { isRaising = false, waits = () => undefined }: MigrateOptions = {}): Promise<Migrated> {
  const { isNew, applied, left, level } = await inSession(url, async (ask) => {
    const before = await appliedMigrations(ask);
    return { isNew: before.length === 0, ...await applyMigrations(ask), level: await readLevel(ask) };
  });
  const all = applied + (left ? await applyLongMigrations({ url, waits }) : 0);
  if (!isRaising || level === undefined || !await inSession(url, raiseLevel)) return { applied: all, isNew, level, raisedFrom: undefined };
  return { applied: all, isNew, level: UNDERSTOOD_LEVEL, raisedFrom: level };
}

/** The level of the log; undefined if there is no log yet. Rejects if this program does not understand the log. */
async function readLevel(ask: Ask): Promise<number | undefined> {
  const [[text] = []] = await ask(`SELECT h.level FROM ${HEAD} h`);
  if (text === undefined) return undefined;
  const level = wholeNumber(text);
  refuseLevel(level);
  return level;
}

/** Raises the level of the log to `UNDERSTOOD_LEVEL`. Resolves to false if it was not below that. */
async function raiseLevel(ask: Ask): Promise<boolean> {
  const raised = await ask(`UPDATE tidings.head SET level = ${UNDERSTOOD_LEVEL} WHERE level < ${UNDERSTOOD_LEVEL} RETURNING level`);
  return raised.length > 0;
}

/**
 * Applies the missing migrations except long ones, all or nothing. It takes a lock, because several instances may start at the same time; drizzle's own
 * `migrate` takes none. The record is in drizzle's table, so drizzle's tools still work. If nothing is missing, it only reads.
 *
 * @returns How many migrations were applied, and whether long ones are left.
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

/** Makes the schema and the record of migrations, if they are missing. */
async function prepare(ask: Ask): Promise<void> {
  const [[encoding] = []] = await ask('SHOW server_encoding');
  if (encoding !== 'UTF8') throw new StoreError('unavailable', `the database is encoded in ${encoding}, and topics may be any text: make it with ENCODING 'UTF8' TEMPLATE template0`);
  // Do not try to make a schema that exists: the role may lack that right, and an administrator made the schema for it.
  const [[schemas] = []] = await ask("SELECT count(*) FROM pg_namespace WHERE nspname = 'tidings'");
  if (schemas === '0') await ask('CREATE SCHEMA tidings');
  await ask('CREATE TABLE IF NOT EXISTS tidings.__drizzle_migrations (id SERIAL PRIMARY KEY, hash text NOT NULL, created_at bigint, compatible bigint)');
  await ask('ALTER TABLE tidings.__drizzle_migrations ADD COLUMN IF NOT EXISTS compatible bigint');
}
