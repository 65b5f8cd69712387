import type { Test } from 'tap';
import { USAGE_MAX_ENTRIES, USAGE_PAGE_ENTRIES, type StoredStretch, type UsageStore, type UsageStretch } from '../../src/store/contracts/usage-store.ts';
import { complaint, numberedRequests, openStore, range, stored, type StoreFactory } from './store-kit.ts';

function stretch(id: string, first: number, last: number, holdings: Partial<Pick<UsageStretch, 'topics' | 'senders'>> = {}): UsageStretch {
  return { id, first, last, topics: [], senders: [], ...holdings };
}

async function readAll(usage: UsageStore): Promise<StoredStretch[]> {
  const all: StoredStretch[] = [];
  for (;;) {
    const { changed } = await usage.changes(all.at(-1)?.version ?? 0);
    all.push(...changed);
    if (changed.length < USAGE_PAGE_ENTRIES) return all;
  }
}

const ids = (stretches: readonly { readonly id: string }[]): string => stretches.map(({ id }) => id).join();

/** What every store of usage must do: see the comments of `UsageStore`. */
export function usageStoreContract(t: Test, name: string, factory: StoreFactory): void {
  t.test(`${name}: usage: what one instance writes, the others read, with the later versions`, async (t) => {
    const database = await factory(t);
    const [one, other] = [await openStore(t, database), await openStore(t, database)];
    t.same(await other.usage.changes(0), { alive: [], changed: [] });
    const odd = stretch('odd', 3, 9, { topics: [["größe'\\\".🚀", 7]], senders: [['', 3], ['sub \u0000\ud800', 2.5]] });
    await one.usage.write([stretch('a', 1, 5, { topics: [['t', 10]] }), odd]);
    const { alive, changed } = await other.usage.changes(0);
    t.match(changed, [{ id: 'a', topics: [['t', 10]] }, { ...odd }]);
    t.same(alive.map(([id, version]) => [id, version]).sort(), changed.map(({ id, version }) => [id, version]).sort());
    const newest = changed.at(-1)!.version;
    t.same((await other.usage.changes(newest)).changed, []);
    await other.usage.write([stretch('b', 6, 8)]);
    await one.usage.write([stretch('a', 1, 7, { topics: [['t', 12]] })]);
    const later = await other.usage.changes(newest);
    t.equal(ids(later.changed), 'b,a', 'in the order in which they were written');
    t.match(later.changed[1], { last: 7, topics: [['t', 12]] }, 'the earlier version is gone');
    t.equal(later.alive.length, 3);
  });

  t.test(`${name}: usage: versions are given one after the other to concurrent writers`, async (t) => {
    const database = await factory(t);
    const stores = [await openStore(t, database), await openStore(t, database)];
    await Promise.all(range(0, 39).map((index) => stores[index % 2]!.usage.write([stretch(`s${index}`, 1, 1)])));
    t.same((await readAll(stores[0]!.usage)).map(({ version }) => version), range(1, 40));
  });

  t.test(`${name}: usage: a stretch of which nothing is held is forgotten, and the oldest of too many`, async (t) => {
    const store = await openStore(t, await factory(t));
    await stored(store, numberedRequests(10));
    await store.usage.write([stretch('gone', 1, 4), stretch('half', 3, 8), stretch('whole', 9, 10)]);
    while ((await store.state()).oldest < 6) await store.trim({ maxAge: 0, maxBytes: 1, rows: 1 });
    await store.usage.write([stretch('new', 10, 10)]);
    t.equal(ids(await readAll(store.usage)), 'half,whole,new');
    for (let first = 0; first < USAGE_MAX_ENTRIES; first += 100) await store.usage.write(range(first, first + 99).map((index) => stretch(`s${index}`, 11, 11 + index)));
    const left = await readAll(store.usage);
    t.equal(left.length, USAGE_MAX_ENTRIES);
    t.notOk(left.some(({ id }) => ['half', 'whole', 'new'].includes(id)));
  });

  t.test(`${name}: usage: a store that is not open says so`, async (t) => {
    const store = (await factory(t)).store();
    t.not(await complaint(store.usage.write([stretch('a', 1, 1)])), '');
    t.not(await complaint(store.usage.changes(0)), '');
  });
}
