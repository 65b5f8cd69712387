import { t } from 'tap';
import { StoreClock } from '../../src/log/tail/store-clock.ts';
import { Tail } from '../../src/log/tail/tail.ts';
import { Message } from '../../src/model/message.ts';
import { Counters } from '../../src/runtime/counters.ts';
import { settle, TestClock } from '../support/clock.ts';
import { collectGarbage } from '../support/garbage.ts';
import { quietLogger } from '../support/logger.ts';
import { MemoryStore } from '../support/memory-store.ts';
import type { Scope } from '../support/temp.ts';

interface Setting {
  readonly store: MemoryStore;
  readonly tail: Tail;
  readonly clock: TestClock;
  readonly counters: Counters;
  /** What readers were told, in order: numbers, and `!n` where the tail changed otherwise and then ended at n. */
  readonly told: (number | string)[];
}

/** @param whileOpening Called when the log was opened, and the tail was not. */
async function begin(t: Scope, messages = 3, maxBytes = 1_000_000, whileOpening: (setting: Setting) => Promise<void> = () => Promise.resolve()): Promise<Setting> {
  const store = new MemoryStore();
  await store.open();
  for (let count = 0; count < messages; count++) store.commit();
  const clock = new TestClock();
  const counters = new Counters();
  const tail = new Tail({ store, clock, storeClock: new StoreClock(clock), counters, logger: quietLogger, maxBytes, pollMs: 1000 });
  const told: (number | string)[] = [];
  const listener = {
    append: (seq: number) => void told.push(seq),
    epochAdded: () => undefined, erased: () => undefined,
    moveEnd: (change: () => void) => {
      change();
      told.push(`!${tail.last}`);
    },
  };
  const setting = { store, tail, clock, counters, told };
  const opened = store.log();
  await whileOpening(setting);
  await tail.open(opened, listener);
  t.teardown(() => tail.stop());
  told.length = 0;
  return setting;
}

t.test('a new tail holds the newest messages, so that returning readers need no read', async (t) => {
  const { tail, store } = await begin(t, 12_000, 64_000_000);
  t.equal(tail.last, 12_000);
  t.equal(tail.first, 2_001);
  t.ok(tail.knows(store.messages[5_000]!));
  t.notOk(tail.knows({ epoch: 'epoch99999', seq: 5_001 }));
});

/** Seen to fail where the tail takes it: the first look for what lies before it ended the process. */
t.test('what this instance commits while its log is still being opened is found by the opening', async (t) => {
  const { tail, store, told } = await begin(t, 3, 1_000_000, async ({ tail, store, clock }) => {
    const before = tail.knowledge;
    const quick = store.commit();
    tail.committed([quick], before, store.log());
    await clock.advance(1_000);
    t.equal(tail.log, undefined, 'it is not open yet');
  });
  t.equal(tail.last, 4);
  t.ok(tail.knows(store.messages[3]!));
  tail.offer([store.commit()]);
  t.same(told, [5]);
});

t.test('where messages from beyond the clock got the time of now, those in memory are forgotten', async (t) => {
  for (const how of ['by the next look', 'by a message that came first']) await t.test(how, async (t) => {
    const { tail, store, told, clock } = await begin(t);
    const { now } = store;
    tail.offer([store.commit({}, now + 1_000_000), store.commit({}, now + 1_000_000)]);
    await clock.advance(1_000);
    t.equal(tail.length, 5, 'while the log has such times, so has the tail');
    store.messages = store.messages.map((message) => new Message(message.epoch, message.seq, now, message.expires, message));
    if (how === 'by the next look') await clock.advance(1_000);
    else tail.offer([store.commit()]);
    const { last } = tail;
    t.equal(tail.covers(3), false, 'they are read again');
    t.ok(tail.knows(store.messages[last - 1]!), 'the end of the tail stays');
    tail.offer([store.commit()]);
    t.same(told, [...Array(last - 2).keys()].map((index) => index + 4));
    t.equal(tail.covers(last), true);
  });
});

t.test('messages in order are passed on as they come; twice is once', async (t) => {
  const { tail, store, told, counters } = await begin(t);
  const [four, five] = [store.commit(), store.commit()];
  tail.offer([four]);
  tail.offer([four, five]);
  tail.offer([five]);
  t.same(told, [4, 5]);
  t.equal(counters.filled, 3, 'nothing but the start was read from the log');
});

t.test('a message out of order waits a short while, and is not read from the log if the rest comes', async (t) => {
  const { tail, store, told, clock } = await begin(t);
  const [four, five, six] = [store.commit(), store.commit(), store.commit()];
  const reads = store.reads.length;
  tail.offer([six]);
  tail.offer([five]);
  t.same(told, []);
  tail.offer([four]);
  t.same(told, [4, 5, 6]);
  await clock.advance(100);
  t.equal(store.reads.length, reads);
});

t.test('missing messages are read from the log', async (t) => {
  const { tail, store, told, clock } = await begin(t);
  store.commit();
  tail.offer([store.commit()]);
  await settle();
  t.same(told, [], 'it may still come');
  await clock.advance(100);
  t.same(told, [4, 5]);
});

