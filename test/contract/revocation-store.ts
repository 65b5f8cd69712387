import type { Test } from 'tap';
import { DELETE_MAX_REVOCATIONS, KEPT_ENDED_REVOCATIONS_MS, LIST_MAX_REVOCATIONS, MAX_REVOCATIONS, type NewRevocation, type Revocation, type RevocationKind, type RevocationStore } from '../../src/store/contracts/revocation-store.ts';
import type { Store } from '../../src/store/store.ts';
import { rounds } from '../support/rounds.ts';
import type { Scope } from '../support/temp.ts';
import { failure, range } from './store-kit.ts';

/** What the contract needs of an implementation: an empty database that goes away with the test. */
export interface RevocationDatabase {
  store(): Store & { readonly revocations: RevocationStore };
  /** Adds revocations past the store, which end at a time. */
  fillRevocations(count: number, ends: number): Promise<void>;
}

const ROUNDS = rounds(10, 100, 5);
const LIFETIME_MS = 3_600_000;
const NOW = Date.now();

function one(kind: RevocationKind, name: string, before?: number, lifetimeMs = LIFETIME_MS): NewRevocation {
  return { kind, name, before, lifetimeMs };
}

async function listAll(revocations: RevocationStore, limit = LIST_MAX_REVOCATIONS): Promise<Revocation[]> {
  const all: Revocation[] = [];
  for (;;) {
    const page = await revocations.listRevocations({ after: all.at(-1)?.version ?? 0, limit });
    all.push(...page.revocations);
    if (page.revocations.length < limit) return all;
  }
}

/** What every store of revocations must do: see the comments of `RevocationStore`. */
export function revocationStoreContract(t: Test, name: string, factory: (t: Scope) => Promise<RevocationDatabase>): void {
  const open = async (t: Scope, database: RevocationDatabase): Promise<RevocationStore> => {
    const store = database.store();
    t.teardown(() => store.close());
    await store.open();
    return store.revocations;
  };

  t.test(`${name}: revocations`, async (t) => {
    const database = await factory(t);
    const store = database.store();
    t.teardown(() => store.close());
    t.equal(await failure(store.revocations.revoke(one('jti', 'x'))), 'unavailable', 'before it is open');
    await store.open();
    const { revocations } = store;
    const other = await open(t, database);

    await t.test('an empty list has no version; each revocation takes the next, on whichever instance', async (t) => {
      t.same(await revocations.listRevocations({ after: 0, limit: 10 }), { revocations: [], version: 0 });
      const began = Date.now();
      const jti = await revocations.revoke(one('jti', 'a'));
      const sub = await other.revoke(one('sub', 'a'));
      const all = await revocations.revoke(one('all', '', NOW + 5_000));
      t.match(jti, { kind: 'jti', name: 'a', before: undefined, version: 1 });
      t.ok(sub!.before! >= began && sub!.before === sub!.created, 'a subject: what was issued until now');
      t.match(all, { kind: 'all', name: '', before: NOW + 5_000, ends: NOW + 5_000 + LIFETIME_MS, version: 3 });
      t.equal(jti!.ends, jti!.created + LIFETIME_MS);
      t.same(await other.listRevocations({ after: 0, limit: 10 }), { revocations: [jti, sub, all], version: 3 });
      t.same(await revocations.listRevocations({ after: 1, limit: 1 }), { revocations: [sub], version: 3 });
      t.same(await revocations.listRevocations({ after: 3, limit: 10 }), { revocations: [], version: 3 });
    });

    await t.test('one for the same extends it, and takes nothing back', async (t) => {
      const first = await revocations.revoke(one('sub', 'b', NOW + 100_000, 50_000));
      const earlier = await other.revoke(one('sub', 'b', NOW + 50_000, 10_000));
      t.match(earlier, { before: NOW + 100_000, ends: NOW + 150_000, version: first!.version + 1 });
      t.match(await revocations.revoke(one('sub', 'b', NOW + 200_000, 10_000)), { before: NOW + 200_000, ends: NOW + 210_000 });
      t.equal((await listAll(other)).filter(({ name, kind }) => kind === 'sub' && name === 'b').length, 1);
    });

    await t.test('names are kept as they are, and kinds apart', async (t) => {
      const names = ["it's", "'; DROP TABLE revocations; --", '\\', '"', '{a,b}', 'NULL', 'größe.日本.🚀', ' ', 'a\nb', '%', 'x'.repeat(255)];
      for (const name of names) {
        t.match(await revocations.revoke(one('jti', name)), { name });
        t.match(await revocations.revoke(one('sub', name, NOW)), { name });
      }
      const kept = (await listAll(other, 3)).filter(({ name }) => names.includes(name));
      t.same(kept.map(({ name }) => name), names.flatMap((name) => [name, name]));
    });

    await t.test('a revocation beyond its bounds is refused', async (t) => {
      for (const wrong of [one('sub', 'x', -1), one('sub', 'x', NaN), one('sub', 'x', 1.5), one('jti', 'x', undefined, NaN)]) t.equal(await failure(revocations.revoke(wrong)), 'refused');
      for (const page of [{ after: -1, limit: 1 }, { after: NaN, limit: 1 }, { after: 0, limit: LIST_MAX_REVOCATIONS + 1 }, { after: 0, limit: -1 }]) t.equal(await failure(revocations.listRevocations(page)), 'refused');
    });

    await t.test('many at once: versions have no holes, and nothing is lost', async (t) => {
      const { version: before } = await revocations.listRevocations({ after: 0, limit: 0 });
      await Promise.all(range(1, 10 * ROUNDS).map((number) => (number % 2 === 0 ? revocations : other).revoke(one('jti', `many${number % 50}`))));
      t.equal((await revocations.listRevocations({ after: 0, limit: 0 })).version, before + 10 * ROUNDS);
      t.equal((await listAll(revocations)).filter(({ name }) => name.startsWith('many')).length, Math.min(50, 10 * ROUNDS));
    });

    await t.test('one that ended an hour ago is deleted by a later one, and others are kept', async (t) => {
      const { length } = await listAll(revocations);
      await database.fillRevocations(DELETE_MAX_REVOCATIONS + 1, Date.now() - KEPT_ENDED_REVOCATIONS_MS);
      await revocations.revoke(one('jti', 'last'));
      t.equal((await listAll(revocations)).length, length + 2, 'no more at once than others can wait for');
      await revocations.revoke(one('jti', 'last'));
      t.equal((await listAll(revocations)).length, length + 1);
    });

    await t.test('a full table refuses another revocation; present ones can be extended, and all tokens before a time can still be revoked', async (t) => {
      const full = await factory(t);
      const revocations = await open(t, full);
      await revocations.revoke(one('jti', 'first'));
      await full.fillRevocations(MAX_REVOCATIONS - 1, Date.now() + LIFETIME_MS);
      t.equal(await revocations.revoke(one('jti', 'too many')), undefined);
      t.match(await revocations.revoke(one('jti', 'first')), { name: 'first' });
      t.match(await revocations.revoke(one('all', '', NOW)), { kind: 'all', before: NOW });
    });
  });
}
