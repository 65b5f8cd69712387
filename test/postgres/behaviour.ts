import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { startPostgres } from '../support/postgres.ts';

/** What becomes of it when it crashes is tested elsewhere: here nothing needs to be on its disk, and nothing is there to be tidied up. */
const SETTINGS = ['fsync = off', 'full_page_writes = off', 'autovacuum = off'];

/**
 * Runs files of tests of the service again, one after the other in this process, on one PostgreSQL server. They are the same files:
 * `test/support/database.ts` is the switch, which they read when they are imported. `npx tap test/postgres/wire.test.ts --test-arg=history` runs one of them.
 */
export async function onPostgres(all: readonly string[]): Promise<void> {
  const wanted = process.argv[2];
  const files = all.filter((file) => wanted === undefined || file.includes(wanted));
  if (files.length === 0) throw new Error(`None of these files has ${wanted} in its name: ${all.join(', ')}.`);
  const waiting = files.filter((file) => /^await t\.test\(/m.test(readFileSync(join(import.meta.dirname, '..', file), 'utf8')));
  if (waiting.length > 0) throw new Error(`${waiting.join(', ')}: at the start of a line, write "void t.test(" in place of "await t.test(". These tests begin only after the import, which would wait for them for ever.`);
  const server = await startPostgres(t, { settings: SETTINGS });
  process.env['TIDINGS_TEST_STORE'] = server.url('');
  // Their tests come after this one. tap would take the first moment without a test for the end.
  await t.test(`on PostgreSQL: ${files.join(', ')}`, async () => {
    for (const file of files) await import(`../${file}`);
  });
}