t.test('a message that nothing told of is found by the next look at the head', async (t) => {
  const { store, told, clock } = await begin(t);
  store.commit();
  await clock.advance(999);
  t.same(told, []);
  await clock.advance(1);
  t.same(told, [4]);
});

t.test('a message after one that was lost while the log was being read is not forgotten until the next look', async (t) => {
  const { tail, store, told, clock } = await begin(t);
  store.commit();
  tail.offer([store.commit()]);
  const filling = clock.advance(20);
  while (store.reads.at(-1)?.after !== 3) await new Promise((done) => setImmediate(done));
  // Behind the snapshot that is being read: 6 is lost, 7 arrives.
  store.commit();
  tail.offer([store.commit()]);
  await filling;
  await clock.advance(100);
  t.same(told, [4, 5, 6, 7]);
});

t.test('messages of another log, and numbers that the log never gave, are dropped', async (t) => {
  const { tail, store, told, clock } = await begin(t);
  const other = new MemoryStore();
  await other.open();
  await other.open();
  for (let count = 0; count < 5; count++) tail.offer([other.commit()]);
  await clock.advance(5_000);
  t.same(told, []);
  // A number beyond the head, in a known epoch: nothing waits for it for ever.
  const bogus = store.commit();
  store.messages.pop();
  tail.offer([Object.assign(Object.create(Object.getPrototypeOf(bogus) as object) as Message, bogus, { seq: 900 })]);
  await clock.advance(5_000);
  const reads = store.reads.length;
  await clock.advance(500);
  t.equal(store.reads.length, reads, 'the log is not read again and again for it');
  tail.offer([store.commit()]);
  t.same(told, [4]);
});

t.test('an epoch that began elsewhere is learnt from the log', async (t) => {
  const { tail, store, told, clock } = await begin(t);
  await store.open();
  tail.offer([store.commit()]);
  await clock.advance(0);
  t.same(told, [4]);
  t.equal(tail.position.epoch, 'e00002xxe000014');
});

t.test('the tail is bounded in bytes and keeps the newest', async (t) => {
  const { tail, store } = await begin(t, 0, 50_000);
  for (let count = 0; count < 100; count++) tail.offer([store.commit({ data: Buffer.alloc(5_000) })]);
  t.ok(tail.bytes <= 50_000);
  t.equal(tail.last, 100);
  t.ok(tail.length >= 8 && tail.length <= 10, `${tail.length}`);
  t.same(tail.after(97, () => true, 10).messages.map(({ seq }) => seq), [98, 99, 100]);
  t.notOk(tail.covers(50));
});

t.test('a walk through the tail has a bound, with any filter, and says how far it went', async (t) => {
  const { tail } = await begin(t, 7_000, 64_000_000);
  const looked: number[] = [];
  for (let at = 0; at < tail.last; ) {
    let count = 0;
    const { messages, end } = tail.after(at, () => ++count < 0, 10);
    t.same(messages, []);
    t.ok(end.seq > at && count === end.seq - at, `from ${at} to ${end.seq}`);
    t.ok(tail.knows(end));
    looked.push(count);
    at = end.seq;
  }
  t.ok(Math.max(...looked) <= 2_000, looked.join());
  t.same(tail.after(0, () => true, 10).end.seq, 10, 'nor does it go further than what was asked for');
});

t.test('what the tail drops is let go of at once, however few messages it holds', async (t) => {
  const { tail, store } = await begin(t, 0, 50_000);
  const offered = Array.from({ length: 100 }, () => {
    const message = store.commit({ data: Buffer.alloc(5_000) });
    tail.offer([message]);
    return new WeakRef(message);
  });
  await settle();
  collectGarbage();
  const held = offered.filter((message) => message.deref() !== undefined).length;
  t.ok(held <= tail.length + 1, `${held} of 100 are held, ${tail.length} are in the tail`);
});

t.test('a log that lost its newest part takes the tail back to what both share', async (t) => {
  const { tail, store, told, clock } = await begin(t, 10);
  await store.restore(6);
  await clock.advance(1_000);
  t.same(told, ['!6']);
  t.equal(tail.last, 6);
  const seven = store.commit();
  tail.offer([seven]);
  t.same(told, ['!6', 7]);
  t.ok(tail.knows(seven));
});

t.test('a log that lost epochs takes the tail back to the messages before them, and readers with their ids too', async (t) => {
  const { tail, store, told, clock } = await begin(t, 10);
  const lost: Message[] = [];
  for (let epochs = 0; epochs < 3; epochs++) {
    await store.open();
    lost.push(store.commit());
    await clock.advance(1_000);
  }
  t.same(told.splice(0), [11, 12, 13]);
  await store.restore(9);
  await clock.advance(1_000);
  t.same(told, ['!9']);
  store.commit();
  await clock.advance(1_000);
  t.same(told, ['!9', 10]);
  for (const message of lost) t.match(tail.locate(message, store.log()), { at: store.log().lineage.at(9), gap: { reason: 'forked' } }, message.id);
});

