import { resolve } from 'node:path';
import { configure } from './configure.ts';
import { migrate } from './store/sqlite-migrate.ts';
import { StoreError } from './store/store.ts';

/** `npm run migrate`: brings the schema of the database up to date without starting the service, which does so by itself. */
const file = resolve(configure().DATABASE_URL.file);
try {
  const applied = migrate(file);
  process.stdout.write(`${file}: ${applied === 0 ? 'up to date' : `${applied} ${applied === 1 ? 'migration' : 'migrations'} applied`}\n`);
} catch (error) {
  if (!(error instanceof StoreError)) throw error;
  process.stderr.write(`DATABASE_URL: ${error.message}\n`);
  process.exitCode = 1;
}
