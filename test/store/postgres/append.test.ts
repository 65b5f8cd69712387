import t, { type Test } from 'tap';
import { appendCall, appendedIn, type Circumstances } from '../../../src/store/postgres/messages/append.ts';
import type { Row } from '../../../src/store/postgres/connection/connection.ts';
import { TRANSACTION_SETTINGS } from '../../../src/store/postgres/connection/transaction-settings.ts';
import type { AppendRequest, Store } from '../../../src/store/store.ts';
import { draft, keyed, openStore, readMessages, request } from '../../contract/store-kit.ts';
import { startPostgres } from '../../support/postgres.ts';
import { PostgresDatabase } from './database.ts';

/** An append has two ways in the database: a short one for what is new, and a long one for everything else. They store the same. */

const server = await startPostgres(t);

/** Of everything that a request can have, and bytes that SQL, text and `bytea` read otherwise than they are. */
const REQUESTS: readonly AppendRequest[] = [
  request(draft('a', 'text')),
  keyed('several', [draft('ä.ö', '{"n": 1}', { json: true }), draft('a.b', 'x', { event: 'tick', ttl: 5 }), draft('a', '')]),
  keyed('none', []),
  request(draft('a', Buffer.from([0])), draft('a', Buffer.from([0xff, 0xfe])), draft('a', Buffer.from('ab\0ä'))),
  keyed('one', [draft('e', "it's \\x41 \\101 \\\\ E'\\n' ''")], { scope: 'someone', body: 2, window: 10_000 }),
  keyed('one', [draft('e', '\\'.repeat(100))], { scope: 'someone else', body: 3 }),
  request(draft('"{a,b}"', '\\x4142', { event: 'NULL' })),
];
/** Of these, the bytes of all go into SQL as they are. */
const PLAIN = REQUESTS.slice(0, 3);

async function circumstances(store: Store): Promise<Circumstances> {
  const { lineage, head } = await store.state();
  return { begin: false, seen: { epoch: lineage.epochs.at(-1)!.epoch, seq: head }, known: lineage };
}

/** Appends over one connection, and tells each time whether the long way was taken. */
async function ways(t: Test, database: PostgresDatabase): Promise<(requests: readonly AppendRequest[], circumstances: Circumstances) => Promise<'short' | 'long'>> {
  const client = await database.client(t);
  await client.query("SET track_functions = 'pl'");
  /** What this client has not yet reported to the server's other sessions, which it does between transactions only. */
  const longCalls = async (): Promise<number> => {
    const { rows } = await client.query<{ calls: string }>("SELECT s.calls FROM pg_stat_xact_user_functions s JOIN pg_proc p ON p.oid = s.funcid WHERE s.funcname = 'append' AND 'counts' = ANY(p.proargnames)");
    return Number(rows[0]?.calls ?? 0);
  };
  return async (requests, circumstances) => {
    await client.query('BEGIN');
    const before = await longCalls();
    const results = await client.query({ text: `${TRANSACTION_SETTINGS}; ${appendCall(requests, circumstances).text}`, rowMode: 'array' }) as unknown as readonly { rows: Row[] }[];
    appendedIn(results.at(-1)!.rows[0]!);
    const way = await longCalls() > before ? 'long' : 'short';
    await client.query('COMMIT');
    return way;
  };
}

t.test('new messages go the short way; known or doubled keys, and another log, go the long one', async (t) => {
  const database = await PostgresDatabase.create(server);
  const store = await openStore(t, database);
  const way = await ways(t, database);
  const seen = await circumstances(store);

  t.equal(await way([], seen), 'short');
  t.equal(await way(REQUESTS, seen), 'short');
  t.equal(await way([keyed('new', [draft('a')]), request(draft('a'))], seen), 'short');
  t.equal(await way([keyed('newer', [draft('a')]), keyed('new', [draft('a')])], seen), 'long');
  t.equal(await way([keyed('twice', [draft('a')]), keyed('twice', [draft('a')])], seen), 'long');

  const { head } = await store.state();
  t.equal(await way([request(draft('a'))], { ...seen, seen: { ...seen.seen, seq: head + 1 } }), 'long', 'the log ends before what was seen: an epoch begins');
  t.equal(await way([request(draft('a'))], seen), 'long', 'of which the answer tells');
  t.equal(await way([request(draft('a'))], await circumstances(store)), 'short');
  t.equal(await way([request(draft('a'))], { ...await circumstances(store), begin: true }), 'long');
  await database.ask('VACUUM FULL tidings.head');
  t.equal(await way([request(draft('a'))], await circumstances(store)), 'long', 'the head has other files than this connection has met before');
  t.equal(await way([request(draft('a'))], await circumstances(store)), 'short');
  t.equal((await store.state()).lineage.epochs.length, 4);

  const known = await circumstances(store);
  await database.ask('UPDATE tidings.head SET level = 1000');
  await t.rejects(way([request(draft('a'))], known), { code: 'TD001' }, 'a log that this program does not understand');
});