t.test('messages that wait out of order are of no use when the log was exchanged meanwhile', async (t) => {
  const { tail, store, told, clock } = await begin(t, 10);
  store.commit();
  const lost = store.commit();
  tail.offer([lost]);
  await store.restore(10);
  const eleven = store.commit();
  await tail.ask(async () => ({ log: await store.state() }));
  tail.offer([eleven]);
  t.same(told, [11]);
  t.equal(tail.position.epoch, eleven.epoch);
  const twelve = store.commit();
  await clock.advance(1_000);
  t.same(told, [11, 12]);
  t.equal(tail.position.epoch, twelve.epoch);
});

t.test('a log that is exchanged between a question and its answer takes back the messages of that time', async (t) => {
  const { tail, store, told, clock } = await begin(t, 10);
  await tail.ask(async () => {
    tail.offer([store.commit()]);
    await store.restore(10);
    store.commit();
    return { log: await store.state() };
  });
  t.same(told, [11, '!10']);
  tail.offer([store.commit()]);
  await clock.advance(1_000);
  t.same(told, [11, '!10', 11, 12]);
  t.ok(tail.knows(store.messages[10]!));
});

t.test('a commit whose answer comes after its log was lost does not bring that log back', async (t) => {
  const { tail, store, told } = await begin(t);
  await store.open();
  await tail.look();
  const before = tail.knowledge;
  const lost = store.commit();
  const log = store.log();
  // The copy has not heard of the epoch of that commit, as the lost log never heard of the copy's.
  await store.restore(2);
  store.commit();
  store.commit();
  await tail.look();
  t.same(told, ['!2', 3, 4]);
  tail.committed([lost], before, log);
  await settle();
  t.same([told, tail.position.epoch], [['!2', 3, 4], store.messages.at(-1)!.epoch]);
});

t.test('the older copy counts, though its head lies before the known one: late messages of the other are refused', async (t) => {
  const { tail, store, told, clock } = await begin(t, 10);
  const lost = [store.commit(), store.commit(), store.commit()];
  await tail.ask(async () => ({ log: await store.state() }));
  await store.restore(10);
  await clock.advance(1_000);
  tail.offer(lost);
  t.same(told, []);
  const eleven = store.commit();
  await clock.advance(1_000);
  t.same(told, [11]);
  t.equal(tail.position.epoch, eleven.epoch);
});

t.test('a log that lost its newest part and has counted past it is recognised', async (t) => {
  const { tail, store, told, clock } = await begin(t, 10);
  await store.restore(6);
  for (let count = 0; count < 20; count++) store.commit();
  tail.offer([store.commit()]);
  await clock.advance(1_000);
  t.equal(told[0], '!6');
  t.same(told.slice(1), Array.from({ length: 21 }, (_, index) => 7 + index));
  t.equal(tail.last, 27);
});

t.test('the first number that comes with another epoch is enough to look', async (t) => {
  const { tail, store, told, clock } = await begin(t, 10);
  await store.restore(6);
  tail.offer([store.commit()]);
  await clock.advance(0);
  t.same(told, ['!6', 7]);
});

t.test('a gap that is read from a log which lost its newest part takes the tail back too', async (t) => {
  const { tail, store, told, clock } = await begin(t, 10);
  store.commit();
  tail.offer([store.commit()]);
  await store.restore(6);
  store.commit();
  await clock.advance(100);
  t.same(told, ['!6', 7]);
});

t.test('retention that overtook the tail makes it jump', async (t) => {
  const { tail, store, told, clock } = await begin(t, 3);
  for (let count = 0; count < 20; count++) store.commit();
  await store.trim({ maxAge: 0, maxBytes: 5, rows: 100 });
  await clock.advance(1_000);
  t.same(told, ['!18', 19, 20, 21, 22, 23]);
  t.equal(tail.first, 19);
});

t.test('while the log cannot be read only messages in order are passed on; then everything goes on by itself', async (t) => {
  const { tail, store, told, clock } = await begin(t);
  store.failure = 'unavailable';
  tail.offer([store.commit()]);
  store.commit();
  tail.offer([store.commit()]);
  await clock.advance(3_000);
  t.same(told, [4]);
  t.equal(tail.failure, 'unavailable');
  store.failure = undefined;
  await clock.advance(1_000);
  t.same(told, [4, 5, 6]);
  t.equal(tail.failure, undefined);
});

t.test('a log that does not answer at all is no log that can be read', async (t) => {
  const { tail, store, clock } = await begin(t);
  const state = store.state.bind(store);
  const { promise: hang, resolve: goOn } = Promise.withResolvers<void>();
  store.state = () => hang.then(state);
  await clock.advance(2_000);
  t.equal(tail.failure, undefined, 'it may be waiting for a lock');
  await clock.advance(20_000);
  t.equal(tail.failure, 'the log does not answer');
  goOn();
  await clock.advance(0);
  t.equal(tail.failure, undefined);
});
