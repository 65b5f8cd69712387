import t, { type Test } from 'tap';
import { Ancestry } from '../../../src/model/ancestry.ts';
import { Lineage } from '../../../src/model/epochs.ts';
import type { Position } from '../../../src/model/position.ts';
import { appendCall, appendedIn } from '../../../src/store/postgres/messages/append.ts';
import type { Row } from '../../../src/store/postgres/connection/connection.ts';
import { PostgresStore } from '../../../src/store/postgres/postgres.ts';
import type { Store } from '../../../src/store/store.ts';
import { complaint, draft, failure, numberedRequests, openStore, range, readMessages, request, seqs, stored, texts } from '../../contract/store-kit.ts';
import { Link } from '../../support/link.ts';
import { quietLogger } from '../../support/logger.ts';
import { startPostgres, type PostgresServer } from '../../support/postgres.ts';
import { until } from '../../support/until.ts';
import { PostgresDatabase } from './database.ts';

/** Invariant 8 on PostgreSQL: an asynchronous replica that becomes the primary has lost the newest commits. */

interface Pair {
  readonly primary: PostgresServer;
  readonly standby: PostgresServer;
  readonly database: PostgresDatabase;
  readonly store: Store;
  /** Of the messages that only the primary had. */
  readonly lost: readonly Position[];
}

/** A primary that was lost with five messages that its standby never got; five others are on both. */
async function lose(t: Test): Promise<Pair> {
  const primary = await startPostgres(t);
  const database = await PostgresDatabase.create(primary);
  const store = await openStore(t, database);
  const link = await Link.start(t, primary.port);
  const standby = await primary.standby(link);
  await stored(store, numberedRequests(5));
  await replicated(standby, database);
  link.cut();
  await stored(store, numberedRequests(5, 'lost', 6));
  const lost = (await readMessages(store)).slice(5);
  await primary.stop();
  return { primary, standby, database, store, lost };
}

/** Waits until a standby has the five messages that were stored first. */
async function replicated(standby: PostgresServer, database: PostgresDatabase): Promise<void> {
  await until('the standby has them', async () => String(await standby.ask(database.name, 'SELECT seq FROM tidings.head').catch(() => '')) === '5');
}

/** For tests that leave it as it is. */
const shared = await startPostgres(t);

t.test('who was led to a standby for a while is not stuck with it', async (t) => {
  const primary = shared;
  const database = await PostgresDatabase.create(primary);
  const standby = await primary.standby(primary);
  const link = await Link.start(t, primary.port);
  const store = new PostgresStore({ url: primary.url(database.name, link), maxPgConnections: 3, logger: quietLogger });
  t.teardown(() => store.close());
  await store.open();
  await stored(store, numberedRequests(5));
  await replicated(standby, database);
  link.lead(standby.port);
  link.reset();
  await until('it asks the standby', async () => /standby/.test(await complaint(store.state())));
  await until('it writes to the standby', async () => /standby/.test(await complaint(store.append([]))));
  link.lead(primary.port);
  t.same(await stored(store, [request(draft('a', 'after'))]), [6], 'the standby goes on, and so would a connection to it');
  t.equal((await store.state()).head, 6);
  t.same(seqs(await readMessages(store)), range(1, 6));
});

t.test('a standby, and what becomes of it', async (t) => {
  const { standby, database, lost } = await lose(t);
  const store = new PostgresStore({ url: standby.url(database.name), maxPgConnections: 2, logger: quietLogger });
  t.teardown(() => store.close());

  await t.test('it takes no messages, and its state is not taken for the log\'s', async (t) => {
    t.equal(await failure(store.open()), 'unavailable');
  });

  await standby.promote();
  await t.test('an append that meets it when it was promoted begins an epoch, though no connection was lost and no checkpoint was made', async (t) => {
    const [[timeline, epoch] = []] = await standby.ask(database.name, 'SELECT split_part(server, \'/\', 2), epoch FROM tidings.head');
    t.equal(timeline, '00000001', 'the head still names the server that was lost');
    t.equal(epoch, lost[0]!.epoch);
    // As it comes from an instance that has not heard of anything, behind a pooler, say.
    const call = appendCall([request(draft('a', 'new'))], { begin: false, seen: { epoch: String(epoch), seq: 5 }, known: new Lineage([]) });
    const [row] = await standby.ask(database.name, call.text);
      const [, , storedEpoch] = appendedIn(row as Row);
    t.ok(String(storedEpoch).startsWith(call.random));
    t.same(await standby.ask(database.name, "SELECT split_part(server, '/', 2) FROM tidings.head"), [['00000002']]);
  });

  await t.test('the store that it refused opens it', async (t) => {
    await store.open();
    t.equal((await store.state()).head, 6);
  });
});