for (const [what, requests] of [['any bytes', REQUESTS], ['plain text', PLAIN]] as const) {
  t.test(`both ways store the same: ${what}`, async (t) => {
    const logs = await Promise.all((['short', 'long'] as const).map(async (expected) => {
      const database = await PostgresDatabase.create(server);
      const store = await openStore(t, database);
      const seen = await circumstances(store);
      t.equal(await (await ways(t, database))(requests, { ...seen, begin: expected === 'long' }), expected);
      const messages = (await readMessages(store)).map(({ seq, topic, event, json, data }) => ({ seq, topic, event, json, data: Buffer.from(data).toString('hex') }));
      t.same(messages, requests.flatMap(({ drafts }) => drafts).map(({ topic, event, json, data }, index) => ({ seq: index + 1, topic, event, json, data: Buffer.from(data).toString('hex') })));
      return {
        messages,
        head: await database.ask('SELECT seq, bytes, (SELECT sum(octet_length(data) + 3 * octet_length(topic) + coalesce(octet_length(event), 0) + 128) FROM tidings.messages) = bytes FROM tidings.head'),
        ttls: await database.ask('SELECT CASE expires WHEN 0 THEN NULL ELSE expires - time END, time = (SELECT time FROM tidings.head) FROM tidings.messages ORDER BY seq'),
        keys: await database.ask("SELECT scope, key, encode(fingerprint, 'hex'), first, expires - time, time = (SELECT time FROM tidings.head), epoch = (SELECT epoch FROM tidings.head) FROM tidings.keys ORDER BY scope, key"),
        again: (await store.append(requests.filter(({ key }) => key !== undefined))).outcomes.map(({ kind, ...outcome }) => [kind, 'first' in outcome && outcome.first]),
      };
    }));
    t.same(logs[0], logs[1]);
    t.equal(logs[0]!.head[0]![2], true);
    t.ok(logs[0]!.again.every(([kind]) => kind === 'replayed'));
  });
}

t.test('appends that fail do not count among the keys that are held', async (t) => {
  const database = await PostgresDatabase.create(server);
  const store = await openStore(t, database);
  const keys = (name: string, count: number): AppendRequest[] => Array.from({ length: count }, (_, index) => keyed(`${name} ${index}`, [draft('a')]));
  await store.append([request(draft('a')), ...keys('before', 5), request(draft('a'))]);
  const { head } = await store.state();
  // Of both ways.
  for (const repeated of [[], keys('before', 1)]) {
    const taken = head + 1;
    await database.ask(`INSERT INTO tidings.messages SELECT ${taken}, time, 0, false, 'a', NULL, '' FROM tidings.messages WHERE seq = 1`);
    for (let count = 0; count < 5; count++) await t.rejects(store.append([...repeated, ...keys('failing', 50)]));
    await database.ask(`DELETE FROM tidings.messages WHERE seq = ${taken}`);
  }
  await store.append([...keys('after', 3), request(draft('a')), ...keys('later', 2)]);
  await store.append([...keys('before', 1), ...keys('last', 2)]);
  t.match(await store.trim({ maxAge: 0, maxBytes: 0, maxKeys: 20, rows: 1_000 }), { keys: 0, youngKeys: 0, heldKeys: 12 });
  t.match(await store.trim({ maxAge: 0, maxBytes: 0, maxKeys: 4, rows: 1_000 }), { keys: 8, heldKeys: 4 });
  const { outcomes } = await store.append([...keys('later', 2), ...keys('last', 2)]);
  t.same(outcomes.map(({ kind }) => kind), Array(4).fill('replayed'), 'the newest are there');
});
