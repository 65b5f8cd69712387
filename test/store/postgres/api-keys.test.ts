import t from 'tap';
import { UNDERSTOOD_LEVEL } from '../../../src/store/level.ts';
import { failureReason } from '../../../src/store/failure-reason.ts';
import { changesCall } from '../../../src/store/postgres/records/api-keys.ts';
import { openKeyStore } from '../../../src/store/postgres/open-key-store.ts';
import { PostgresStore } from '../../../src/store/postgres/postgres.ts';
import { digestsOf, everyKeyCall, find, hex, idsOf, listAll, newKey, NOTHING, openInstance, sha256, versionOf } from '../../contract/key-store-kit.ts';
import { keyStoreContract, keyStoreLife } from '../../contract/key-store.ts';
import { complaint, draft, failure, request, stored } from '../../contract/store-kit.ts';
import { Link } from '../../support/link.ts';
import { quietLogger } from '../../support/logger.ts';
import { startPostgres, type PostgresServer } from '../../support/postgres.ts';
import type { Scope } from '../../support/temp.ts';
import { until } from '../../support/until.ts';
import { duringLockWait, PostgresDatabase } from './database.ts';

const server = await startPostgres(t);

keyStoreContract(t, 'PostgreSQL', () => PostgresDatabase.create(server));
keyStoreLife(t, 'PostgreSQL', () => PostgresDatabase.create(server));

async function overLink(t: Scope, to: PostgresServer): Promise<{ readonly store: PostgresStore; readonly link: Link; readonly database: PostgresDatabase }> {
  const database = await PostgresDatabase.create(to);
  const link = await Link.start(t, to.port);
  const store = new PostgresStore({ url: to.url(database.name, link), maxPgConnections: 3, logger: quietLogger });
  t.teardown(() => store.close());
  await store.open();
  return { store, link, database };
}

t.test('what the database is set to changes nothing of a key', async (t) => {
  const database = await PostgresDatabase.create(server);
  for (const setting of ['array_nulls = off', 'standard_conforming_strings = off', "default_transaction_isolation = 'serializable'", 'synchronous_commit = off', "bytea_output = 'escape'", "IntervalStyle = 'iso_8601'"]) {
    await server.ask('postgres', `ALTER DATABASE ${database.name} SET ${setting}`);
  }
  const { keys } = await openInstance(t, database);
  const odd = ["it's a \\ \"text\"", '\\', "\\'", "\\\\''", "'; DROP SCHEMA tidings CASCADE; --", '\\n', "E'\\n'", '{a,b}', 'NULL', '"NULL"', '\\x00'];
  for (const text of odd) {
    const key = newKey(text, { name: text, permissions: { publish: [text], subscribe: odd, admin: false, operate: false } });
    await keys.createKey(key);
    t.match(await find(keys, text), { name: text, permissions: { publish: [text], subscribe: odd } });
    t.same(digestsOf(await find(keys, text)), [hex(key.digest)]);
  }
  t.same(idsOf(await listAll(keys)).sort(), [...odd].sort());
  t.equal(await failure(keys.createKey(newKey('a\0b'))), 'refused');
});

t.test('keys that may do no more than before are stored as before; what an older program does not know is a member that it does not look at', async (t) => {
  const database = await PostgresDatabase.create(server);
  const { keys } = await openInstance(t, database);
  const textOf = async (id: string): Promise<unknown> => (await database.ask(`SELECT permissions FROM tidings.api_keys WHERE id = '${id}'`))[0]?.[0];
  for (const [id, more] of [['plain', {}], ['metrics', { operate: true }], ['moderator', { erase: ['a'] }]] as const) await keys.createKey(newKey(id, { permissions: { ...NOTHING, ...more } }));
  t.equal(await textOf('plain'), '{"publish":[],"subscribe":[],"admin":false}');
  t.equal(await textOf('metrics'), '{"publish":[],"subscribe":[],"admin":false,"operate":true}');
  t.equal(await textOf('moderator'), '{"publish":[],"subscribe":[],"erase":["a"],"admin":false}');
  t.match(await keys.findKeys(['plain']), [{ permissions: NOTHING }]);
});

t.test('a change whose answer is lost may have happened; asked for again, it happens once', async (t) => {
  const key = newKey('a');
  const { store, outcome } = await duringLockWait(async () => {
    const { store, link, database } = await overLink(t, server);
    const holder = await database.client(t);
    await holder.query('BEGIN; SELECT FROM tidings.access FOR UPDATE');
    const creating = failure(store.keys.createKey(key));
    await database.locked(1, creating);
    link.cut();
    const outcome = await creating;
    t.equal(await failure(store.keys.createKey(newKey('b'))), 'unavailable', 'what cannot be sent did not happen');
    await holder.query('COMMIT');
    link.heal();
    return { store, outcome };
  });
  t.equal(outcome, 'outcome-unknown');
  t.match(await store.keys.createKey(key), { id: 'a' });
  t.match(await store.keys.keyChanges(0), { version: 1, changed: ['a'] });
});

