import { randomBytes } from 'node:crypto';
import t from 'tap';
import { PostgresStore } from '../../../src/store/postgres/postgres.ts';
import { complaint, draft, openStore, range, request } from '../../contract/store-kit.ts';
import { quietLogger } from '../../support/logger.ts';
import { startPostgres } from '../../support/postgres.ts';
import { until } from '../../support/until.ts';
import { PostgresDatabase } from './database.ts';

/** What PostgreSQL keeps of an erased message where queries do not find it: dead rows, and rows out of line. */

const SECRET = 'secret-that-was-published-by-mistake';

const server = await startPostgres(t, { settings: ['autovacuum = off'] });

/** Dead rows as the server counts them: of the table of messages, and of what lies out of line. */
async function dead(database: PostgresDatabase): Promise<number> {
  await database.ask('SELECT pg_stat_force_next_flush()');
  const [[count] = []] = await database.ask(`SELECT sum(n_dead_tup)::integer FROM pg_stat_all_tables
    WHERE relid = 'tidings.messages'::regclass OR relid = (SELECT reltoastrelid FROM pg_class WHERE oid = 'tidings.messages'::regclass)`);
  return Number(count);
}

t.test('a wipe vacuums the table of messages, once', async (t) => {
  const database = await PostgresDatabase.create(server);
  const store = await openStore(t, database);
  const { log } = await store.append([request(draft('a', SECRET)), request(draft('a', SECRET.repeat(10_000))), request(draft('a', 'kept'))]);
  for (const seq of [1, 2]) await store.erasures.eraseMessage(log.lineage.at(seq));
  const vacuums = async (): Promise<number> => Number((await database.ask("SELECT vacuum_count FROM pg_stat_all_tables WHERE relid = 'tidings.messages'::regclass"))[0]![0]);
  t.equal(await store.erasures.wipe(), 'done');
  t.equal(await dead(database), 0);
  t.equal(await vacuums(), 1);
  t.equal(await store.erasures.wipe(), 'done');
  t.equal(await vacuums(), 1, 'nothing was left to do');
  await database.ask('CREATE EXTENSION IF NOT EXISTS pageinspect');
  const [[rows] = []] = await database.ask("SELECT count(*)::integer FROM heap_page_items(get_raw_page('tidings.messages', 0)) WHERE t_data IS NOT NULL AND position('secret-that' IN encode(t_data, 'escape')) > 0");
  t.equal(Number(rows), 0, 'no row has it, dead or alive');
});

t.test('what retention deletes is vacuumed as it goes, so that the tables do not grow by what was ever published', async (t) => {
  const database = await PostgresDatabase.create(server);
  const store = database.store({ vacuumBytes: 1024 * 1024 });
  t.teardown(() => store.close());
  await store.open();
  const ask = async (what: string): Promise<number> => Number((await database.ask(`SELECT ${what} FROM pg_stat_all_tables WHERE relid = 'tidings.messages'::regclass`))[0]![0]);
  const sizes: number[] = [];
  for (const round of range(1, 12)) {
    await store.append([request(...range(1, 800).map((index) => draft(`topic.${round}.${index}`, randomBytes(1_000))), ...range(1, 40).map(() => draft('large', randomBytes(20_000))))]);
    let trimmed;
    do trimmed = await store.trim({ maxAge: 0, maxBytes: 100_000, rows: 500 }); while (trimmed.more);
    await until('it is vacuumed', async () => await ask('vacuum_count') >= round);
    sizes.push(await ask('pg_total_relation_size(relid)'));
  }
  t.ok(Math.max(...sizes) <= 2.5 * sizes[0]!, `it grew from ${sizes[0]} to ${Math.max(...sizes)} bytes`);
});

t.test('a role that does not own the table cannot vacuum it, and says so', async (t) => {
  const database = await PostgresDatabase.create(server);
  const owner = await openStore(t, database);
  const { log } = await owner.append([request(draft('a', SECRET))]);
  await owner.erasures.eraseMessage(log.lineage.at(1));
  const role = `guest_${database.name}`;
  await database.ask(`CREATE ROLE ${role} LOGIN; GRANT USAGE ON SCHEMA tidings TO ${role}; GRANT ALL ON ALL TABLES IN SCHEMA tidings TO ${role}; GRANT ALL ON ALL FUNCTIONS IN SCHEMA tidings TO ${role};
    GRANT EXECUTE ON FUNCTION pg_control_system() TO ${role}; GRANT pg_read_all_settings TO ${role}`);
  const url = new URL(database.url);
  url.username = role;
  const guest = new PostgresStore({ url: url.href, maxPgConnections: 2, logger: quietLogger });
  t.teardown(() => guest.close());
  await guest.open();
  t.match(await complaint(guest.erasures.wipe()), /may not vacuum/);
  t.equal(await owner.erasures.wipe(), 'done', 'the owner can');
});
