import { resolve } from 'node:path';
import { configure } from '../config/config.ts';
import type { DatabaseLocation } from '../config/database-url.ts';
import { StoreError } from '../store/store.ts';

/**
 * This room is the command line. Each command is one file, named after it: it reads the settings, does one thing, prints what it did, and ends.
 * A command names the implementation that it needs, as main.ts does.
 *
 * `npm run migrate` brings the schema of the database up to date. The service does the same when it boots.
 */
const database = configure().DATABASE_URL;
try {
  const applied = await migrate(database);
  const name = database.kind === 'sqlite' ? resolve(database.file) : database.shown;
  process.stdout.write(`${name}: ${applied === 0 ? 'up to date' : `${applied} ${applied === 1 ? 'migration' : 'migrations'} applied`}\n`);
} catch (error) {
  if (!(error instanceof StoreError)) throw error;
  process.stderr.write(`DATABASE_URL: ${error.message}\n`);
  process.exitCode = 1;
}

/** Loads only the driver of the database that is used. */
async function migrate(to: DatabaseLocation): Promise<number> {
  if (to.kind === 'sqlite') return (await import('../store/sqlite/migrate.ts')).migrate(resolve(to.file));
  return (await import('../store/postgres/migrate.ts')).migrate(to.url);
}
