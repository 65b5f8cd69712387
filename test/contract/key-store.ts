import type { Test } from 'tap';
import type { KeyStore } from '../../src/store/contracts/key-store.ts';
import { digestsOf, everyKeyCall, find, hex, idsOf, listAll, newKey, NOTHING, openInstance, sha256, versionOf, type Instances, type KeyDatabaseFactory } from './key-store-kit.ts';
import { ended, limits } from './key-store-limits.ts';
import { races } from './key-store-races.ts';
import { draft, failure, range, request } from './store-kit.ts';

/** What every store of keys must do: see the comments of `KeyStore`. `keyStoreLife` belongs to it, for what has to be opened and closed. */
export function keyStoreContract(t: Test, name: string, factory: KeyDatabaseFactory): void {
  t.test(`${name}: keys`, async (t) => {
    const database = await factory(t);
    const instances: Instances = { database, store: await openInstance(t, database), other: (await openInstance(t, database)).keys };
    await t.test('one by one', (t) => keys(t, instances));
    await t.test('many at once', (t) => races(t, instances));
    await t.test('limits', (t) => limits(t, instances));
  });
  t.test(`${name}: keys that have ended`, (t) => ended(t, factory));
  t.test(`${name}: keys of a restored copy`, (t) => restored(t, factory));
}

/** Text that could be taken for SQL, for an array, for JSON or for a pattern. */
const ODD_TEXTS = [
  "it's", "''", "'", "'; DROP TABLE api_keys; --", "'; DROP SCHEMA tidings CASCADE; --", "' OR '1'='1", "\\'; DELETE FROM api_keys; --", '\\', "\\\\'", "E'\\x41'", '$$', '$1', '?1', ':id', '"quoted"', '{a,b}', '{}', 'NULL', '"NULL"',
  '[1,2]', '{"admin":true}', '","admin":true}', '%', '_', '*', '>', 'größe.日本.🚀', 'a\nb\r\tc', '\u2028', '/* */', '-- ', ';', "') ON CONFLICT DO NOTHING; --", "' UNION SELECT * FROM head --", '', ' ', 'x'.repeat(5_000),
];

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

