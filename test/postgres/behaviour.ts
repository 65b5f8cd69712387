import t from 'tap';
import { startPostgres } from '../support/postgres.ts';

/** What becomes of it when it crashes is tested elsewhere: here nothing needs to be on its disk, and nothing is there to be tidied up. */
const SETTINGS = ['fsync = off', 'full_page_writes = off', 'autovacuum = off'];

/**
 * Runs files of tests of the service again, one after the other in this process, on one PostgreSQL server. They are the same files:
 * `test/support/database.ts` is the switch, which they read when they are imported.
 */
export async function onPostgres(files: readonly string[]): Promise<void> {
  const server = await startPostgres(t, { settings: SETTINGS });
  process.env['TIDINGS_TEST_STORE'] = server.url('');
  // Their tests come after this one. tap would take the first moment without a test for the end.
  await t.test(`on PostgreSQL: ${files.join(', ')}`, async () => {
    for (const file of files) await import(`../${file}`);
  });
}
