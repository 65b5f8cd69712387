import t from 'tap';
import { UNDERSTOOD_LEVEL } from '../../../src/store/level.ts';
import { migrate } from '../../../src/store/postgres/migrate.ts';
import { draft, keyed, openStore, readMessages, request, stored } from '../../contract/store-kit.ts';
import { floods } from '../../contract/store-flood.ts';
import { storeContract } from '../../contract/store.ts';
import { startPostgres } from '../../support/postgres.ts';
import { PostgresDatabase } from './database.ts';

const server = await startPostgres(t);

storeContract(t, 'PostgreSQL', () => PostgresDatabase.create(server));
floods(t, 'PostgreSQL', () => PostgresDatabase.create(server));

t.test('a schema that another program has migrated is refused, and left as it is', async (t) => {
  for (const time of [1_600_000_000_000, 99_900_000_000_000]) {
    const database = await PostgresDatabase.create(server);
    await server.ask(database.name, `CREATE SCHEMA tidings; CREATE TABLE tidings.__drizzle_migrations (id SERIAL PRIMARY KEY, hash text NOT NULL, created_at bigint);
      INSERT INTO tidings.__drizzle_migrations (hash, created_at) VALUES ('abc', ${time})`);
    const store = database.store();
    t.teardown(() => store.close());
    const refused = { kind: 'unavailable', message: /^the database belongs to another program: .*DATABASE_URL$/ };
    await t.rejects(store.open(), refused);
    await t.rejects(migrate(database.url), refused);
    t.same(await server.ask(database.name, "SELECT tablename::text FROM pg_tables WHERE schemaname = 'tidings'"), [['__drizzle_migrations']]);
  }
});

t.test('other programs may use the same database', async (t) => {
  const database = await PostgresDatabase.create(server);
  await server.ask(database.name, `CREATE SCHEMA drizzle; CREATE TABLE drizzle.__drizzle_migrations (id SERIAL PRIMARY KEY, hash text NOT NULL, created_at bigint);
    INSERT INTO drizzle.__drizzle_migrations (hash, created_at) VALUES ('abc', 1600000000000); CREATE TABLE messages (id integer)`);
  t.same(await stored(await openStore(t, database), [request(draft('a'))]), [1]);
});

t.test('a clock that is accepted: messages come first, and keys only when no message is left', async (t) => {
  const database = await PostgresDatabase.create(server);
  const store = await openStore(t, database);
  await database.clockWasAhead(3_600_000);
  await store.append([keyed('one', [draft('a'), draft('a'), draft('a')])]);
  const step = async (): Promise<unknown[]> => (await server.ask(database.name, `SELECT * FROM tidings.accept_clock(2, 1, ${UNDERSTOOD_LEVEL})`))[0]!;
  t.same(await step(), [2, 0, true]);
  t.same(await step(), [1, 1, true]);
  t.same(await step(), [0, 0, false]);
});

t.test('the settings of the database change nothing of the stored messages', async (t) => {
  const database = await PostgresDatabase.create(server);
  for (const setting of ['array_nulls = off', 'standard_conforming_strings = off', "default_transaction_isolation = 'serializable'", 'synchronous_commit = off', "bytea_output = 'escape'"]) {
    await server.ask('postgres', `ALTER DATABASE ${database.name} SET ${setting}`);
  }
  const store = await openStore(t, database);
  const odd = ["it's a \\ \"text\"", '\\', "\\'", "\\\\''", "'; DROP SCHEMA tidings CASCADE; --", '\\n', "E'\\n'", '{a,b}', 'NULL', '"NULL"'];
  const { outcomes } = await store.append(odd.map((text) => keyed(text, [draft(`a.${text.replaceAll(' ', '_')}`, text, { event: text })])));
  await stored(store, [request(draft('a', 'unnamed'))]);
  const messages = await readMessages(store);
  t.same(messages.map(({ topic, event, data }) => [topic, event, Buffer.from(data).toString()]),
    [...odd.map((text) => [`a.${text.replaceAll(' ', '_')}`, text, text]), ['a', undefined, 'unnamed']]);
  t.same((await store.append(odd.map((text) => keyed(text, [draft('a')])))).outcomes, outcomes.map((outcome) => ({ ...outcome, kind: 'replayed' })));
});