async function keys(t: Test, { database, store, other }: Instances): Promise<void> {
  const { keys } = store;

  await t.test('an empty database has no key, and no version', async (t) => {
    t.match(await keys.keyChanges(0), { version: 0, changed: [] });
    t.same(await keys.findKeys(['none']), []);
    t.same(await keys.findKeys([]), []);
    t.same(await keys.listKeys({ after: '', limit: 10 }), []);
    t.equal(await keys.revokeKey('none'), undefined);
    t.equal(await keys.rotateKey('none', { digest: sha256('x'), overlapMs: 0 }), undefined);
    await keys.noteUse(['none']);
    t.equal(await versionOf(keys), 0);
  });

  await t.test('each change takes the next version, and is told once, in order', async (t) => {
    for (const id of ['c', 'a', 'b']) await keys.createKey(newKey(id));
    t.match(await other.keyChanges(0), { version: 3, changed: ['c', 'a', 'b'] });
    t.match(await other.keyChanges(1), { version: 3, changed: ['a', 'b'] });
    t.match(await other.keyChanges(3), { version: 3, changed: [] });
    await other.rotateKey('c', { digest: sha256('new'), overlapMs: 0 });
    await other.revokeKey('a');
    await other.rotateKey('c', { digest: sha256('newer'), overlapMs: 0 });
    t.match(await keys.keyChanges(0), { version: 6, changed: ['b', 'a', 'c'] });
    t.match(await keys.keyChanges(3), { version: 6, changed: ['a', 'c'] });
    t.match(await keys.keyChanges(5), { version: 6, changed: ['c'] });
  });

  await t.test('after a version that is not there yet, any key may have changed', async (t) => {
    t.match(await keys.keyChanges(7), { version: 6, changed: undefined });
    t.match(await keys.keyChanges(Number.MAX_SAFE_INTEGER), { version: 6, changed: undefined });
  });

  await t.test('changes begin no epoch, and take no number', async (t) => {
    const before = await store.append([request(draft('a'))]);
    await keys.createKey(newKey('d'));
    await keys.revokeKey('d');
    await keys.noteUse(['d']);
    const after = await store.append([request(draft('a'))]);
    t.equal(after.log.head, before.log.head + 1);
    t.same(after.log.lineage.epochs.map(({ epoch }) => epoch), before.log.lineage.epochs.map(({ epoch }) => epoch));
  });

  await t.test('every part of a key comes back as it was, from every instance', async (t) => {
    const { now } = await keys.keyChanges(0);
    const key = newKey('whole', { permissions: { publish: ['a', 'b.*'], subscribe: ['user.>'], admin: true, operate: false }, digest: Buffer.alloc(64, 'x\xff\0').subarray(3, 35), lifetimeMs: HOUR });
    const created = await keys.createKey(key);
    t.match(created, { id: 'whole', name: 'the key whole', revoked: undefined, lastUsed: undefined });
    t.same(created!.permissions, key.permissions);
    t.same(created!.secrets.map(({ digest, expires }) => [hex(digest), expires]), [[hex(key.digest), undefined]]);
    t.ok(created!.created >= now && created!.created <= now + HOUR);
    t.equal(created!.expires, created!.created + HOUR);
    t.same(await find(other, 'whole'), created);
    t.same((await listAll(other)).at(-1), created);
  });

  await t.test('a key that may operate stays one, through a rotation and its revocation', async (t) => {
    const permissions = { ...NOTHING, presence: ['room.>', 'a'], operate: true };
    t.same((await keys.createKey(newKey('operator', { permissions })))?.permissions, permissions);
    t.same((await keys.rotateKey('operator', { digest: sha256('operator'), overlapMs: 0 }))?.permissions, permissions);
    t.same((await keys.revokeKey('operator'))?.permissions, permissions);
    t.same((await find(other, 'operator')).permissions, permissions);
    t.same((await listAll(other)).find(({ id }) => id === 'operator')?.permissions, permissions);
  });

  await t.test('every byte of a digest is kept', async (t) => {
    for (const part of range(0, 7)) {
      const digest = Uint8Array.from({ length: 32 }, (_, index) => part * 32 + index);
      await keys.createKey(newKey(`bytes${part}`, { digest }));
      t.equal(digestsOf(await find(other, `bytes${part}`))[0], hex(digest));
    }
  });

  await t.test('a text is never taken for anything else', async (t) => {
    const before = await listAll(keys);
    for (const [index, text] of ODD_TEXTS.entries()) {
      const id = `odd${index}${text}`;
      const permissions = { publish: [text, 'a'], subscribe: [text], admin: false, operate: false };
      const digest = sha256(text);
      t.match(await keys.createKey(newKey(id, { name: text, permissions })), { id, name: text });
      const found = await other.findKeys([id, 'whole', text]);
      t.same(found.find((key) => key.id === id)?.permissions, permissions, text);
      t.same(idsOf(found).sort(), [id, 'whole'].sort(), text);
      t.same(digestsOf(await keys.rotateKey(id, { digest, overlapMs: 0 })), [hex(digest)], text);
      t.ok((await keys.listKeys({ after: id, limit: 100 })).every((key) => key.id > id), text);
      await keys.noteUse([id]);
      t.type((await find(other, id)).lastUsed, 'number', text);
      t.match(await keys.revokeKey(id), { id, revoked: Number }, text);
      t.same(await keys.revokeKey(`${id}'`), undefined, text);
    }
    t.equal((await listAll(keys)).length, before.length + ODD_TEXTS.length);
    t.same(await find(keys, 'whole'), before.find(({ id }) => id === 'whole'), 'no other key was touched');
  });

  await t.test('long lists of patterns are kept', async (t) => {
    const patterns = range(0, 99).map((index) => `${'日本.'.repeat(35)}${index}`);
    const permissions = { publish: patterns, subscribe: patterns, admin: false, operate: false };
    await keys.createKey(newKey('long', { permissions }));
    t.same((await find(other, 'long')).permissions, permissions);
  });

  await t.test('of an id that is taken, only the same creation is answered', async (t) => {
    const key = newKey('taken', { name: 'first' });
    const first = await keys.createKey(key);
    const version = await versionOf(keys);
    t.same(await other.createKey(key), first, 'one whose answer was lost is asked for again');
    t.equal(await other.createKey(newKey('taken', { name: 'second' })), undefined);
    t.same(await find(keys, 'taken'), first);
    t.equal(await versionOf(keys), version, 'nothing changed');
    await keys.rotateKey('taken', { digest: sha256('other'), overlapMs: HOUR });
    t.equal(await other.createKey(key), undefined, 'its first secret is no longer the newest');
    const revoked = await keys.revokeKey('taken');
    t.same(await keys.createKey(newKey('taken', { digest: sha256('other') })), revoked, 'a creation that is asked for again does not bring it back');
  });

  await t.test('a rotation leaves the secret before it for a while, and no older one', async (t) => {
    const [first, second, third, fourth] = ['first', 'second', 'third', 'fourth'].map(sha256) as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
    const created = await keys.createKey(newKey('rotated', { digest: first }));
    const rotated = await keys.rotateKey('rotated', { digest: second, overlapMs: HOUR });
    t.same({ ...rotated, secrets: [] }, { ...created, secrets: [] });
    t.same(digestsOf(rotated), [hex(second), hex(first)]);
    t.equal(rotated!.secrets[0]!.expires, undefined);
    const { now } = await keys.keyChanges(0);
    t.ok(rotated!.secrets[1]!.expires! <= now + HOUR && rotated!.secrets[1]!.expires! > now + HOUR / 2);
    const version = await versionOf(keys);
    t.same(await other.rotateKey('rotated', { digest: second, overlapMs: 5 }), rotated, 'one whose answer was lost is asked for again');
    t.equal(await versionOf(keys), version);
    t.same(digestsOf(await keys.rotateKey('rotated', { digest: third, overlapMs: DAY })), [hex(third), hex(second)]);
    await database.ageKeys(DAY - HOUR);
    t.same(digestsOf(await find(other, 'rotated')), [hex(third), hex(second)]);
    await database.ageKeys(HOUR);
    t.same(digestsOf(await find(other, 'rotated')), [hex(third)], 'the time is over');
    t.same(digestsOf(await keys.rotateKey('rotated', { digest: fourth, overlapMs: 0 })), [hex(fourth)]);
  });

  await t.test('a key that was revoked stays so', async (t) => {
    await keys.createKey(newKey('revoked', { lifetimeMs: HOUR }));
    const revoked = await keys.revokeKey('revoked');
    t.type(revoked?.revoked, 'number');
    const version = await versionOf(keys);
    t.same(await other.revokeKey('revoked'), revoked);
    t.equal(await other.rotateKey('revoked', { digest: sha256('new'), overlapMs: HOUR }), undefined);
    t.equal(await versionOf(keys), version);
    t.same(await find(other, 'revoked'), revoked);
  });

  await t.test('a key that has expired is there, and gets no secret', async (t) => {
    await keys.createKey(newKey('expired', { lifetimeMs: HOUR }));
    await database.ageKeys(HOUR);
    const { now } = await keys.keyChanges(0);
    t.ok((await find(other, 'expired')).expires! <= now);
    t.equal(await keys.rotateKey('expired', { digest: sha256('new'), overlapMs: HOUR }), undefined);
    t.type((await keys.revokeKey('expired'))?.revoked, 'number');
  });

  await t.test('a use is noted, and changes nothing else', async (t) => {
    const created = await keys.createKey(newKey('used'));
    const version = await versionOf(keys);
    const { now } = await keys.keyChanges(0);
    await keys.noteUse(['used', 'none', 'used', 'bytes0']);
    const { lastUsed, ...used } = await find(other, 'used');
    t.ok(lastUsed! >= now);
    t.same({ ...used, lastUsed: undefined }, created);
    t.equal((await find(other, 'bytes1')).lastUsed, undefined);
    t.equal(await versionOf(keys), version);
  });

  await t.test('the list is in the order of the ids, page by page', async (t) => {
    const all = idsOf(await listAll(keys));
    t.same(all, [...all].sort());
    for (const limit of [1, 2, 7]) t.same(idsOf(await listAll(other, limit)), all);
    t.same(await keys.listKeys({ after: '', limit: 0 }), []);
    t.same(idsOf(await keys.findKeys(['used', 'none', 'used', 'long'])).sort(), ['long', 'used'], 'each once');
  });

  await t.test('a message from a clock that was ahead ends no key', async (t) => {
    await keys.createKey(newKey('hour', { lifetimeMs: HOUR }));
    const { now } = await keys.keyChanges(0);
    await database.clockWasAhead(365 * DAY);
    t.ok((await keys.keyChanges(0)).now < now + HOUR);
    t.ok(await keys.rotateKey('hour', { digest: sha256('x'), overlapMs: 0 }));
    t.ok((await keys.createKey(newKey('later')))!.created < now + HOUR);
  });
}

