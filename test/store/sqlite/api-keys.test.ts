import { existsSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import Database from 'better-sqlite3';
import t from 'tap';
import { UNDERSTOOD_LEVEL } from '../../../src/store/level.ts';
import { failureReason } from '../../../src/store/failure-reason.ts';
import { openKeyStore } from '../../../src/store/sqlite/open-key-store.ts';
import { digestsOf, everyKeyCall, find, hex, listAll, newKey, NOTHING, openInstance, sha256, versionOf } from '../../contract/key-store-kit.ts';
import { keyStoreContract, keyStoreLife } from '../../contract/key-store.ts';
import { complaint, draft, failure, request, stored } from '../../contract/store-kit.ts';
import { tempFolder } from '../../support/temp.ts';
import { until } from '../../support/until.ts';
import { child, SqliteDatabase } from './database.ts';

keyStoreContract(t, 'SQLite', async (scope) => new SqliteDatabase(scope));
keyStoreLife(t, 'SQLite', async (scope) => new SqliteDatabase(scope));

t.test('a writer that ends in the middle of a change: nobody knows, and asked for again it happens once', async (t) => {
  const database = new SqliteDatabase(t, { lockWaitMs: 60_000 });
  const workers: Worker[] = [];
  const watch = (worker: Worker): number => workers.push(worker);
  process.on('worker', watch);
  t.teardown(() => process.removeListener('worker', watch));
  const { keys } = await openInstance(t, database);
  await until('both run', () => workers.length === 2);
  const [old, key] = [newKey('old'), newKey('new')];
  await keys.createKey(old);
  const holder = new Database(database.file);
  t.teardown(() => holder.close());
  holder.exec('BEGIN IMMEDIATE');
  const calls = [failure(keys.createKey(key)), failure(keys.rotateKey('old', { digest: sha256('x'), overlapMs: 0 })), failure(keys.revokeKey('old')), failure(keys.noteUse(['old']))];
  await workers[0]!.terminate();
  t.same(await Promise.all(calls), ['outcome-unknown', 'outcome-unknown', 'outcome-unknown', 'unavailable']);
  t.same(digestsOf(await find(keys, 'old')), [hex(old.digest)], 'reads go on');
  holder.exec('COMMIT');
  await until('a new writer has booted', () => workers.length >= 3);
  t.match(await keys.createKey(key), { id: 'new' });
  t.equal(await versionOf(keys), 2);
});

t.test('another process that holds the lock: a change waits for it, and then has not happened; reads go on', async (t) => {
  const database = new SqliteDatabase(t, { lockWaitMs: 100 });
  const { keys } = await openInstance(t, database);
  await keys.createKey(newKey('a'));
  const holder = new Database(database.file);
  t.teardown(() => holder.close());
  holder.exec('BEGIN IMMEDIATE');
  for (const call of [keys.createKey(newKey('b')), keys.revokeKey('a'), keys.noteUse(['a'])]) t.equal(failureReason(await complaint(call)), 'locked');
  t.match(await keys.keyChanges(0), { version: 1, changed: ['a'] });
  holder.exec('COMMIT');
  t.match(await listAll(keys), [{ id: 'a', revoked: undefined, lastUsed: undefined }]);
  t.equal(await versionOf(keys), 1);
});

t.test('a command of another process makes a key beside an instance, also when both write, and waits for a lock', async (t) => {
  const database = new SqliteDatabase(t);
  const store = await openInstance(t, database);
  await stored(store, [request(draft('a'))]);
  const lock = child(t, ['lock', database.file]);
  await lock.says('locked');
  const creating = child(t, ['createKeys', database.file, 'x']);
  await creating.says('opens');
  lock.kill('SIGUSR2');
  // Killed after the answer: what was answered is kept.
  await creating.says('created 100');
  creating.kill('SIGKILL');
  await creating.exited;
  for (const id of ['y1', 'y2']) await store.keys.createKey(newKey(id));
  t.equal((await listAll(store.keys)).length, 102);
  t.equal((await store.keys.keyChanges(0)).changed?.length, 102);
  t.same(await stored(store, [request(draft('a'))]), [2]);
  t.equal((await store.state()).lineage.epochs.length, 1);
});

t.test('a file that was replaced says nothing of keys', async (t) => {
  const database = new SqliteDatabase(t);
  const { keys } = await openInstance(t, database);
  await keys.createKey(newKey('a'));
  renameSync(database.file, `${database.file}.moved`);
  for (const call of [() => keys.keyChanges(0), () => keys.findKeys(['a']), () => keys.revokeKey('a')]) t.equal(failureReason(await complaint(call())), 'replaced');
});

t.test('a log of a higher level takes no change of a key, and answers nothing', async (t) => {
  const database = new SqliteDatabase(t);
  const { keys } = await openInstance(t, database);
  await keys.createKey(newKey('a'));
  database.direct((db) => db.exec(`UPDATE head SET level = ${UNDERSTOOD_LEVEL + 1}`));
  const command = await database.command();
  for (const through of [keys, command]) {
    for (const call of everyKeyCall(through)) t.equal(failureReason(await complaint(call())), 'level');
  }
  await command.close();
  database.direct((db) => db.exec(`UPDATE head SET level = ${UNDERSTOOD_LEVEL}`));
  t.match(await listAll(keys), [{ id: 'a', revoked: undefined, lastUsed: undefined }]);
});

t.test('a command makes the folder of a new log, and leaves another program\'s file as it is', async (t) => {
  const file = join(tempFolder(t), 'new', 'log.db');
  await (await openKeyStore(file)).close();
  t.ok(existsSync(file));
  const foreign = join(tempFolder(t), 'foreign.db');
  new Database(foreign).exec('CREATE TABLE users (id integer)').close();
  t.match(await complaint(openKeyStore(foreign)), /^the database belongs to another program/);
  const db = new Database(foreign);
  t.teardown(() => db.close());
  t.same(db.prepare('SELECT name FROM sqlite_master').pluck().all(), ['users']);
});

t.test('a value that is no digest or permissions is refused', async (t) => {
  const database = new SqliteDatabase(t);
  const { keys } = await openInstance(t, database);
  await keys.createKey(newKey('a'));
  for (const text of ['', 'null', '[]', '{}', '{"publish":[1],"subscribe":[],"admin":false}', '{"publish":">","subscribe":[],"admin":false}', '{"publish":[],"subscribe":[],"admin":"no"}', '{"publish":[],"subscribe":[],"admin":false,"operate":1}', '{"publish":[],"subscribe":[],"erase":"a","admin":false}']) {
    database.direct((db) => db.prepare('UPDATE api_keys SET permissions = ?').run(text));
    t.equal(await failure(keys.findKeys(['a'])), 'unavailable', text);
  }
});

t.test('keys that may do no more than before are stored as before; what an older program does not know is a member that it does not look at', async (t) => {
  const database = new SqliteDatabase(t);
  const { keys } = await openInstance(t, database);
  const textOf = (id: string): unknown => database.direct((db) => db.prepare('SELECT permissions FROM api_keys WHERE id = ?').pluck().get(id));
  for (const [id, more] of [['plain', {}], ['metrics', { operate: true }], ['moderator', { erase: ['a'] }]] as const) await keys.createKey(newKey(id, { permissions: { ...NOTHING, ...more } }));
  t.equal(textOf('plain'), '{"publish":[],"subscribe":[],"admin":false}');
  t.equal(textOf('metrics'), '{"publish":[],"subscribe":[],"admin":false,"operate":true}');
  t.equal(textOf('moderator'), '{"publish":[],"subscribe":[],"erase":["a"],"admin":false}');
  t.match(await keys.findKeys(['plain']), [{ permissions: NOTHING }]);
});

t.test('the poll reads no more than what changed', async (t) => {
  const database = new SqliteDatabase(t);
  await openInstance(t, database);
  const plan = database.direct((db) => db.prepare<[], { detail: string }>('EXPLAIN QUERY PLAN SELECT id FROM api_keys WHERE version > 5 ORDER BY version LIMIT 1001').all());
  t.match(plan, [{ detail: /^SEARCH api_keys USING INDEX api_keys_version \(version>\?\)$/ }]);
});
