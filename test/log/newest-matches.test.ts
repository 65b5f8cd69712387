import { t } from 'tap';
import { Filter } from '../../src/model/topic.ts';
import { settle } from '../support/clock.ts';
import type { MemoryStore } from '../support/memory-store.ts';
import { begin, numbers } from '../support/spine.ts';

/** More than a walk back through the tail looks at. */
const LONG_MESSAGES = 2_500;

/** Counts the steps of walks through the log. `before` runs before each. */
function watchSteps(store: MemoryStore, before: (step: number) => unknown = () => undefined): { readonly count: number } {
  const steps = { count: 0 };
  const findBack = store.findBack.bind(store);
  store.findBack = async (query) => {
    await before(++steps.count);
    return findBack(query);
  };
  return steps;
}

t.test('the newest messages come from memory, oldest first, and the stream goes on live', async (t) => {
  const { store, ask, publish } = await begin(t, { messages: 10 });
  const steps = watchSteps(store);
  const { outlet } = await ask(['even'], { kind: 'last', count: 3 });
  await settle();
  publish('odd');
  publish('even');
  await settle();
  t.same(numbers(outlet), [5, 7, 9, 12]);
  t.same(numbers((await ask(['even'], { kind: 'last', count: 0 })).outlet), []);
  const all = (await ask(['even'], { kind: 'last', count: 100 })).outlet;
  await settle();
  t.same(numbers(all), [1, 3, 5, 7, 9, 12]);
  t.equal(steps.count, 0);
});

t.test('what lies further back is looked for in the log, in steps', async (t) => {
  const { store, ask } = await begin(t, { messages: LONG_MESSAGES });
  store.backRows = 100;
  const steps = watchSteps(store);
  store.messages.forEach((message, index) => void (index < 3 && store.messages.splice(index, 1, Object.assign(message, { topic: 'rare' }))));
  const { reader } = await ask(['rare'], { kind: 'last', count: 2 });
  t.equal(reader.position().seq, 1);
  t.equal(steps.count, LONG_MESSAGES / 100);
});

t.test('what another instance has stored counts, though the tail does not have it yet', async (t) => {
  const { store, ask } = await begin(t, { messages: 4 });
  store.commit({ topic: 'even' });
  const { reader } = await ask(['even'], { kind: 'last', count: 1 });
  t.equal(reader.position().seq, 4);
});

t.test('messages whose TTL has passed do not count, in memory or in the log', async (t) => {
  const { store, ask, publish, clock } = await begin(t);
  publish('a', 'kept');
  publish('a', 'short', 1);
  publish('a', 'kept');
  store.now += 2_000;
  await clock.advance(2_000);
  t.equal((await ask(['a'], { kind: 'last', count: 2 })).reader.position().seq, 0);
  store.commit({ topic: 'b' });
  t.equal((await ask(['a'], { kind: 'last', count: 2 })).reader.position().seq, 0, 'the tail lacks the newest: the log was asked');
});

for (const [what, deleted, seen] of [
  ['that did not count makes no gap', 5, ['$open e00001xx-7', '8=x']],
  ['that counted makes one', 8, ['$open e00001xx-7', '$gap e00001xx-8']],
] as const) {
  t.test(`a message ${what}, when retention deletes it during the walk`, async (t) => {
    const { store, ask, tail } = await begin(t, { messages: 6, tailBytes: 1 });
    store.commit({ topic: 'x' });
    store.commit({ topic: 'rare' });
    for (let count = 0; count < 30; count++) store.commit({ topic: 'y' });
    await tail.look();
    let step = 0;
    watchSteps(store, async (count) => void (step = count));
    const findBack = store.findBack.bind(store);
    store.findBack = async (query) => {
      const answer = await findBack(query);
      if (answer.seqs.length > 0) await store.trim({ maxAge: 0, maxBytes: 1, rows: deleted });
      return answer;
    };
    const { outlet } = await ask(['rare'], { kind: 'last', count: 2 });
    t.ok(step > 1, 'it took several steps');
    for (let turn = 0; turn < 5; turn++) await settle();
    t.same(outlet.seen, seen);
  });
}

t.test('a walk begins again when the log is exchanged for an older copy', async (t) => {
  const { store, ask } = await begin(t, { messages: 40, tailBytes: 1 });
  store.commit();
  const steps = watchSteps(store, (step) => (step === 2 ? store.restore(30) : undefined));
  const { reader } = await ask(['even'], { kind: 'last', count: 8 });
  t.same(reader.position().seq, 14, 'eight of the thirty that are left');
  t.equal(steps.count, 4);
});

t.test('a walk stops when its client has left, and each of its steps takes a turn of its own', async (t) => {
  const { store, starts } = await begin(t, { messages: 100, tailBytes: 1 });
  store.commit();
  let hasLeft = false;
  const steps = watchSteps(store, (step) => void (hasLeft = step === 3));
  await starts.resolve({ kind: 'last', count: 5 }, { filter: new Filter(['never']), hasLeft: () => hasLeft });
  t.equal(steps.count, 3);
});
