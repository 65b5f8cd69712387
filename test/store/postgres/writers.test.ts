import { Socket } from 'node:net';
import type { Client } from 'pg';
import t, { type Test } from 'tap';
import { appendCall } from '../../../src/store/postgres/messages/append.ts';
import { TRANSACTION_SETTINGS } from '../../../src/store/postgres/connection/transaction-settings.ts';
import type { Store } from '../../../src/store/store.ts';
import { draft, keyed, numberedRequests, openStore, range, readMessages, request, seqs, stored, texts } from '../../contract/store-kit.ts';
import { startPostgres } from '../../support/postgres.ts';
import { until } from '../../support/until.ts';
import { duringLockWait, PostgresDatabase } from './database.ts';

/** Invariant 2 on PostgreSQL: sequence order is commit order, without holes, whoever stops where. */

const server = await startPostgres(t);

/** What an instance sends for an append. */
async function message(store: Store, text: string): Promise<string> {
  const { lineage, head } = await store.state();
  return appendCall([request(draft('a', text))], { begin: false, seen: { epoch: lineage.epochs.at(-1)!.epoch, seq: head }, known: lineage }).text;
}

/** A client past the stores, whose socket the test has in hand. */
async function connect(t: Test, database: PostgresDatabase): Promise<{ readonly client: Client; readonly socket: Socket }> {
  const socket = new Socket();
  return { client: await database.client(t, { stream: () => socket }), socket };
}

for (const { end, expected } of [{ end: 'COMMIT', expected: ['first', 'held', 'after it'] }, { end: 'ROLLBACK', expected: ['first', 'in its place'] }]) {
  t.test(`of two writers, the one with the lower number ends last, with a ${end}: no read skips it`, async (t) => {
    const { other, seen, next } = await duringLockWait(async () => {
      const database = await PostgresDatabase.create(server);
      const store = await openStore(t, database);
      const other = await openStore(t, database);
      await stored(store, [request(draft('a', 'first'))]);
      const { client } = await connect(t, database);
      await client.query('BEGIN');
      await client.query(await message(store, 'held'));
      const appending = stored(store, [request(draft('a', expected.at(-1)))]);
      await database.locked(1, appending);
      const seen = { head: (await other.state()).head, texts: texts(await readMessages(other)) };
      await client.query(end);
      return { other, seen, next: await appending };
    });
    t.same(seen, { head: 1, texts: ['first'] }, 'nobody sees a number before the one below it is decided');
    t.same(next, [expected.length]);
    const messages = await readMessages(other);
    t.same(texts(messages), expected);
    t.same(seqs(messages), range(1, expected.length), 'and there is no hole');
  });
}

t.test('an instance that is stopped at any point of an append leaves the others publishing', async (t) => {
  const database = await PostgresDatabase.create(server);
  const store = await openStore(t, database);
  const bytes = Buffer.from(`${TRANSACTION_SETTINGS}; ${await message(store, 'from the one that was stopped')}\0`);
  const packet = Buffer.concat([Buffer.from('Q'), Buffer.alloc(4), bytes]);
  packet.writeInt32BE(bytes.length + 4, 1);
  // All that the server ever needs of an instance is this one message: before its last byte it does nothing, and after it nothing is left to wait for.
  const points = [1, 5, 6, packet.length >> 1, packet.length - 2, packet.length - 1, packet.length];
  for (const point of points) {
    const { socket } = await connect(t, database);
    // Nothing is read from it any more either, as from a process that was stopped.
    socket.pause();
    const { head } = await store.state();
    socket.write(packet.subarray(0, point));
    if (point === packet.length) await until('it is stored', async () => (await store.state()).head > head);
    const [first] = await stored(store, [request(draft('a', `beside ${point}`))]);
    t.ok(first! > head, `stopped after ${point} of ${packet.length} bytes`);
    socket.destroy();
  }
  const messages = await readMessages(store);
  t.same(seqs(messages), range(1, points.length + 1));
  t.equal(texts(messages).filter((text) => text.startsWith('from')).length, 1, 'what arrived in full was stored once, the rest never');
});

t.test('retention waits for no append, and no append for retention', async (t) => {
  const database = await PostgresDatabase.create(server);
  const store = await openStore(t, database);
  await stored(store, numberedRequests(20));
  await store.append([keyed('expired', [draft('a')], { window: 1 })]);
  const { client } = await connect(t, database);
  const { bytes } = await store.trim({ maxAge: 0, maxBytes: 0, rows: 1 });

  await client.query('BEGIN');
  await client.query('SELECT * FROM tidings.head FOR UPDATE');
  const trimmed = await store.trim({ maxAge: 0, maxBytes: bytes / 2, rows: 100 });
  t.ok(trimmed.messages > 0, 'it deletes while an append holds the head');
  await client.query('COMMIT');

  await client.query('BEGIN');
  await client.query('SELECT * FROM tidings.retention FOR UPDATE');
  t.ok(await stored(store, [request(draft('a'))]));
  t.match(await store.trim({ maxAge: 0, maxBytes: 1, rows: 100 }), { messages: 0, more: false }, 'what another instance deletes just now is left to it');
  await client.query('COMMIT');
  t.match(await store.trim({ maxAge: 0, maxBytes: 1, rows: 100 }), { log: { oldest: 23 } });
});

t.test('ten instances start at once on an empty database', async (t) => {
  const database = await PostgresDatabase.create(server);
  const stores = range(1, 10).map(() => database.store());
  t.teardown(() => Promise.all(stores.map((store) => store.close())));
  await Promise.all(stores.map((store) => store.open()));
  t.equal(new Set(stores.map(({ logId }) => logId)).size, 1);
  await Promise.all(stores.map((store) => stored(store, [request(draft('a'))])));
  t.same(seqs(await readMessages(stores[0]!)), range(1, 10));
  t.equal((await stores[9]!.state()).lineage.epochs.length, 10);
});

t.test('one that is cut off in the middle of the migration leaves it to the next', async (t) => {
  const database = await PostgresDatabase.create(server);
  const { client } = await connect(t, database);
  // What an instance holds that was stopped there; the server would end its transaction after a while.
  await client.query(`BEGIN; SELECT pg_advisory_xact_lock(${Buffer.from('tidings\0').readBigInt64BE()}); CREATE SCHEMA tidings`);
  const store = database.store();
  t.teardown(() => store.close());
  const opened = store.open();
  await database.locked(1, opened);
  await client.end();
  t.match(await opened, { head: 0, oldest: 1 });
});
