import type { Test } from 'tap';
import { rangesOf } from '../../src/model/topic-ranges.ts';
import { rowBytes } from '../../src/store/row-bytes.ts';
import { draft, openStore, request, stored, type StoreFactory } from './store-kit.ts';

/** In the order of their bytes: U+10000 stands after U+FFFF, though not in JavaScript's order. */
const ODD = ['!', "a'\\", 'a.b', 'a.b!', 'a.b.c', 'a.bc', 'b', 'é', '\uffee', '\u{1f680}.x'];

/** What every store of topics must do: see the comments of `TopicStore`. */
export function topicStoreContract(t: Test, name: string, factory: StoreFactory): void {
  t.test(`${name}: topics: names come once, in the order of their bytes, from a name on and up to another`, async (t) => {
    const store = await openStore(t, await factory(t));
    const names = (prefixes: readonly string[], after = '', limit = 100): Promise<readonly string[]> => store.topics.names({ ranges: rangesOf(prefixes, after), limit });
    t.same(await names(['']), [], 'an empty log has none');
    await stored(store, [...ODD, ...ODD].reverse().map((topic) => request(draft(topic, 'x'))));
    t.same(await names(['']), ODD);
    t.same(await names(['a.b']), ['a.b', 'a.b!', 'a.b.c', 'a.bc']);
    t.same(await names([''], 'a.b', 2), ['a.b!', 'a.b.c']);
    t.same(await names([''], '\u{1f680}.x'), []);
    t.same(await names(['é', 'b', 'none', 'a.b.', '\u{1f680}']), ['a.b.c', 'b', 'é', '\u{1f680}.x']);
    t.same(await names(['a.b.', 'b', 'é'], 'a.b.c', 1), ['b']);
    t.same(await names([]), []);
  });

  t.test(`${name}: topics: the newest messages are counted up to a bound, with their bytes and the newest of them`, async (t) => {
    const store = await openStore(t, await factory(t));
    // More than the newest part of an index takes, so that a topic has entries in both of its parts.
    const large = Array.from({ length: 1_100 }, (_, index) => request(draft('many', String(index % 10))));
    const firsts = await stored(store, [request(draft('few', 'größe', { event: 'named' }), draft('few', ''.padEnd(10_000, 'x'))), ...large]);
    const [last] = await stored(store, [request(draft('many', '12'))]);
    const overhead = store.rowOverheadBytes;
    const holdings = await store.topics.holdings(['many', 'none', 'few', "o'dd\\"], 100);
    const { lineage } = await store.state();
    t.match(holdings.map(({ topic, messages, more, newest }) => [topic, messages, more, newest?.seq]), [['many', 100, true, last], ['none', 0, false, undefined], ['few', 2, false, firsts[0]! + 1], ["o'dd\\", 0, false, undefined]]);
    t.equal(holdings[0]!.newest!.epoch, lineage.at(last!).epoch);
    t.ok(Math.abs(holdings[0]!.newest!.time - Date.now()) < 60_000, 'its time');
    t.same(holdings.map(({ bytes }) => bytes), [99 * rowBytes(draft('many', 'x'), overhead) + rowBytes(draft('many', 'xx'), overhead), 0, rowBytes(draft('few', 'größe', { event: 'named' }), overhead) + rowBytes(draft('few', ''.padEnd(10_000, 'x')), overhead), 0]);
    t.match(await store.topics.holdings(['few'], 1), [{ messages: 1, more: true }]);
    t.match(await store.topics.holdings(['few'], 2), [{ messages: 2, more: false }]);
    t.same(await store.topics.holdings([], 2), []);
  });

  t.test(`${name}: topics: deleted messages are gone, and erased ones count without their data`, async (t) => {
    const store = await openStore(t, await factory(t));
    await stored(store, [request(draft('old', 'x'), draft('kept', 'data', { event: 'named' }), draft('kept', 'data'))]);
    await store.trim({ maxAge: 0, maxBytes: 2 * rowBytes(draft('kept', 'data', { event: 'named' }), store.rowOverheadBytes), rows: 1 });
    t.same(await store.topics.names({ ranges: rangesOf([''], ''), limit: 5 }), ['kept']);
    t.match(await store.topics.holdings(['old'], 5), [{ messages: 0, newest: undefined }]);
    const { head, lineage } = await store.state();
    await store.erasures.eraseTopic({ topic: 'kept', after: 0, through: lineage.at(head), rows: 10 });
    t.match(await store.topics.holdings(['kept'], 5), [{ messages: 2, bytes: 2 * rowBytes(draft('kept'), store.rowOverheadBytes), newest: { seq: head } }]);
  });
}
