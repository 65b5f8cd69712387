import type { Command } from 'commander';
import { resolve } from 'node:path';
import { configure } from '../config/config.ts';
import type { DatabaseLocation } from '../config/database-url.ts';
import { UNDERSTOOD_LEVEL, type Migrated } from '../store/level.ts';
import { StoreError } from '../store/store.ts';
import { readFlags } from './command-line.ts';

/**
 * `npm run migrate` brings the schema of the database up to date. The service does the same when it boots, and makes indexes that take long beside the
 * traffic. It shows the level of the log. `npm run migrate -- --raise-level` also raises the level of the log to what this program understands (store/level.ts).
 */
const USAGE = `npm run migrate -- [options]: brings the schema of the database up to date, and shows the level of the log.
Where there is no log yet, it makes an empty one, but no folder.

  --raise-level  also raises the level of the log to what this version understands. First replace every instance of an older version: one that
                 does not understand the level takes no messages and sends none.
  --help         prints this; so does -h

The -- before an option is needed: without it npm keeps the option for itself.
It ends with 0 when that was done, with 1 when the database could not be used or this version does not understand its log, and with 2 when an option is wrong.
`;

/** The commands that the advice names: of the npm script, and of `tidings`. */
const NPM_RAISE = 'npm run migrate -- --raise-level';
const RAISE = 'tidings migrate --raise-level';

interface MigrateOptions {
  readonly isRaising: boolean;
  /** The command for the advice to raise the level. */
  readonly way: string;
}

/** `tidings migrate`: as `npm run migrate`. */
export function addMigrateCommand(program: Command): void {
  program.command('migrate').description('Brings the schema of the database that DATABASE_URL names up to date, and shows the level of the log.')
    .option('--raise-level', 'also raises the level of the log to what this version understands. First replace every instance of an older version')
    .option('--json', 'one JSON object')
    .addHelpText('after', '\nExample:\n  $ tidings migrate\n')
    .action(async ({ raiseLevel = false, json = false }: { readonly raiseLevel?: boolean; readonly json?: boolean }) => run({ isRaising: raiseLevel, way: RAISE }, json));
}

async function run(options: MigrateOptions, isJson = false): Promise<void> {
  const database = configure().DATABASE_URL;
  const name = database.kind === 'sqlite' ? resolve(database.file) : database.shown;
  const waits = (): void => write(process.stderr, name, WAITS);
  try {
    const migrated = await migrate(database, options, isJson ? waits : () => write(process.stdout, name, WAITS));
    if (isJson) process.stdout.write(`${JSON.stringify({ database: name, ...migrated, understood: UNDERSTOOD_LEVEL })}\n`);
    else for (const sentence of [describeSchema(migrated), describeLevel(migrated, options)]) write(process.stdout, name, sentence);
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    process.stderr.write(`DATABASE_URL: ${error.message}\n`);
    process.exitCode = 1;
  }
}

const WAITS = 'another session makes an index of a migration; waiting for it';

function write(to: NodeJS.WritableStream, name: string, sentence: string): void {
  to.write(`${name}: ${sentence}\n`);
}

/** Loads only the driver of the database that is used. */
async function migrate(to: DatabaseLocation, { isRaising }: MigrateOptions, waits: () => void): Promise<Migrated> {
  if (to.kind === 'sqlite') return (await import('../store/sqlite/files/migrate.ts')).migrate(resolve(to.file), { isRaising });
  return (await import('../store/postgres/migrate.ts')).migrate(to.url, { isRaising, waits });
}

function describeSchema({ applied, isNew }: Migrated): string {
  const count = `${applied} ${applied === 1 ? 'migration' : 'migrations'} applied`;
  if (isNew) return `there was no log: a new, empty one was made (${count})`;
  return applied === 0 ? 'up to date' : count;
}

function describeLevel({ level, raisedFrom }: Migrated, { isRaising, way }: MigrateOptions): string {
  if (level === undefined) return `no instance has opened the log yet: it gets the level of the first one that does (${UNDERSTOOD_LEVEL} for this version)`;
  if (raisedFrom !== undefined) return `the level of the log was raised from ${raisedFrom} to ${level}`;
  if (isRaising) return `the log was at level ${level} already, the highest that this version understands`;
  if (level < UNDERSTOOD_LEVEL) return `the log is at level ${level}, and this version understands levels up to ${UNDERSTOOD_LEVEL}: ${way} raises it`;
  return `the log is at level ${level}, the highest that this version understands`;
}

// Runs as the npm script `migrate`.
if (import.meta.main) {
  const { 'raise-level': isRaising = false } = readFlags({ command: 'migrate', usage: USAGE, flags: ['raise-level'] });
  await run({ isRaising, way: NPM_RAISE });
}