t.test('a change that waits for another keeps no publisher and no reader waiting', async (t) => {
  const { changed, seqs, seen } = await duringLockWait(async () => {
    const database = await PostgresDatabase.create(server);
    const store = await openInstance(t, database);
    const holder = await database.client(t);
    await holder.query('BEGIN; SELECT FROM tidings.access FOR UPDATE');
    const changing = store.keys.createKey(newKey('a'));
    await database.locked(1, changing);
    const seqs = await stored(store, [request(draft('a'))]);
    const seen = await store.keys.keyChanges(0);
    await holder.query('COMMIT');
    return { changed: await changing, seqs, seen };
  });
  t.match(changed, { id: 'a' });
  t.same(seqs, [1]);
  t.match(seen, { version: 0, changed: [] }, 'nobody sees a version before it is decided');
});

t.test('a log of a higher level takes no change of a key, and answers nothing', async (t) => {
  const database = await PostgresDatabase.create(server);
  const { keys } = await openInstance(t, database);
  await keys.createKey(newKey('a'));
  await database.ask(`UPDATE tidings.head SET level = ${UNDERSTOOD_LEVEL + 1}`);
  const command = await database.command();
  for (const through of [keys, command]) {
    for (const call of everyKeyCall(through)) t.equal(failureReason(await complaint(call())), 'level');
  }
  await command.close();
  await database.ask(`UPDATE tidings.head SET level = ${UNDERSTOOD_LEVEL}`);
  t.equal(await versionOf(keys), 1);
  t.match(await listAll(keys), [{ id: 'a', revoked: undefined, lastUsed: undefined }]);
});

t.test('a standby is not believed; one that became the primary has lost changes, and says that any key may have changed', async (t) => {
  const primary = await startPostgres(t);
  const { store: { keys }, link, database } = await overLink(t, primary);
  const replication = await Link.start(t, primary.port);
  await keys.createKey(newKey('a'));
  await keys.createKey(newKey('b'));
  const standby = await primary.standby(replication);
  await until('the standby has them', async () => String(await standby.ask(database.name, 'SELECT version FROM tidings.access').catch(() => '')) === '2');
  replication.cut();
  await keys.revokeKey('a');
  await keys.createKey(newKey('lost'));
  const seen = await versionOf(keys);
  await primary.stop();
  link.lead(standby.port);
  for (const call of [() => keys.keyChanges(0), () => keys.findKeys(['lost']), () => keys.listKeys({ after: '', limit: 1 }), () => keys.revokeKey('a')]) {
    await until('it says so', async () => /standby/.test(await complaint(call())));
  }
  await standby.promote();
  await until('it takes changes', async () => await failure(keys.createKey(newKey('c'))) === 'none');
  // Without a leap, the versions that were seen would be given again here.
  for (const id of ['d', 'e']) await keys.createKey(newKey(id));
  const { version, changed } = await keys.keyChanges(seen);
  t.ok(version > seen);
  t.equal(changed, undefined);
  t.match(await keys.keyChanges(version), { version, changed: [] });
  t.match(await keys.keyChanges(version - 1), { changed: ['e'] });
  t.same(idsOf(await listAll(keys)), ['a', 'b', 'c', 'd', 'e']);
});

t.test('a role that may only change keys can do that', async (t) => {
  const database = await PostgresDatabase.create(server);
  const { keys } = await openInstance(t, database);
  await server.ask(database.name, `CREATE ROLE keeper LOGIN; GRANT USAGE ON SCHEMA tidings TO keeper;
    GRANT SELECT, INSERT, UPDATE, DELETE ON tidings.api_keys TO keeper; GRANT SELECT, UPDATE ON tidings.access TO keeper;
    GRANT SELECT ON tidings.head, tidings.retention, tidings.messages, tidings.__drizzle_migrations TO keeper`);
  const command = await openKeyStore(database.url.replace('tidings@', 'keeper@'));
  t.teardown(() => command.close());
  await command.createKey(newKey('a'));
  await command.rotateKey('a', { digest: sha256('x'), overlapMs: 0 });
  await command.noteUse(['a']);
  await command.revokeKey('a');
  t.match(await keys.keyChanges(0), { version: 3, changed: ['a'] });
  t.match(await listAll(command), [{ id: 'a', revoked: Number, lastUsed: Number }]);
});

t.test('a command tells whether it has made the log, and makes none where it may not', async (t) => {
  const { url, name } = await PostgresDatabase.create(server);
  t.match(await complaint(openKeyStore(url, { isMaking: false })), /^there is no log in this database/);
  t.same(await server.ask(name, "SELECT 1 FROM pg_namespace WHERE nspname = 'tidings'"), []);
  for (const isNew of [true, false]) {
    const command = await openKeyStore(url);
    t.equal(command.isNew, isNew);
    await command.close();
  }
});

t.test('the poll reads no more than what changed', async (t) => {
  const database = await PostgresDatabase.create(server);
  await openInstance(t, database);
  await database.fillKeys(1, 20_000, false);
  for (const after of [0, 19_990, 20_000]) {
    const plan = (await database.ask(`EXPLAIN ${changesCall(after)}`)).flat().join('\n');
    t.match(plan, /Index Scan using api_keys_version/);
    t.notMatch(plan, /Seq Scan on api_keys/);
  }
});
