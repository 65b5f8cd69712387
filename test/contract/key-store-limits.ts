import type { Test } from 'tap';
import { CHANGES_MAX_KEYS, FIND_MAX_KEYS, KEPT_ENDED_KEYS_MS, LIST_MAX_KEYS, MAX_ENDED_KEYS, MAX_KEYS, NOTE_MAX_KEYS } from '../../src/store/contracts/key-store.ts';
import { find, idsOf, listAll, newKey, openInstance, sha256, versionOf, type Instances, type KeyDatabaseFactory } from './key-store-kit.ts';
import { draft, failure, range, request } from './store-kit.ts';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

export async function limits(t: Test, { database, store: { keys } }: Instances): Promise<void> {
  await t.test('values beyond a bound, or no numbers, are refused', async (t) => {
    const version = await versionOf(keys);
    const ids = (count: number): string[] => range(1, count).map((number) => `none${number}`);
    t.same(await keys.findKeys(ids(FIND_MAX_KEYS)), []);
    await keys.noteUse(ids(NOTE_MAX_KEYS));
    const calls = [
      () => keys.findKeys(ids(FIND_MAX_KEYS + 1)), () => keys.noteUse(ids(NOTE_MAX_KEYS + 1)),
      ...[LIST_MAX_KEYS + 1, -1, 0.5, NaN].map((limit) => () => keys.listKeys({ after: '', limit })),
      ...[-1, 0.5, NaN, Infinity].map((after) => () => keys.keyChanges(after)),
      ...[0, -1, 0.5, NaN, Infinity].map((lifetimeMs) => () => keys.createKey(newKey('odd', { lifetimeMs }))),
      ...[0, 31, 33].map((bytes) => () => keys.createKey(newKey('odd', { digest: new Uint8Array(bytes) }))),
      ...[-1, 0.5, NaN, Infinity].map((overlapMs) => () => keys.rotateKey('bytes0', { digest: sha256('x'), overlapMs })),
      () => keys.rotateKey('bytes0', { digest: new Uint8Array(31), overlapMs: 0 }),
    ];
    for (const call of calls) t.equal(await failure(call()), 'refused', String(call));
    t.equal(await versionOf(keys), version);
    t.match(await keys.createKey(newKey('longest', { lifetimeMs: 8.64e15 })), { expires: 8.64e15 }, 'no key ends later than a Date can be');
  });

  await t.test('more changes than one answer holds: any key may have changed', async (t) => {
    const version = await versionOf(keys);
    await database.fillKeys(1, CHANGES_MAX_KEYS + 1, false);
    t.match(await keys.keyChanges(version), { version: version + CHANGES_MAX_KEYS + 1, changed: undefined });
    const { changed } = await keys.keyChanges(version + 1);
    t.equal(changed?.length, CHANGES_MAX_KEYS);
    t.same([changed?.[0], changed?.at(-1)], ['filled000002', 'filled001001']);
    t.equal((await keys.listKeys({ after: '', limit: LIST_MAX_KEYS })).length, LIST_MAX_KEYS);
  });

  await t.test('a full table refuses another key until one has ended', async (t) => {
    const { now } = await keys.keyChanges(0);
    const held = (await listAll(keys)).filter(({ revoked, expires = Infinity }) => revoked === undefined && expires > now).length;
    await database.fillKeys(CHANGES_MAX_KEYS + 2, CHANGES_MAX_KEYS + MAX_KEYS - held, false);
    const version = await versionOf(keys);
    const last = newKey('last', { lifetimeMs: DAY });
    t.match(await keys.createKey(last), { id: 'last' });
    t.match(await keys.createKey(last), { id: 'last' }, 'one whose answer was lost is asked for again');
    t.equal(await keys.createKey(newKey('over')), undefined);
    t.equal(await versionOf(keys), version + 1);
    t.same(await keys.findKeys(['over']), []);
    await keys.revokeKey('filled000007');
    t.match(await keys.createKey(newKey('over')), { id: 'over' });
    t.equal(await keys.createKey(newKey('more')), undefined);
    await database.ageKeys(DAY, 'last');
    t.match(await keys.createKey(newKey('more')), { id: 'more' }, 'one has expired');
  });
}

/** How long, and how many, keys are kept that have ended. */
export async function ended(t: Test, factory: KeyDatabaseFactory): Promise<void> {
  const database = await factory(t);
  const store = await openInstance(t, database);
  const { keys } = store;

  await t.test('a key that has ended can be listed for some days', async (t) => {
    for (const id of ['revoked', 'good', 'later']) await keys.createKey(newKey(id));
    await keys.createKey(newKey('expired', { lifetimeMs: 1 }));
    await keys.revokeKey('revoked');
    await database.ageKeys(KEPT_ENDED_KEYS_MS - MINUTE);
    await keys.revokeKey('later');
    await keys.createKey(newKey('one'));
    t.same(idsOf(await keys.listKeys({ after: '', limit: 9 })), ['expired', 'good', 'later', 'one', 'revoked']);
    await database.ageKeys(2 * MINUTE);
    await keys.createKey(newKey('two'));
    t.same(idsOf(await keys.listKeys({ after: '', limit: 9 })), ['good', 'later', 'one', 'two']);
  });

  await t.test('the last keys to end are kept, up to a limit', async (t) => {
    // With the one that was revoked, two too many.
    await database.fillKeys(1, MAX_ENDED_KEYS + 1, true);
    t.match(await keys.createKey(newKey('three')), { id: 'three' });
    const found = await keys.findKeys(['later', 'filled000001', 'filled000002', 'filled000003', `filled${MAX_ENDED_KEYS}`]);
    t.same(idsOf(found).sort(), ['filled000002', 'filled000003', `filled${MAX_ENDED_KEYS}`].sort());
  });

  await t.test('a clock that is not believed deletes no key', async (t) => {
    await store.append([request(draft('a'))]);
    await store.trim({ maxAge: 0, maxBytes: 0, rows: 1 });
    await keys.revokeKey('three');
    await database.ageKeys(2 * KEPT_ENDED_KEYS_MS, 'three');
    await database.clockJumped(2 * KEPT_ENDED_KEYS_MS);
    await keys.createKey(newKey('four'));
    t.match(await find(keys, 'three'), { id: 'three' });
  });
}
