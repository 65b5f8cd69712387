import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { tempFolder, type Scope } from './temp.ts';

/**
 * Which store the service under test keeps its log in: the one switch. Unset, SQLite; otherwise the URL of a PostgreSQL server, where
 * each log gets a database of its own: `TIDINGS_TEST_STORE=postgres://user@host npx tap test/wire`. test/postgres runs what is to run on both.
 */
const SERVER = process.env['TIDINGS_TEST_STORE'] || undefined;

export const isPostgres = SERVER !== undefined;

/** DATABASE_URL of a log that does not exist yet, for one instance or for several. */
export async function emptyDatabase(t: Scope): Promise<string> {
  if (SERVER === undefined) return `file:${join(tempFolder(t), 'log.db')}`;
  const { default: pg } = await import('pg');
  const url = new URL(SERVER);
  url.pathname = '/postgres';
  const client = new pg.Client({ connectionString: url.href });
  await client.connect();
  try {
    const name = `test_${randomBytes(8).toString('hex')}`;
    await client.query(`CREATE DATABASE ${name} TEMPLATE template0`);
    url.pathname = `/${name}`;
    return url.href;
  } finally {
    await client.end();
  }
}