t.test('an instance that saw the lost messages goes on, and no id means two of them', async (t) => {
  const { primary, standby, store, lost } = await lose(t);
  await standby.replace(primary);
  await until('it is back', async () => await failure(store.state()) === 'none');
  const before = await store.state();
  t.equal(before.head, 5);
  t.ok(lost.every(({ seq }) => seq > before.head), 'before anything is published, they are ahead of the log');
  await until('it stores', async () => await failure(store.append([])) === 'none');
  await stored(store, numberedRequests(20, 'new'));
  const { lineage } = await store.state();
  t.same(lost.map((position) => lineage.isGood(position)), [false, false, false, false, false], 'also after the new primary has counted past them');
  t.same(lost.map((position) => lineage.shared(position)), [5, 5, 5, 5, 5]);
  const messages = await readMessages(store);
  t.same(seqs(messages), range(1, 25));
  t.ok(messages.every((message) => lineage.isGood(message)));
  t.same(texts(messages).slice(0, 6), ['1', '2', '3', '4', '5', '1']);
});

t.test('an epoch that was lost with its messages is not taken for the one that has its row now', async (t) => {
  const primary = await startPostgres(t);
  const database = await PostgresDatabase.create(primary);
  const store = await openStore(t, database);
  await stored(store, numberedRequests(5));
  const link = await Link.start(t, primary.port);
  const standby = await primary.standby(link);
  await replicated(standby, database);
  link.cut();
  const other = await openStore(t, database);
  await stored(other, numberedRequests(5, 'lost', 6));
  const lost = (await readMessages(store)).slice(5);
  await primary.stop();
  await standby.replace(primary);
  for (const one of [store, other]) {
    await until('it stores', async () => await failure(one.append([request(draft('a'))])) === 'none');
    const { lineage } = await one.state();
    t.equal(lineage.epochs.filter(({ epoch }) => epoch === lost[0]!.epoch).length, 0);
    t.same(lost.map((position) => lineage.shared(position)), Array(5).fill(undefined), 'nothing of it is known');
    t.same(lost.map((position) => new Ancestry().shared(position, lineage)), Array(5).fill(5), 'but for where it began');
  }
  t.same((await store.state()).lineage.epochs, (await other.state()).lineage.epochs);
  const messages = await readMessages(other);
  t.same(seqs(messages), range(1, messages.length));
  t.ok(messages.every((message) => !lost.some(({ epoch, seq }) => epoch === message.epoch && seq === message.seq)), 'no id means two messages');
});

t.test('a copy that is put in the place of the database under running instances begins an epoch', async (t) => {
  const database = await PostgresDatabase.create(shared);
  const first = await openStore(t, database);
  await stored(first, numberedRequests(5));
  await first.close();
  const restore = await database.backup();
  const store = await openStore(t, database);
  await stored(store, numberedRequests(5, 'lost', 6));
  const lost = (await readMessages(store)).slice(5);
  await shared.ask('postgres', `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${database.name}'`);
  await restore();
  await until('it stores', async () => await failure(store.append(numberedRequests(10, 'new'))) === 'none');
  const { lineage } = await store.state();
  t.same(lost.map((position) => lineage.isGood(position)), Array(5).fill(false));
  t.same(seqs(await readMessages(store)), range(1, 15));
});

t.test('a log that was set back past the store is noticed by the first append', async (t) => {
  const database = await PostgresDatabase.create(shared);
  const store = await openStore(t, database);
  await stored(store, numberedRequests(10));
  const lost = (await readMessages(store)).slice(5);
  await database.ask('DELETE FROM tidings.messages WHERE seq > 5; UPDATE tidings.head SET seq = 5');
  await stored(store, numberedRequests(10, 'new'));
  const { lineage } = await store.state();
  t.same(lineage.epochs.map(({ first }) => first), [1, 6]);
  t.same(lost.map((position) => lineage.isGood(position)), Array(5).fill(false));
});
