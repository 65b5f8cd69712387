import t from 'tap';
import { newSession, sessionStoreContract } from '../../contract/session-store.ts';
import { failure } from '../../contract/store-kit.ts';
import { PostgresStore } from '../../../src/store/postgres/postgres.ts';
import { changesCall } from '../../../src/store/postgres/records/sessions.ts';
import { Link } from '../../support/link.ts';
import { quietLogger } from '../../support/logger.ts';
import { startPostgres } from '../../support/postgres.ts';
import { until } from '../../support/until.ts';
import { duringLockWait, PostgresDatabase, readsAll } from './database.ts';

const server = await startPostgres(t);

sessionStoreContract(t, 'PostgreSQL', () => PostgresDatabase.create(server));

t.test('no creation reads all sessions', async (t) => {
  t.notOk(await readsAll(server, { table: 'sessions', fill: (database, count) => database.fillSessions(count), create: (store, name) => store.sessions.createSession(newSession(name)) }));
});

t.test('a creation whose answer is lost may have happened; asked for again, it happens once', async (t) => {
  const session = newSession('a');
  const { store, outcome, database } = await duringLockWait(async () => {
    const database = await PostgresDatabase.create(server);
    const link = await Link.start(t, server.port);
    const store = new PostgresStore({ url: server.url(database.name, link), maxPgConnections: 3, logger: quietLogger });
    t.teardown(() => store.close());
    await store.open();
    const holder = await database.client(t);
    await holder.query('BEGIN; SELECT FROM tidings.session_state FOR UPDATE');
    const creating = failure(store.sessions.createSession(session));
    await database.locked(1, creating);
    link.cut();
    const outcome = await creating;
    await holder.query('COMMIT');
    link.heal();
    return { store, outcome, database };
  });
  t.equal(outcome, 'outcome-unknown');
  t.match(await store.sessions.createSession(session), { session: { id: 'a' }, ended: [] });
  t.equal(await database.countSessions(), 1);
});

t.test('a standby is not believed; one that became the primary has lost ends, and says that any session may have ended', async (t) => {
  const primary = await startPostgres(t);
  const database = await PostgresDatabase.create(primary);
  const link = await Link.start(t, primary.port);
  const store = new PostgresStore({ url: primary.url(database.name, link), maxPgConnections: 3, logger: quietLogger });
  t.teardown(() => store.close());
  await store.open();
  const { sessions } = store;
  const made = ['a', 'b', 'c', 'd'].map((id) => newSession(id));
  for (const session of made) await sessions.createSession(session);
  await sessions.endSession(made[0]!);
  const replication = await Link.start(t, primary.port);
  const standby = await primary.standby(replication);
  await until('the standby has them', async () => String(await standby.ask(database.name, 'SELECT version FROM tidings.session_state').catch(() => '')) === '1');
  replication.cut();
  await sessions.endSession(made[1]!);
  const { version: seen } = await sessions.sessionChanges(0);
  await primary.stop();
  link.lead(standby.port);
  for (const call of [() => sessions.sessionChanges(0), () => sessions.findSessions(['a']), () => sessions.createSession(newSession('x'))]) await until('it is not believed', async () => await failure(call()) !== 'none');
  await standby.promote();
  await until('it takes changes', async () => await failure(sessions.endSession(made[2]!)) === 'none');
  await sessions.endSession(made[3]!);
  const { version, changed } = await sessions.sessionChanges(seen);
  t.ok(version > seen);
  t.equal(changed, undefined);
  t.match(await sessions.sessionChanges(version - 1), { changed: ['d'] });
});

t.test('the poll reads ended sessions only', async (t) => {
  const database = await PostgresDatabase.create(server);
  const store = database.store();
  t.teardown(() => store.close());
  await store.open();
  await database.ask(`INSERT INTO tidings.session_ends SELECT n, 'a' || n FROM generate_series(1, 1000) n; UPDATE tidings.session_state SET version = 1000; ANALYZE tidings.session_ends`);
  t.match((await database.ask(`EXPLAIN ${changesCall(990)}`)).flat().join('\n'), /Index (?:Only )?Scan using session_ends_pkey/);
});
