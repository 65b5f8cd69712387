import type { Test } from 'tap';
import { CONNECTOR_STATUS_MAX_BYTES, type ConnectorStore, type SourcePosition, type SourceStep } from '../../src/store/contracts/connector-store.ts';
import type { Outcome, Store } from '../../src/store/store.ts';
import { until } from '../support/until.ts';
import type { Scope } from '../support/temp.ts';
import { draft, failure, impossible, range, readMessages, request, seqs, texts, type TestDatabase } from './store-kit.ts';

/** What the contract of connectors needs of an implementation: databases to run it on. */
export type ConnectorDatabaseFactory = (t: Scope) => Promise<Omit<TestDatabase, 'store'> & { store(): Store & { readonly connectors: ConnectorStore } }>;

/** Longer than a test lasts, and none at all. */
const LONG_MS = 3_600_000;
const SHORT_MS = 1;

function at(position: number, identity = "stream '\\ 1"): SourcePosition {
  return { identity, position };
}

/** What every store of connectors must do: see the comments of `ConnectorStore` and of `AppendRequest.step`. */
export function connectorStoreContract(t: Test, name: string, factory: ConnectorDatabaseFactory): void {
  t.test(`${name}: connectors`, async (t) => {
    const database = await factory(t);
    const store = database.store();
    const other = database.store();
    t.teardown(() => Promise.all([store.close(), other.close()]));
    await store.open();
    await other.open();
    const { connectors } = store;
    const lease = (owner: string, names: readonly string[], leaseMs = LONG_MS) => connectors.leaseConnectors({ owner, leaseMs, names });
    const fenceOf = async (connector: string): Promise<number> => (await connectors.findConnectors([connector]))[0]!.fence;
    const step = async (connector: string, from: SourcePosition | undefined, to: SourcePosition, parts: Partial<SourceStep> = {}): Promise<SourceStep> =>
      ({ connector, fence: await fenceOf(connector), origin: 'nats:one', moves: [{ part: '', from, to }], ...parts });
    const append = async (text: string, one: SourceStep, by: Store = store): Promise<Outcome['kind']> => (await by.append([{ ...request(draft('from', text)), step: one }])).outcomes[0]!.kind;
    const positions = async (connector: string): Promise<readonly (readonly [string, string, number])[]> => (await connectors.sourcePositions(connector)).map(({ part, identity, position }) => [part, identity, position]);
    const stored = async (): Promise<string[]> => texts(await readMessages(store));

    await t.test('have one owner at a time, and each its share', async (t) => {
      t.match(await lease('one', ['a', 'b', 'c']), { share: 3, held: [{ id: 'a', fence: 1 }, { id: 'b', fence: 1 }, { id: 'c', fence: 1 }] });
      t.same(await lease('two', ['a', 'b', 'c']), { share: 2, held: [] });
      await connectors.letGoOfConnectors('one', ['c']);
      await connectors.letGoOfConnectors('two', ['a']);
      t.match((await lease('two', ['a', 'b', 'c', 'd'])).held, [{ id: 'c', fence: 2 }, { id: 'd', fence: 1 }], 'an instance whose file declares more takes those, too');
      t.match((await lease('one', ['a', 'b', 'c'])).held.map(({ id }) => id), ['a', 'b'], 'an instance is told of those that its own file declares');
      await connectors.letGoOfConnectors('one', undefined);
      await connectors.letGoOfConnectors('two', undefined);
      await lease('dead', ['a'], SHORT_MS);
      await until('the lease has ended', async () => (await lease('three', ['a'])).held.length === 1);
      t.match(await connectors.findConnectors(['a', 'gone']), [{ name: 'a', owner: 'three', fence: 3, cursor: '', status: '' }]);
      await connectors.letGoOfConnectors('three', undefined);
    });

    await t.test('note cursors and statuses under the newest fence alone', async (t) => {
      await lease('one', ['sink']);
      t.equal(await connectors.noteConnector({ name: 'sink', fence: 1, cursor: 'abcdefgh-1', status: "it's \\ well" }), true);
      t.equal(await connectors.noteConnector({ name: 'sink', fence: 1, cursor: undefined, status: 'still' }), true);
      t.match(await connectors.findConnectors(['sink']), [{ cursor: 'abcdefgh-1', status: 'still' }]);
      await connectors.letGoOfConnectors('one', undefined);
      await lease('two', ['sink']);
      t.equal(await connectors.noteConnector({ name: 'sink', fence: 1, cursor: 'abcdefgh-9', status: 'frozen' }), false);
      t.match(await connectors.findConnectors(['sink']), [{ cursor: 'abcdefgh-1', status: 'still' }]);
      t.equal(await failure(connectors.noteConnector({ name: 'sink', fence: 2, cursor: undefined, status: 'x'.repeat(CONNECTOR_STATUS_MAX_BYTES + 1) })), 'refused');
      await connectors.letGoOfConnectors('two', undefined);
    });

    await t.test('a step stores its messages and moves the position, or does neither', async (t) => {
      await lease('one', ['s']);
      t.equal(await append('1', await step('s', undefined, at(5))), 'stored');
      t.same(await positions('s'), [['', at(0).identity, 5]]);
      t.equal(await append('2', await step('s', at(5), at(9))), 'stored', 'positions may leave numbers out');
      t.equal(await append('2', await step('s', at(5), at(9))), 'outdated', 'what is sent twice is stored once');
      t.equal(await append('0', await step('s', undefined, at(1))), 'outdated', 'nor does a source begin twice');
      t.equal(await append('x', await step('s', at(10), at(11))), 'outdated', 'nor go on from where it never was');
      t.equal(await append('x', await step('s', at(9, 'another'), at(10, 'another'))), 'outdated', 'nor from another stream');
      t.same(await positions('s'), [['', at(0).identity, 9]]);
      t.equal(await append('3', await step('s', at(9), at(1, 'made anew'))), 'stored', 'a stream that was made anew begins again');
      t.same(await stored(), ['1', '2', '3']);
    });

    await t.test('a step of an owner that was frozen stores nothing', async (t) => {
      const late = await step('s', at(1, 'made anew'), at(2, 'made anew'));
      await connectors.letGoOfConnectors('one', undefined);
      await lease('two', ['s']);
      t.equal(await append('late', late, other), 'outdated');
      t.equal(await append('none', { ...late, moves: [] }, other), 'outdated', 'also without positions');
      t.equal(await append('4', { ...late, fence: 2 }), 'stored');
      t.equal(await append('strange', { ...late, connector: 'unknown', fence: 0 }), 'outdated');
      t.same(await stored(), ['1', '2', '3', '4']);
    });

    await t.test('steps of two that believe they own a source: one of each pair is stored, in order', async (t) => {
      const own = await step('s', at(2, 'made anew'), at(3, 'made anew'));
      for (let position = 3; position < 13; position++) {
        const move = { ...own, moves: [{ part: '', from: at(position - 1, 'made anew'), to: at(position, 'made anew') }] };
        t.same((await Promise.all([append(`p${position}`, move), append(`p${position}`, move, other)])).sort(), ['outdated', 'stored']);
      }
      t.same((await stored()).slice(4), range(3, 12).map((position) => `p${position}`));
    });

    await t.test('a step whose message the log refuses moves nothing', async (t) => {
      const before = await positions('s');
      const move = await step('s', at(12, 'made anew'), at(13, 'made anew'));
      const { length } = await stored();
      t.equal(await failure(store.append([{ ...impossible(), step: move }])), 'refused');
      t.equal(await failure(store.append([request(draft('a')), { ...request(draft('from', 'x')), step: move }])), 'refused', 'a step is the only request of its call');
      t.same([await positions('s'), (await stored()).length], [before, length]);
      t.equal((await store.append([{ drafts: [], key: undefined, step: move }])).outcomes[0]!.kind, 'stored', 'without messages the position alone moves');
      t.same([await positions('s'), (await stored()).length], [[['', 'made anew', 13]], length]);
    });

    await t.test('parts move by themselves, all of a step or none', async (t) => {
      await lease('two', ['s', 'k']);
      const parts = ['0', '1', '2'].map((part) => ({ part, from: undefined, to: at(7, 'topic') }));
      t.equal(await append('k1', await step('k', undefined, at(0), { moves: parts })), 'stored');
      t.equal(await append('k2', await step('k', undefined, at(0), { moves: [{ part: '0', from: at(7, 'topic'), to: at(8, 'topic') }, { part: '1', from: at(6, 'topic'), to: at(8, 'topic') }] })), 'outdated');
      t.same((await positions('k')).map(([part, , position]) => [part, position]), [['0', 7], ['1', 7], ['2', 7]]);
    });

    await t.test('say which messages came from where', async (t) => {
      const { head } = (await store.append([request(draft('ours'))])).log;
      const last = await step('k', undefined, at(0), { origin: 'kafka:two', moves: [] });
      await append('a', last);
      await append('b', last);
      await store.append([request(draft('ours'))]);
      await append('c', { ...last, origin: 'nats:one' });
      t.same(await connectors.originsWithin(head, head + 4), [{ first: head + 1, last: head + 2, origin: 'kafka:two' }, { first: head + 4, last: head + 4, origin: 'nats:one' }]);
      t.same(await connectors.originsWithin(head + 2, head + 3), [{ first: head + 1, last: head + 2, origin: 'kafka:two' }]);
      t.same(await connectors.originsWithin(head, head), []);
      t.same(seqs(await readMessages(store)).length, head + 4);
      // What retention has deleted has no origin any more.
      while ((await store.trim({ maxAge: 0, maxBytes: 1, rows: 1_000 })).more);
      await append('d', last);
      t.ok((await connectors.originsWithin(1, head)).length <= 1);
    });
  });
}
