import { resolve } from 'node:path';
import { configure } from '../config/config.ts';
import type { DatabaseLocation } from '../config/database-url.ts';
import { StoreError } from '../store/store.ts';
import { readFlags } from './command-line.ts';

/**
 * This room is the command line. Each command is one file, named after it: it reads its flags (command-line.ts) and the settings, does one thing, prints what it
 * did, and ends.
 * A command names the implementation that it needs, as main.ts does.
 *
 * `npm run migrate` brings the schema of the database up to date. The service does the same when it boots, and makes indexes that take long beside the
 * traffic. `npm run migrate -- --raise-level` also raises the level of the log to what this program understands (store/level.ts).
 */
const USAGE = `npm run migrate -- [options]: brings the schema of the database up to date.

  --raise-level  also raises the level of the log to what this version understands. First replace every instance of an older version: one that
                 does not understand the level takes no messages and sends none.
  --help         prints this

It ends with 0 when that was done, with 1 when the database could not be used, and with 2 when an option is wrong.
`;

const { 'raise-level': isRaising = false } = readFlags(USAGE, ['raise-level']);
const database = configure().DATABASE_URL;
const name = database.kind === 'sqlite' ? resolve(database.file) : database.shown;
try {
  const applied = await migrate(database);
  say(applied === 0 ? 'up to date' : `${applied} ${applied === 1 ? 'migration' : 'migrations'} applied`);
  if (isRaising) {
    const level = await raiseLevel(database);
    say(level === undefined ? 'there is no log yet: it begins at the level of the program that makes it' : `the log is at level ${level}`);
  }
} catch (error) {
  if (!(error instanceof StoreError)) throw error;
  process.stderr.write(`DATABASE_URL: ${error.message}\n`);
  process.exitCode = 1;
}

function say(sentence: string): void {
  process.stdout.write(`${name}: ${sentence}\n`);
}

/** Loads only the driver of the database that is used. */
async function migrate(to: DatabaseLocation): Promise<number> {
  if (to.kind === 'sqlite') return (await import('../store/sqlite/migrate.ts')).migrate(resolve(to.file));
  return (await import('../store/postgres/migrate.ts')).migrate(to.url, () => say('another session makes an index of a migration; waiting for it'));
}

async function raiseLevel(of: DatabaseLocation): Promise<number | undefined> {
  if (of.kind === 'sqlite') return (await import('../store/sqlite/migrate.ts')).raiseLevel(resolve(of.file));
  return (await import('../store/postgres/migrate.ts')).raiseLevel(of.url);
}