async function restored(t: Test, factory: KeyDatabaseFactory): Promise<void> {
  const database = await factory(t);
  const withKeys = async <Result>(work: (keys: KeyStore) => Promise<Result>): Promise<Result> => {
    const store = database.store();
    await store.open();
    try {
      return await work(store.keys);
    } finally {
      await store.close();
    }
  };
  await withKeys(async (keys) => {
    await keys.createKey(newKey('kept'));
    await keys.createKey(newKey('other'));
  });
  const restore = await database.backup();
  const seen = await withKeys(async (keys) => {
    await keys.revokeKey('kept');
    await keys.createKey(newKey('lost'));
    return versionOf(keys);
  });
  await restore();
  const now = await withKeys(async (keys) => {
    t.match(await keys.keyChanges(seen), { version: 2, changed: undefined }, 'any key may have changed');
    t.same(idsOf(await listAll(keys)), ['kept', 'other']);
    t.equal((await find(keys, 'kept')).revoked, undefined);
    await keys.rotateKey('other', { digest: sha256('new'), overlapMs: 0 });
    return keys.keyChanges(2);
  });
  t.ok(now.version > 2);
  t.ok(now.changed === undefined || now.changed[0] === 'other');
}

/** Opening and closing, by instances and by commands. */
export function keyStoreLife(t: Test, name: string, factory: KeyDatabaseFactory): void {
  t.test(`${name}: before a store is open and after it was closed, its keys are unavailable`, async (t) => {
    const store = (await factory(t)).store();
    for (const call of everyKeyCall(store.keys)) t.equal(await failure(call()), 'unavailable');
    await store.open();
    const creating = store.keys.createKey(newKey('last'));
    await store.close();
    t.match(await creating, { id: 'last' }, 'what is under way is finished');
    for (const call of everyKeyCall(store.keys)) t.equal(await failure(call()), 'unavailable');
  });

  t.test(`${name}: a command makes keys before the first instance, and begins no epoch`, async (t) => {
    const database = await factory(t);
    const command = await database.command();
    t.match(await command.keyChanges(0), { version: 0, changed: [] });
    const created = await command.createKey(newKey('early', { permissions: { ...NOTHING, admin: true } }));
    t.match(await command.createKey(newKey('ended', { lifetimeMs: 1 })), { id: 'ended' });
    t.equal(await failure(command.createKey(newKey('odd', { lifetimeMs: NaN }))), 'refused');
    await command.close();
    for (const call of everyKeyCall(command)) t.equal(await failure(call()), 'unavailable');
    const store = database.store();
    t.teardown(() => store.close());
    const log = await store.open();
    t.equal(log.lineage.epochs.length, 1);
    t.same(await find(store.keys, 'early'), created);
    t.equal(await versionOf(store.keys), 2);
  });

  t.test(`${name}: a command and instances share their keys`, async (t) => {
    const database = await factory(t);
    const store = database.store();
    t.teardown(() => store.close());
    const before = await store.open();
    const command = await database.command();
    await command.createKey(newKey('a'));
    t.match(await store.keys.keyChanges(0), { version: 1, changed: ['a'] });
    await store.keys.revokeKey('a');
    t.match(await command.findKeys(['a']), [{ id: 'a', revoked: Number }]);
    t.equal(await command.rotateKey('a', { digest: sha256('x'), overlapMs: 0 }), undefined);
    await command.close();
    t.match(await store.append([request(draft('a'))]), { outcomes: [{ kind: 'stored', first: 1 }] });
    t.same((await store.state()).lineage.epochs, before.lineage.epochs);
  });
}
