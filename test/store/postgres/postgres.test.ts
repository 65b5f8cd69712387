import t from 'tap';
import { draft, openStore, readMessages, request, stored, texts } from '../../contract/store-kit.ts';
import { storeContract } from '../../contract/store.ts';
import { startPostgres } from '../../support/postgres.ts';
import { PostgresDatabase } from './database.ts';

const server = await startPostgres(t);

storeContract(t, 'PostgreSQL', () => PostgresDatabase.create(server));

t.test('what the database is set to changes nothing of what is stored', async (t) => {
  const database = await PostgresDatabase.create(server);
  for (const setting of ['array_nulls = off', 'standard_conforming_strings = off', "default_transaction_isolation = 'serializable'", 'synchronous_commit = off', "bytea_output = 'escape'"]) {
    await server.ask('postgres', `ALTER DATABASE ${database.name} SET ${setting}`);
  }
  const store = await openStore(t, database);
  await stored(store, [request(draft('a', "it's a \\ \"text\"")), request({ ...draft('a', 'named'), event: 'NULL' })]);
  const messages = await readMessages(store);
  t.same(texts(messages), ["it's a \\ \"text\"", 'named']);
  t.same(messages.map(({ event }) => event), [undefined, 'NULL']);
});
