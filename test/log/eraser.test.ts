import { t } from 'tap';
import { FULL_GRANT, type Grant } from '../../src/model/grant.ts';
import type { Holder } from '../../src/runtime/sharing/fair-shares.ts';
import { StoreError } from '../../src/store/store.ts';
import { settle } from '../support/clock.ts';
import { begin } from '../support/spine.ts';

const BY = { name: 'moderator', client: '127.0.0.1' };
const GRANT: Grant = { ...FULL_GRANT, mayErase: () => true };
/** Later than all messages. */
const ALL = { kind: 'since', time: 2_000_000 } as const;

t.test('an erasure is not answered as done while the instance cannot learn of it; nor is the next request', async (t) => {
  const { store, tail, publish, eraser, at } = await begin(t);
  publish('a', 'secret');
  const erase = store.erasures.eraseMessage.bind(store.erasures);
  store.erasures.eraseMessage = async (position) => {
    const outcome = await erase(position);
    store.failure = 'unavailable';
    return outcome;
  };
  await t.rejects(eraser.message(GRANT, at(1), BY), { code: 'outcome-unknown' });
  store.failure = undefined;
  await t.rejects(eraser.message(GRANT, at(1), BY), { code: 'outcome-unknown' }, 'also where it was erased before');
  store.failure = undefined;
  store.erasures.eraseMessage = erase;
  await eraser.message(GRANT, at(1), BY);
  t.ok(tail.after(0, () => true, 1).messages[0]!.isErased);
});

t.test('each request that may have erased something has its audit line', async (t) => {
  const { store, publish, eraser, audited, at } = await begin(t);
  for (const topic of ['a', 'b', 'b']) publish(topic, 'secret');
  const erase = store.erasures.eraseMessage.bind(store.erasures);
  const eraseTopic = store.erasures.eraseTopic.bind(store.erasures);
  store.erasures.eraseMessage = () => Promise.reject(new StoreError('outcome-unknown', 'cut'));
  await t.rejects(eraser.message(GRANT, at(1), BY), { code: 'outcome-unknown' });
  store.erasures.eraseMessage = erase;
  await eraser.message(GRANT, at(1), BY);
  await eraser.message(GRANT, at(1), BY);
  store.erasures.eraseTopic = () => Promise.reject(new StoreError('outcome-unknown', 'cut'));
  await t.rejects(eraser.topic(GRANT, 'b', ALL, BY), { code: 'outcome-unknown' });
  store.erasures.eraseTopic = eraseTopic;
  t.equal((await eraser.topic(GRANT, 'b', ALL, BY)).erased, 2);
  t.match(audited, [
    ...['outcome-unknown', 'erased', 'before'].map((outcome) => ({ audit: 'message-erased', topic: 'a', outcome, by: BY.name })),
    ...['outcome-unknown', 'erased'].map((outcome) => ({ audit: 'topic-erased', topic: 'b', outcome, by: BY.name })),
  ]);
});

t.test('a message is looked up without its data before it is known that it may be erased', async (t) => {
  const { store, publish, eraser, at } = await begin(t);
  publish('a', 'secret');
  store.reads = [];
  await t.rejects(eraser.message({ ...GRANT, mayErase: () => false }, at(1), BY), { code: 'message-not-found' });
  t.match(store.reads, [{ withoutData: true }]);
});

t.test('one request at a time erases in a topic, and few topics are erased at once', async (t) => {
  const { store, publish, eraser } = await begin(t);
  publish('a', 'secret');
  const { promise, resolve } = Promise.withResolvers<void>();
  const seek = store.seek.bind(store);
  store.seek = async (time) => {
    await promise;
    return seek(time);
  };
  const some = ['a', 'b', 'c', 'd'].map((topic) => eraser.topic(GRANT, topic, ALL, BY));
  for (const topic of ['a', 'e']) await t.rejects(eraser.topic(GRANT, topic, ALL, BY), { code: 'overloaded' }, topic);
  resolve();
  await Promise.all(some);
  t.match(await eraser.topic(GRANT, 'e', ALL, BY), { more: false }, 'then there is room');
});

t.test('when all places are taken, the largest client\'s newest request ends early, and says that more is left', async (t) => {
  const { store, publish, eraser, clock, counters } = await begin(t);
  publish('a', 'secret');
  let isOver = false;
  store.erasures.eraseTopic = ({ topic, after }) => Promise.resolve({ erased: 1, scanned: after + 1, more: topic !== 'other' && !isOver });
  const greedy: Holder = ['key:a', 'address:192.0.2.1', {}];
  const answers = new Map<string, unknown>();
  const erase = (topic: string, holder: Holder): Promise<unknown> => eraser.topic(GRANT, topic, ALL, BY, holder).then((answer) => answers.set(topic, answer));
  const all = ['a', 'b', 'c', 'd'].map((topic) => erase(topic, greedy));
  await settle();
  await t.rejects(eraser.topic(GRANT, 'e', ALL, BY, greedy), { code: 'overloaded' }, 'its own next one');
  const other = erase('other', ['key:b', 'address:192.0.2.1', {}]);
  await clock.advance(100);
  await other;
  t.same(answers.get('other'), { erased: 1, more: false });
  t.match(answers.get('d'), { more: true });
  t.equal(counters.evicted.erasures, 1);
  t.equal(answers.size, 2, 'its other requests go on');
  isOver = true;
  await clock.advance(100);
  await Promise.all(all);
  t.match(answers.get('a'), { more: false });
});

t.test('clients take turns in erasing single messages', async (t) => {
  const { store, publish, eraser, at } = await begin(t);
  for (let count = 0; count < 40; count++) publish('a', 'secret');
  const order: number[] = [];
  const erase = store.erasures.eraseMessage.bind(store.erasures);
  store.erasures.eraseMessage = (position) => {
    order.push(position.seq);
    return erase(position);
  };
  const all = Array.from({ length: 39 }, (_, index) => eraser.message(GRANT, at(index + 1), BY, ['key:a', 'address:192.0.2.1', {}]));
  await Promise.all([...all, eraser.message(GRANT, at(40), BY, ['key:b', 'address:192.0.2.1', {}])]);
  t.ok(order.indexOf(40) < 8, `it was the ${order.indexOf(40) + 1}th of ${order.length}`);
});

t.test('of erasures in quick succession the first is wiped at once, and the others together, by the timer', async (t) => {
  const { store, publish, eraser, clock, at } = await begin(t);
  let rounds = 0;
  store.erasures.wipe = () => {
    rounds++;
    return Promise.resolve('held-up');
  };
  for (let seq = 1; seq <= 10; seq++) publish('a', 'secret');
  for (let seq = 1; seq <= 10; seq++) await eraser.message(GRANT, at(seq), BY);
  await settle();
  t.equal(rounds, 1);
  t.notOk(eraser.isWiped);
  await clock.advance(10_000);
  t.equal(rounds, 2);
});

t.test('erasures of another instance count as wiped only after a look, and erasures during a look after the next one', async (t) => {
  const { store, tail, publish, eraser, clock, at } = await begin(t);
  for (let seq = 1; seq <= 2; seq++) publish('a', 'secret');
  t.ok(eraser.isWiped, 'nothing was erased');
  await store.erasures.eraseMessage(at(1));
  await tail.look();
  t.notOk(eraser.isWiped);

  store.erasures.wipe = async () => {
    await store.erasures.eraseMessage(at(2));
    await tail.look();
    return 'done';
  };
  eraser.run();
  await settle();
  t.notOk(eraser.isWiped);
  await clock.advance(10_000);
  t.ok(eraser.isWiped);
});
