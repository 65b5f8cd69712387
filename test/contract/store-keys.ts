import type { Test } from 'tap';
import { until } from '../support/until.ts';
import { draft, firstOf, keyed, newlyStored, openStore, range, readMessages, request, stored, texts, type StoreFactory } from './store-kit.ts';

/** DESIGN: the same key within its window stores once and answers the first answer again. */
export async function keys(t: Test, factory: StoreFactory): Promise<void> {
  const database = await factory(t);
  const store = await openStore(t, database);
  const other = await openStore(t, database);

  await t.test('a key that comes again gets the first answer, from every instance', async (t) => {
    const first = (await store.append([keyed('k1', [draft('a', '1'), draft('a', '2')])])).outcomes[0]!;
    t.match(first, { kind: 'stored', first: 1 });
    await store.append([request(draft('b'))]);
    for (const one of [store, other]) {
      const { outcomes, log } = await one.append([keyed('k1', [draft('a', '1'), draft('a', '2')])]);
      t.same(outcomes, [{ ...first, kind: 'replayed' }]);
      t.equal(log.head, 3);
    }
  });

  await t.test('a key that comes again with another request is a conflict', async (t) => {
    const { head } = await store.state();
    const { outcomes } = await other.append([keyed('k1', [draft('a', 'other')], { body: 2 })]);
    t.same(outcomes, [{ kind: 'conflict' }]);
    t.equal((await store.state()).head, head);
  });

  await t.test('in a list, replays and conflicts leave the others as they are', async (t) => {
    const { head } = await store.state();
    const { outcomes, log } = await store.append([
      request(draft('c', 'one')),
      keyed('k1', [draft('a', '1'), draft('a', '2')]),
      keyed('k2', [draft('c', 'two'), draft('c', 'three')]),
      keyed('k1', [draft('a', 'longer than the others')], { body: 3 }),
      request(draft('c', 'four')),
    ]);
    t.match(outcomes, [{ kind: 'stored', first: head + 1 }, { kind: 'replayed', first: 1 }, { kind: 'stored', first: head + 2 }, { kind: 'conflict' }, { kind: 'stored', first: head + 4 }]);
    t.equal(log.head, head + 4);
    t.same(texts(await readMessages(store, { after: head })), ['one', 'two', 'three', 'four']);
  });

  await t.test('twice in one list it is stored once', async (t) => {
    const { head } = await store.state();
    const { outcomes } = await store.append([keyed('twice', [draft('d')]), keyed('twice', [draft('d')]), keyed('twice', [draft('e')], { body: 9 })]);
    t.match(outcomes, [{ kind: 'stored', first: head + 1 }, { kind: 'replayed', first: head + 1 }, { kind: 'conflict' }]);
    t.equal((await store.state()).head, head + 1);
  });

  await t.test('two scopes never share a key', async (t) => {
    const { outcomes } = await store.append([
      keyed('shared', [draft('f')], { scope: 'one' }), keyed('shared', [draft('f')], { scope: 'two', body: 2 }), keyed('shared', [draft('f')], { body: 3 }),
      keyed('eshared', [draft('f')], { scope: 'on', body: 4 }),
    ]);
    t.same(outcomes.map(({ kind }) => kind), ['stored', 'stored', 'stored', 'stored']);
  });

  await t.test('from two instances at once it is stored once', async (t) => {
    const { head } = await store.state();
    for (const round of range(1, 30)) {
      const answers = await Promise.all([store, other, store, other].map((one) => one.append([keyed(`race ${round}`, [draft('g', String(round))])])));
      const outcomes = answers.map((answer) => answer.outcomes[0]!);
      if (outcomes.filter(({ kind }) => kind === 'stored').length !== 1) t.fail(`round ${round} was not stored once`);
      if (new Set(outcomes.map(firstOf)).size !== 1) t.fail(`round ${round} has more than one answer`);
    }
    t.same(texts(await readMessages(store, { after: head })), range(1, 30).map(String));
  });

  await t.test('after its window a key is free, and then taken again', async (t) => {
    const before = newlyStored((await store.append([keyed('short', [draft('h', 'first')], { window: 1 })])).outcomes[0]);
    await until('its window has passed', async () => (await store.state()).now > before.time + 1);
    const after = (await other.append([keyed('short', [draft('h', 'second')], { body: 2 })])).outcomes[0]!;
    t.match(after, { kind: 'stored', first: before.first + 1 });
    t.same((await store.append([keyed('short', [draft('h', 'second')], { body: 2 })])).outcomes, [{ ...after, kind: 'replayed' }]);
  });

  await t.test('a replay answers also when the message is gone, and after a restart', async (t) => {
    const [first] = (await store.append([keyed('gone', [draft('i')])])).outcomes;
    let trimmed;
    do trimmed = await store.trim({ maxAge: 0, maxBytes: 1, rows: 1_000 }); while (trimmed.more);
    t.same(await readMessages(store), []);
    const again = await openStore(t, database);
    t.same((await again.append([keyed('gone', [draft('i')])])).outcomes, [{ ...first, kind: 'replayed' }]);
  });

  await t.test('a key may be any text', async (t) => {
    const odd = ['', ' ', 'ü', '\'"%_', 'x'.repeat(1_000)];
    const { head } = await store.state();
    t.same(await stored(store, odd.map((key) => keyed(key, [draft('j')]))), range(head + 1, head + odd.length));
    t.same(await stored(other, odd.map((key) => keyed(key, [draft('j')]))), range(head + 1, head + odd.length));
  });
}
