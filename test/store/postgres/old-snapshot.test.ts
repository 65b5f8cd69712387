import t from 'tap';
import { Filter } from '../../../src/model/topic.ts';
import type { PostgresStore } from '../../../src/store/postgres/postgres.ts';
import { migrate } from '../../../src/store/postgres/migrate.ts';
import { readClocks } from '../../../src/store/postgres/log-clock.ts';
import { draft, EVERYTHING, keyed, numberedRequests, openStore, request } from '../../contract/store-kit.ts';
import { newKey } from '../../contract/key-store-kit.ts';
import { newSession } from '../../contract/session-store.ts';
import { newTicket } from '../../contract/ticket-store.ts';
import { startPostgres } from '../../support/postgres.ts';
import { until } from '../../support/until.ts';
import { PostgresDatabase } from './database.ts';

/** While a transaction holds an old snapshot, as `pg_dump` does, the server keeps every version of a row that is rewritten. No call reads them all. */

const server = await startPostgres(t, { settings: ['autovacuum = off'] });

/** Versions of each row that is rewritten: they fill twenty pages or more each. */
const VERSIONS = 2_000;
/** How many more pages of these tables a call may read because of them. One scan of any reads more. */
const MORE_MAX_BLOCKS = 12;

/** Versions of the rows of keys, revocations, sessions and tickets: some fifty pages each. */
const STATE_VERSIONS = 4_000;
/** The same for a change of one of these, which looks its row up some ten times, or twenty where it changes it twice: each time one page deeper in the index. */
const CHANGE_MORE_MAX_BLOCKS = 50;
/** The calls that make such a change. */
const CHANGES = new Set(['createKey', 'revoke', 'createSession', 'endSession', 'createTicket', 'useTickets']);

/** Appends that no old snapshot sees. */
const APPENDS = 200;

const FILTER = new Filter(['numbers', 'a.*']);

const CALLS: Readonly<Record<string, (store: PostgresStore, database: PostgresDatabase) => Promise<unknown>>> = {
  append: (store) => store.append([request(draft('a'))]),
  'append with a key': (store) => store.append([keyed(`new ${Math.random()}`, [draft('a')])]),
  'append with a key that is known': (store) => store.append([keyed('known', [draft('a')])]),
  state: (store) => store.state(),
  read: (store) => store.read({ ...EVERYTHING, filter: FILTER }),
  findBack: (store) => store.findBack({ before: VERSIONS, filter: FILTER, limit: 10 }),
  newestWithin: (store) => store.newestWithin({ messages: 100, bytes: 1_000 }),
  seek: (store) => store.seek(Date.now()),
  trim: (store) => store.trim({ maxAge: 0, maxBytes: 1, rows: 1 }),
  'trim by a clock that was counted': (store) => store.trim({ maxAge: 1, maxBytes: 0, rows: 1, counted: { from: Date.now(), latest: Date.now() } }),
  eraseMessage: async (store) => store.erasures.eraseMessage((await store.state()).lineage.at(VERSIONS)),
  keyChanges: (store) => store.keys.keyChanges(0),
  createKey: (store) => store.keys.createKey(newKey(`new ${Math.random()}`)),
  listRevocations: (store) => store.revocations.listRevocations({ after: 0, limit: 10 }),
  revoke: (store) => store.revocations.revoke({ kind: 'jti', name: `new ${Math.random()}`, before: undefined, lifetimeMs: 60_000 }),
  sessionChanges: (store) => store.sessions.sessionChanges(0),
  createSession: (store) => store.sessions.createSession(newSession(`new ${Math.random()}`)),
  endSession: async (store) => {
    const session = newSession(`new ${Math.random()}`);
    await store.sessions.createSession(session);
    await store.sessions.endSession(session);
  },
  ticketUses: (store) => store.tickets.ticketUses(0),
  createTicket: (store) => store.tickets.createTicket(newTicket(`new ${Math.random()}`)),
  useTickets: async (store) => {
    const ticket = newTicket(`new ${Math.random()}`);
    await store.tickets.createTicket(ticket);
    await store.tickets.useTickets([{ ...ticket, hasPosition: true }]);
  },
  'npm run migrate': (_, database) => migrate(database.url),
  'npm run clock': (_, database) => readClocks(database.url),
};

/** The tables with one row that is rewritten, and what moves the row of each in a change: what each change does to it is in the test below. */
const TABLES: Readonly<Record<string, string>> = {
  head: '', retention: '', access: 'version = version + 1', revocation_list: 'version = version + 1', session_state: 'changes = changes + 1', ticket_state: 'changes = changes + 1',
};

