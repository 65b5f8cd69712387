import { join } from 'node:path';
import t from 'tap';
import { startPostgres } from '../support/postgres.ts';

/** Runs files of tests of the service again, each in a process of its own, on one PostgreSQL server. They are the same files: `test/support/database.ts` is the switch. */
export async function onPostgres(files: readonly string[]): Promise<void> {
  const server = await startPostgres(t);
  for (const file of files) {
    // tap numbers the processes of each file from 0 again; those that run beside it have to have other ports.
    const env = { ...process.env, TIDINGS_TEST_STORE: server.url(''), TIDINGS_TEST_SHARE: process.env['TAP_JOB_ID'] ?? '0' };
    await t.spawn(process.execPath, [join(import.meta.dirname, '..', file)], { env }, `${file} on PostgreSQL`);
  }
}
