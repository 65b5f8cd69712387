import t from 'tap';
import { Lineage } from '../../../src/model/epochs.ts';
import { Filter } from '../../../src/model/topic.ts';
import { appendCall } from '../../../src/store/postgres/messages/append.ts';
import { readCall } from '../../../src/store/postgres/messages/query.ts';
import { TRANSACTION_SETTINGS } from '../../../src/store/postgres/connection/transaction-settings.ts';
import { EVERYTHING, openStore } from '../../contract/store-kit.ts';
import { largeLog } from '../../contract/store-large.ts';
import { startPostgres } from '../../support/postgres.ts';
import { rounds } from '../../support/rounds.ts';
import { PostgresDatabase } from './database.ts';

/** PostgreSQL takes ten times as long as SQLite to store a message. */
const LOG_MESSAGES = rounds(50_000, 100_000);
/** What the server may read for some twenty messages: it fetches ahead. */
const READ_MAX_ROWS = 200;

const server = await startPostgres(t);
const database = await PostgresDatabase.create(server);

largeLog(t, 'PostgreSQL', async () => database, LOG_MESSAGES);

t.test('the server itself reads no more than that: no plan sorts or filters all of a common topic', async (t) => {
  const client = await database.client(t);
  /** Rows that this client has fetched from the table and not yet reported to the server's other sessions. */
  const fetched = async (): Promise<number> => {
    const { rows } = await client.query<{ sum: string }>("SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_xact_user_tables WHERE schemaname = 'tidings' AND relname = 'messages'");
    return Number(rows[0]!.sum);
  };
  const readFor = async (names: readonly string[], limit = EVERYTHING.limit): Promise<number> => {
    // It tells them between transactions only.
    await client.query('BEGIN');
    const before = await fetched();
    await client.query(readCall({ ...EVERYTHING, after: LOG_MESSAGES / 2, filter: new Filter(names), limit }, new Lineage([])));
    const read = await fetched() - before;
    await client.query('COMMIT');
    return read;
  };
  for (const [names, limit] of [[['rare']], [['rooms.few.*']], [['rooms.few.>', 'rooms.none.*.x']], [['family.*', 'rare', 'never']], [['common3'], 5], [['common3', 'rare', 'rooms.>'], 5], [['>'], 5]] as const) {
    const read = await readFor(names, limit);
    t.ok(read > 0 && read <= READ_MAX_ROWS, `${read} rows for ${names.join(' and ')}`);
  }
  // So the count counts.
  t.ok(await readFor(['*.nothing']) >= 10_000);
});

t.test('an append looks at none of the keys that it does not name, also over a connection that knew the table when it was small', async (t) => {
  const client = await database.client(t);
  const store = await openStore(t, database);
  const { lineage, head } = await store.state();
  const circumstances = { begin: false, seen: { epoch: lineage.epochs.at(-1)!.epoch, seq: head }, known: lineage };
  let named = 0;
  /** Appends as many messages, each with a key of its own, and tells how many remembered keys the server has fetched for it. */
  const readFor = async (messages: number): Promise<number> => {
    const requests = Array.from({ length: messages }, () => ({
      drafts: [{ topic: 'news', event: undefined, json: false, ttl: 0, data: Buffer.from('x') }],
      key: { scope: '', key: `key${named++}`, fingerprint: Buffer.alloc(32), window: 86_400_000 },
    }));
    await client.query('BEGIN');
    // With its settings, as an instance sends it: without them each call would be compiled first.
    await client.query(`${TRANSACTION_SETTINGS}; ${appendCall(requests, circumstances).text}`);
    // Of this transaction, before anybody else is told.
    const { rows } = await client.query<{ sum: string }>("SELECT seq_tup_read + idx_tup_fetch AS sum FROM pg_stat_xact_user_tables WHERE schemaname = 'tidings' AND relname = 'keys'");
    await client.query('COMMIT');
    return Number(rows[0]!.sum);
  };
  await readFor(10);
  // From here on the planner takes it for small.
  await database.ask('ANALYZE tidings.keys');
  for (let call = 0; call < 20; call++) await readFor(10);
  await readFor(5_000);
  t.equal(await readFor(10), 0);
  // So the count counts.
  named -= 10;
  t.ok(await readFor(10) >= 10);
});