/** How many pages of these tables and their indexes each call reads, with what opening a store reads. */
async function blocksRead(database: PostgresDatabase): Promise<Map<string, number>> {
  const count = async (): Promise<number> => {
    // A session says what it has read at its end.
    await until('no other session is left', async () => Number((await database.ask(`SELECT count(*) FROM pg_stat_activity WHERE datname = '${database.name}' AND xact_start IS NULL`))[0]![0]) === 0);
    const [[blocks] = []] = await database.ask(`SELECT sum(heap_blks_read + heap_blks_hit + idx_blks_read + idx_blks_hit) FROM pg_statio_user_tables WHERE relname IN ('${Object.keys(TABLES).join("', '")}')`);
    return Number(blocks);
  };
  const blocks = new Map<string, number>();
  for (const [name, call] of Object.entries(CALLS)) {
    const before = await count();
    const store = database.store();
    await store.open();
    await call(store, database);
    await store.close();
    blocks.set(name, await count() - before);
  }
  return blocks;
}

t.test('what a call reads does not grow with the versions that an old snapshot keeps', async (t) => {
  const database = await PostgresDatabase.create(server);
  const store = await openStore(t, database);
  await store.append([keyed('known', [draft('a')]), ...numberedRequests(VERSIONS)]);
  await store.close();
  const before = await blocksRead(database);

  const reader = await database.client(t);
  await reader.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
  await reader.query('SELECT FROM tidings.head');
  // An append of one message and a deletion of one, again and again.
  const [[epoch]] = (await database.ask('SELECT epoch FROM tidings.head')) as [[string]];
  await database.ask(`DO $$ BEGIN PERFORM set_config('synchronous_commit', 'off', false), set_config('jit', 'off', false); FOR n IN 1 .. ${VERSIONS} LOOP
    PERFORM tidings.append(1, NULL, NULL, NULL, NULL, NULL, false, '{a}', NULL, '{f}', NULL, '{0,1}', 'x', 128, 3600000, 'random00', 1000, false, '${epoch}', 0, '${epoch}', 2);
    COMMIT;
    PERFORM tidings.trim(0, 1, 1, 1000000, 128, NULL, 3600000, '${epoch}', 2);
    COMMIT;
  END LOOP; END $$`);
  const states = Object.entries(TABLES).filter(([, change]) => change !== '');
  await database.ask(`DO $$ BEGIN PERFORM set_config('synchronous_commit', 'off', false); FOR n IN 1 .. ${STATE_VERSIONS} LOOP
    ${states.map(([table, change]) => `UPDATE tidings.${table} SET ${change} WHERE ${change.split(' ', 1)[0]!} = (SELECT max(${change.split(' ', 1)[0]!}) FROM tidings.${table});`).join(' ')} COMMIT;
  END LOOP; END $$`);
  const statePages = Number((await database.ask(`SELECT least(${states.map(([table]) => `pg_relation_size('tidings.${table}')`).join()}) / 8192`))[0]![0]);
  t.ok(statePages > CHANGE_MORE_MAX_BLOCKS, `the tables of keys, revocations, sessions and tickets have ${statePages} pages or more`);
  const pages = Number((await database.ask("SELECT least(pg_relation_size('tidings.head'), pg_relation_size('tidings.retention')) / 8192"))[0]![0]);
  t.ok(pages > MORE_MAX_BLOCKS, `both tables have ${pages} pages or more`);
  const after = await blocksRead(database);
  await reader.query('COMMIT');
  for (const [name, blocks] of after) t.ok(blocks <= (before.get(name) ?? 0) + (CHANGES.has(name) ? CHANGE_MORE_MAX_BLOCKS : MORE_MAX_BLOCKS), `${name}: ${before.get(name) ?? 0} blocks before, ${blocks} after`);
});

t.test('every change of a key, a revocation, a session or a ticket moves what the newest version of its row is found by', async (t) => {
  const database = await PostgresDatabase.create(server);
  await openStore(t, database);
  const store = database.store();
  await store.open();
  t.teardown(() => store.close());
  const changes = { access: ['createKey'], revocation_list: ['revoke'], session_state: ['createSession', 'endSession'], ticket_state: ['createTicket', 'useTickets'] };
  for (const [table, calls] of Object.entries(changes)) {
    const key = async (): Promise<number> => Number((await database.ask(`SELECT ${TABLES[table]!.split(' ', 1)[0]!} FROM tidings.${table}`))[0]![0]);
    for (const call of calls) {
      const before = await key();
      await CALLS[call]!(store, database);
      t.ok(await key() > before, call);
    }
  }
});

t.test('an append of one message seldom needs an entry in the index of the head', async (t) => {
  const database = await PostgresDatabase.create(server);
  const store = await openStore(t, database);
  for (const one of numberedRequests(APPENDS)) await store.append([one]);
  await store.close();
  await until('the server has counted', async () => {
    const [updates = 0, withoutEntry = 0] = (await database.ask("SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'head'"))[0]!.map(Number);
    if (updates < APPENDS) return false;
    t.ok(withoutEntry >= 0.95 * APPENDS, `${withoutEntry} of ${updates}`);
    return true;
  });
});
