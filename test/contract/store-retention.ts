import { setImmediate as turn } from 'node:timers/promises';
import type { Test } from 'tap';
import { Filter } from '../../src/model/topic.ts';
import { rowBytes } from '../../src/store/row-bytes.ts';
import type { Store, TrimPolicy, Trimmed } from '../../src/store/store.ts';
import { until } from '../support/until.ts';
import { draft, EVERYTHING, keyed, newlyStored, numberedRequests, openStore, range, readMessages, request, seqs, stored, type StoreFactory } from './store-kit.ts';

/** Keeps everything. */
const NOTHING: TrimPolicy = { maxAge: 0, maxBytes: 0, rows: 1_000 };

/** Waits until the store's clock is past a number of milliseconds after now. */
async function age(store: Store, milliseconds: number): Promise<void> {
  const { now } = await store.state();
  await until('some time has passed', async () => (await store.state()).now > now + milliseconds);
}

export async function retention(t: Test, factory: StoreFactory): Promise<void> {
  await t.test('without a reason nothing is deleted', async (t) => {
    const store = await openStore(t, await factory(t));
    t.match(await store.trim(NOTHING), { messages: 0, keys: 0, more: false, bytes: 0 });
    await stored(store, numberedRequests(10));
    const trimmed = await store.trim({ maxAge: 3_600_000, maxBytes: 1_000_000, rows: 5 });
    t.match(trimmed, { messages: 0, keys: 0, more: false, log: { oldest: 1, head: 10 } });
    t.ok(trimmed.bytes > 0);
  });

  await t.test('old messages go, a limited number of rows at a time', async (t) => {
    const store = await openStore(t, await factory(t));
    await stored(store, numberedRequests(10));
    await age(store, 20);
    await stored(store, numberedRequests(5, 'young'));
    const steps: Trimmed[] = [];
    // Old enough are the first ten, and on a slow machine the others too.
    do steps.push(await store.trim({ maxAge: 20, maxBytes: 0, rows: 4 })); while (steps.at(-1)!.more);
    t.match(steps.slice(0, 2), [{ messages: 4, more: true, log: { oldest: 5 } }, { messages: 4, more: true, log: { oldest: 9 } }]);
    const { oldest, head } = steps.at(-1)!.log;
    t.ok(oldest >= 11 && head === 15);
    t.same(seqs(await readMessages(store)), range(oldest, 15));
    t.equal(steps.reduce((sum, { messages }) => sum + messages, 0), oldest - 1);
  });

  await t.test('above a size the oldest go, until the rest is within it', async (t) => {
    const store = await openStore(t, await factory(t));
    await stored(store, range(1, 100).map(() => request(draft('größe.🚀', Buffer.alloc(10_000)))));
    const { bytes } = await store.trim(NOTHING);
    t.ok(bytes >= 1_000_000, 'the data count');
    const trimmed = await store.trim({ ...NOTHING, maxBytes: bytes / 2 });
    t.match(trimmed, { messages: 50, more: false, bytes: bytes / 2, log: { oldest: 51, head: 100 } });
    const last = await store.trim({ ...NOTHING, maxBytes: 1 });
    t.match(last, { messages: 50, more: false, bytes: 0, log: { oldest: 101, head: 100 } }, 'what was added comes off again, to the byte');
    t.match(await store.read(EVERYTHING), { messages: [], scanned: 100 });
    t.match(await store.state(), { oldest: 101, head: 100 });
    t.same(await stored(store, [request(draft('a'))]), [101], 'the numbers go on');
    t.same(seqs(await readMessages(store)), [101]);
  });

  await t.test('topics and event names count as often as they are stored, and come off again to the byte, also where messages were erased', async (t) => {
    const store = await openStore(t, await factory(t));
    const drafts = [
      draft('größe.🚀', 'x'.repeat(10)), draft('t'.repeat(255), '', { event: 'e'.repeat(128) }), draft('a.b', 'secret', { event: 'alert' }), draft('a', 'y', { event: 'alert', ttl: 60 }), draft('a.b', 'secret'),
    ];
    const counted = drafts.reduce((sum, one) => sum + rowBytes(one, store.rowOverheadBytes), 0);
    // Together, and each with a key: a store may count them in other ways.
    await stored(store, [request(...drafts)]);
    t.equal((await store.trim(NOTHING)).bytes, counted);
    await stored(store, drafts.map((one, index) => keyed(`key ${index}`, [one])));
    await stored(store, [keyed('twice', drafts), keyed('twice', drafts)]);
    t.equal((await store.trim(NOTHING)).bytes, 3 * counted);
    const { lineage } = await store.state();
    await store.erasures.eraseMessage(lineage.at(2));
    await store.erasures.eraseTopic({ topic: 'a.b', after: 0, through: lineage.at(15), rows: 100 });
    const tombstones = await store.trim(NOTHING);
    t.equal(tombstones.bytes, 3 * counted - 128 - 3 * (2 * 'secret'.length + 'alert'.length));
    for (let left = 15; left > 0; left--) await store.trim({ ...NOTHING, maxBytes: 1, rows: 1 });
    t.match(await store.trim(NOTHING), { bytes: 0, log: { oldest: 16, head: 15 } });
  });

  await t.test('reading from before the oldest begins at the oldest', async (t) => {
    const store = await openStore(t, await factory(t));
    await stored(store, range(1, 60).map((index) => request(draft(index % 2 === 0 ? 'even' : 'odd.x', 'x'.repeat(100)))));
    const { bytes } = await store.trim(NOTHING);
    const { log: { oldest } } = await store.trim({ ...NOTHING, maxBytes: bytes / 3 });
    t.ok(oldest > 30 && oldest < 60);
    for (const filter of [undefined, new Filter(['>']), new Filter(['even', 'odd.*'])]) {
      t.same(seqs((await store.read({ ...EVERYTHING, filter })).messages), range(oldest, 60));
    }
    const page = await store.read({ ...EVERYTHING, filter: new Filter(['never']), after: 3 });
    t.match(page, { messages: [], scanned: 60, log: { oldest } });
  });

  await t.test('a time that was deleted is not below the oldest, and said to be missing', async (t) => {
    const store = await openStore(t, await factory(t));
    const times: number[] = [];
    for (const _ of range(1, 4)) {
      times.push(newlyStored((await store.append([request(draft('a', 'x'.repeat(100)))])).outcomes[0]).time);
      await age(store, 2);
    }
    const { bytes } = await store.trim(NOTHING);
    await store.trim({ ...NOTHING, maxBytes: bytes / 2 });
    t.match(await store.seek(0), { seq: 2, missing: true });
    t.match(await store.seek(times[1]!), { seq: 2, missing: true });
    t.match(await store.seek(times[1]! + 1), { seq: 2, missing: false });
    t.match(await store.seek(times[3]!), { seq: 3, missing: false });
  });

  await t.test('expired keys go, a limited number at a time, and no others', async (t) => {
    const store = await openStore(t, await factory(t));
    await store.append([...range(1, 7).map((index) => keyed(`short ${index}`, [draft('a')], { window: 1 })), keyed('long', [draft('a')])]);
    await age(store, 2);
    t.match(await store.trim({ ...NOTHING, rows: 5 }), { messages: 0, keys: 5, more: true });
    t.match(await store.trim({ ...NOTHING, rows: 5 }), { messages: 0, keys: 2, more: false });
    t.match((await store.append([keyed('long', [draft('a')])])).outcomes, [{ kind: 'replayed' }]);
  });

  await t.test('above a number the oldest keys are forgotten, a limited number at a time, and no younger ones', async (t) => {
    const database = await factory(t);
    const store = await openStore(t, database);
    const use = async (from: number, to: number, through = store): Promise<string> =>
      [...new Set((await through.append(range(from, to).map((index) => keyed(`k ${index}`, [draft('a')])))).outcomes.map(({ kind }) => kind))].join();
    t.match(await store.trim({ ...NOTHING, maxKeys: 1 }), { keys: 0, heldKeys: 0, more: false });
    for (let from = 1; from <= 100; from += 25) {
      await use(from, from + 24);
      await age(store, 1);
    }
    t.match(await store.trim(NOTHING), { keys: 0, heldKeys: 100, more: false }, 'without a bound all are kept');
    t.match(await store.trim({ ...NOTHING, maxKeys: 70, rows: 20 }), { messages: 0, keys: 20, youngKeys: 20, heldKeys: 80, more: true });
    t.match(await store.trim({ ...NOTHING, maxKeys: 70, rows: 20 }), { keys: 10, youngKeys: 10, heldKeys: 70, more: false });
    t.match(await store.trim({ ...NOTHING, maxKeys: 70, rows: 20 }), { keys: 0, more: false });
    const other = await openStore(t, database);
    t.equal(await use(31, 100, other), 'replayed', 'the younger ones are remembered');
    t.equal(await use(1, 30, other), 'stored', 'an older one is free again');
    t.match(await other.trim({ ...NOTHING, maxKeys: 1 }), { keys: 99, youngKeys: 99, heldKeys: 1, more: false });
    t.equal(await use(30, 30), 'replayed', 'the youngest of all is there');
  });

  await t.test('keys that have expired go first, and are not counted as young', async (t) => {
    const store = await openStore(t, await factory(t));
    await store.append(range(1, 5).map((index) => keyed(`short ${index}`, [draft('a')], { window: 1 })));
    await age(store, 2);
    await store.append(range(1, 5).map((index) => keyed(`long ${index}`, [draft('a')])));
    t.match(await store.trim({ ...NOTHING, maxKeys: 3 }), { keys: 7, youngKeys: 2, heldKeys: 3, more: false });
    await store.append([keyed('short 1', [draft('a')], { window: 1 })]);
    await age(store, 2);
    t.match((await store.append([keyed('short 1', [draft('a')])])).outcomes, [{ kind: 'stored' }]);
    const { heldKeys } = await store.trim(NOTHING);
    t.ok(heldKeys >= 4 && heldKeys <= 5, 'one that is stored again may count twice');
  });

  await t.test('a read and its oldest number are from one moment, while another instance deletes', async (t) => {
    const database = await factory(t);
    const store = await openStore(t, database);
    const other = await openStore(t, database);
    await stored(store, range(1, 1_000).map(() => request(draft('a.b', 'x'.repeat(500)))));
    let running = true;
    const trimming = (async () => {
      const { bytes } = await other.trim(NOTHING);
      for (const step of range(1, 100)) {
        await other.trim({ ...NOTHING, maxBytes: bytes * (1 - step / 101) });
        await turn();
      }
      running = false;
    })();
    let oldest = 1;
    while (running) {
      for (const filter of [undefined, new Filter(['a.b']), new Filter(['a.*'])]) {
        const page = await store.read({ ...EVERYTHING, filter, limit: 50 });
        const found = seqs(page.messages).join();
        if (found !== range(page.log.oldest, Math.min(page.log.oldest + 49, 1_000)).join()) t.fail(`from ${page.log.oldest} it read ${found}`);
        ({ oldest } = page.log);
      }
    }
    await trimming;
    t.ok(oldest > 1, 'it was reading while rows went');
  });
}
