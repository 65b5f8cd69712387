import t from 'tap';
import { draft, failure, keyed, openStore, request, stored } from '../../contract/store-kit.ts';
import { startPostgres } from '../../support/postgres.ts';
import { until } from '../../support/until.ts';
import { PostgresDatabase } from './database.ts';

/** The server writes each statement that fails to its log, whole. What publishers sent does not belong there. */

const server = await startPostgres(t);

const SECRETS = ['secret-in-the-data', 'secret-key', 'secret.topic', 'secret-event'];

const SECRET = keyed('secret-key', [draft('secret.topic', 'secret-in-the-data', { event: 'secret-event' })]);
const MANY = Array.from({ length: 50 }, (_, index) => keyed(`secret-key ${index}`, [draft('secret.topic', `secret-in-the-data ${index}`)]));

t.test('an append that fails leaves nothing of its messages and keys in the log of the server', async (t) => {
  const database = await PostgresDatabase.create(server);
  const store = await openStore(t, database);
  await stored(store, [request(draft('a'))]);
  const client = await database.client(t);

  await database.ask("INSERT INTO tidings.messages SELECT 2, time, 0, false, 'a', NULL, '' FROM tidings.messages");
  t.equal(await failure(store.append([SECRET])), 'unavailable', 'a number is taken');
  t.equal(await failure(store.append(MANY)), 'unavailable');
  await database.ask('DELETE FROM tidings.messages WHERE seq = 2');

  for (const ttl of [NaN, 1e300]) t.equal(await failure(store.append([SECRET, request(draft('secret.topic', 'secret-in-the-data', { ttl }))])), 'refused', `a TTL of ${ttl}`);

  await database.setLevel(1_000);
  t.equal(await failure(store.append([SECRET])), 'unavailable', 'the level of the log');
  await database.setLevel(2);

  await client.query('BEGIN; SELECT FROM tidings.head FOR UPDATE');
  const waiting = failure(store.append([SECRET]));
  await database.locked(1, waiting);
  await database.ask(`SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE datname = '${database.name}' AND wait_event_type = 'Lock'`);
  t.equal(await waiting, 'unavailable', 'a statement that was cancelled');
  await client.query('ROLLBACK');

  await t.rejects(database.ask("SELECT 1 / length('') AS marker"), { code: '22012' });
  await until('the server has written', () => server.output.includes('AS marker'));
  for (const secret of SECRETS) t.notOk(server.output.includes(secret), secret);

  t.match((await store.append([SECRET])).outcomes, [{ kind: 'stored', first: 2 }], 'what failed was not stored, and took no number');
});
