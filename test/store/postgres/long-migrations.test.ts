import { join } from 'node:path';
import t from 'tap';
import type * as Migrate from '../../../src/store/postgres/migrate.ts';
import type * as Postgres from '../../../src/store/postgres/postgres.ts';
import { draft, request, stored } from '../../contract/store-kit.ts';
import { recordingLogger } from '../../support/logger.ts';
import { startPostgres } from '../../support/postgres.ts';
import { NEXT_INDEX, nextVersion } from '../../support/program-copy.ts';
import type { Scope } from '../../support/temp.ts';
import { until } from '../../support/until.ts';
import { PostgresDatabase } from './database.ts';

/** Indexes that the next version makes beside the traffic. */

const server = await startPostgres(t);
const folder = nextVersion(t);

const { PostgresStore } = await import(join(folder, 'src/store/postgres/postgres.ts')) as typeof Postgres;
const { migrate } = await import(join(folder, 'src/store/postgres/migrate.ts')) as typeof Migrate;

/** A database that the present version made, in which somebody reads one old snapshot: an index waits for that. */
async function oldDatabase(t: Scope): Promise<{ readonly database: PostgresDatabase; readonly release: () => Promise<unknown> }> {
  const database = await PostgresDatabase.create(server);
  const store = database.store();
  await store.open();
  await stored(store, [request(draft('a'))]);
  await store.close();
  // What the server or the role is set to does not end it.
  await server.ask('postgres', `ALTER DATABASE ${database.name} SET statement_timeout = '1s'`);
  await server.ask('postgres', `ALTER DATABASE ${database.name} SET lock_timeout = '1s'`);
  const reader = await database.client(t);
  await reader.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
  return { database, release: () => reader.query('COMMIT') };
}

function nextStore(t: Scope, database: PostgresDatabase): { readonly store: Postgres.PostgresStore; readonly lines: string[] } {
  const { logger, lines } = recordingLogger();
  const store = new PostgresStore({ url: database.url, maxPgConnections: 2, logger });
  t.teardown(() => store.close());
  return { store, lines };
}

/** `t` or `f` when the index is there, for valid or not; undefined when it is not. */
async function validity(database: PostgresDatabase): Promise<unknown> {
  const [[isValid] = []] = await database.ask(`SELECT indisvalid::text FROM pg_index WHERE indexrelid = to_regclass('tidings.${NEXT_INDEX}')`);
  return isValid;
}

const says = (lines: readonly string[], text: string): Promise<void> => until(text, () => lines.some((line) => line.includes(text)));

t.test('an index is made while messages are stored; it outlives every timeout of the server', async (t) => {
  const { database, release } = await oldDatabase(t);
  const { store, lines } = nextStore(t, database);
  await store.open();
  t.same(await stored(store, [request(draft('a'))]), [2], 'the log is open');
  await until('the index waits', async () => await validity(database) === 'false');
  const waited = performance.now();
  await until('longer than any timeout', async () => {
    await stored(store, [request(draft('a'))]);
    return performance.now() - waited > 1_500;
  });
  t.equal(await validity(database), 'false');
  await release();
  await says(lines, 'the indexes of a migration are made');
  t.equal(await validity(database), 'true');
  t.equal((await migrate(database.url)).applied, 0, 'nothing is left to do');
});

t.test('an interrupted migration is dropped and made anew by the next instance', async (t) => {
  const { database, release } = await oldDatabase(t);
  const first = nextStore(t, database);
  await first.store.open();
  await until('the index waits', async () => await validity(database) === 'false');
  const [[before] = []] = await database.ask(`SELECT to_regclass('tidings.${NEXT_INDEX}')::oid`);
  await first.store.close();
  const makers = "FROM pg_stat_activity WHERE query LIKE '%CREATE INDEX CONCURRENTLY%' AND datname = current_database() AND pid <> pg_backend_pid()";
  t.same(await database.ask(`SELECT pg_terminate_backend(pid)::text ${makers}`), [['true']]);
  await until('it has ended', async () => (await database.ask(`SELECT ${makers}`)).length === 0);
  t.equal(await validity(database), 'false', 'it left this behind');
  await release();
  t.equal((await migrate(database.url)).applied, 1);
  t.equal(await validity(database), 'true');
  const [[after] = []] = await database.ask(`SELECT to_regclass('tidings.${NEXT_INDEX}')::oid`);
  t.not(after, before);
});

t.test('of two instances one makes it, and the other leaves it alone', async (t) => {
  const { database, release } = await oldDatabase(t);
  const [one, two] = [nextStore(t, database), nextStore(t, database)];
  await one.store.open();
  await until('the index waits', async () => await validity(database) === 'false');
  await two.store.open();
  await says(two.lines, 'another session makes an index of a migration');
  await release();
  await says(one.lines, 'the indexes of a migration are made');
  t.equal(await validity(database), 'true');
  await two.store.close();
  t.same(await database.ask("SELECT count(*)::text FROM tidings.__drizzle_migrations GROUP BY created_at HAVING count(*) > 1"), []);
});
