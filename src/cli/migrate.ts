import { resolve } from 'node:path';
import type { DatabaseLocation } from '../config/database-url.ts';
import { configure } from '../config/configure.ts';
import { StoreError } from '../store/store.ts';

/** `npm run migrate`: brings the schema of the database up to date without starting the service, which does so by itself. */
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

/** Only what is needed is loaded: the driver of the one or of the other. */
async function migrate(to: DatabaseLocation): Promise<number> {
  if (to.kind === 'sqlite') return (await import('../store/sqlite/migrate.ts')).migrate(resolve(to.file));
  return (await import('../store/postgres/migrate.ts')).migrate(to.url);
}
