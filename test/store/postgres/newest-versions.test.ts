import t from 'tap';
import { recordCall } from '../../../src/store/postgres/applied-migrations.ts';
import { migrate } from '../../../src/store/postgres/migrate.ts';
import { missingMigrations } from '../../../src/store/migrations.ts';
import { complaint, draft, openStore, range, readMessages, request, seqs, stored } from '../../contract/store-kit.ts';
import { startPostgres } from '../../support/postgres.ts';
import { PostgresDatabase } from './database.ts';

/** The migration that exchanges the keys of `head` and `retention` while instances of the version before run. */

const server = await startPostgres(t);

/** The last migration that the version before has. */
const BEFORE = 'CREATE TABLE "tidings"."tickets"';

/** A log as the version before makes it. */
async function older(): Promise<PostgresDatabase> {
  const database = await PostgresDatabase.create(server);
  const migrations = missingMigrations('postgres', []);
  const last = migrations.findIndex(({ statements }) => statements.some((statement) => statement.includes(BEFORE)));
  await database.ask('CREATE SCHEMA tidings; CREATE TABLE tidings.__drizzle_migrations (id SERIAL PRIMARY KEY, hash text NOT NULL, created_at bigint, compatible bigint)');
  for (const migration of migrations.slice(0, last + 1)) await database.ask([...migration.statements, recordCall(migration)].join(';\n'));
  await database.ask("SELECT FROM tidings.open('log0log0log0', 'random00', 1000, 2)");
  return database;
}

/** Appends a message as the version before does, and answers with its number. */
async function append(database: PostgresDatabase): Promise<number> {
  const [[epoch]] = (await database.ask('SELECT epoch FROM tidings.head')) as [[string]];
  const [[before]] = (await database.ask(`SELECT before FROM tidings.append(1, NULL, NULL, NULL, NULL, NULL, false, '{a}', NULL, '{f}', NULL, '{0,1}', 'x', 128, 3600000, 'random00', 1000, false, '${epoch}', 0, '${epoch}', 2)`)) as [[string]];
  return Number(before) + 1;
}

/** Appends a message as the first version does. */
async function appendAsFirst(database: PostgresDatabase): Promise<number> {
  const [[epoch]] = (await database.ask('SELECT epoch FROM tidings.head')) as [[string]];
  const [[before]] = (await database.ask(`SELECT before FROM tidings.append('{1}', NULL, NULL, NULL, NULL, NULL, '{a}', '{NULL}', '{f}', '{0}', '{1}', 'eA==', 128, 'newepoch01', 1000, false, '${epoch}', 0, '${epoch}')`)) as [[string]];
  return Number(before) + 1;
}

t.test('instances of the versions before go on beside one that has migrated', async (t) => {
  const database = await older();
  t.equal(await append(database), 1);
  const store = await openStore(t, database);
  t.same(await stored(store, [request(draft('a'), draft('a'))]), [2]);
  t.equal(await append(database), 4);
  t.equal(await appendAsFirst(database), 5);
  // An older program that starts.
  await database.ask("SELECT FROM tidings.open('log1log1log1', 'random01', 1000, 2)");
  t.equal(await append(database), 6);
  t.same(await stored(store, [request(draft('a'))]), [7]);
  t.same(seqs(await readMessages(store)), range(1, 7));
  t.same(await database.ask('SELECT count(*)::integer FROM tidings.head'), [[1]]);
  t.same(await database.ask('SELECT count(*)::integer FROM tidings.retention'), [[1]]);
  let left;
  do left = await store.trim({ maxAge: 0, maxBytes: 1, rows: 3 }); while (left.more);
  t.match(left, { bytes: -2 * 'a'.length, log: { oldest: 8 } }, 'what each of them counted comes off again; the very first version counts a topic once');
});

t.test('while a dump reads the tables, the migration gives up and publishers go on; after it, it is made', async (t) => {
  const database = await older();
  await append(database);
  const dump = await database.client(t);
  await dump.query('BEGIN ISOLATION LEVEL REPEATABLE READ; LOCK TABLE tidings.head, tidings.retention IN ACCESS SHARE MODE');
  const store = database.store();
  t.teardown(() => store.close());
  const [refused, beside] = await Promise.all([complaint(store.open()), append(database)]);
  t.match(refused, /kept the log locked for too long/);
  t.equal(beside, 2);
  t.equal(await append(database), 3);
  await dump.query('COMMIT');
  t.match(await store.open(), { head: 3 });
  t.same(await stored(store, [request(draft('a'))]), [4]);
});

t.test('a first start that waits keeps nobody from the head: another one may have made it meanwhile, and begins its epoch', async (t) => {
  const database = await PostgresDatabase.create(server);
  await migrate(database.url);
  const client = await database.client(t);
  await client.query('BEGIN; LOCK TABLE tidings.retention IN SHARE MODE');
  const store = database.store();
  t.teardown(() => store.close());
  const opening = store.open();
  await database.locked(1, opening);
  await client.query('LOCK TABLE tidings.head IN ROW EXCLUSIVE MODE NOWAIT');
  await client.query('ROLLBACK');
  t.match(await opening, { head: 0, oldest: 1 });
});
