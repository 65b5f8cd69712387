import { t } from 'tap';
import type { StartRequest } from '../../src/log/history/start-position.ts';
import { FULL_GRANT, type Grant } from '../../src/model/grant.ts';
import type { Position } from '../../src/model/position.ts';
import { Filter } from '../../src/model/topic.ts';
import { Budget, Hold } from '../../src/runtime/sharing/budget.ts';
import { type Holder, UNNAMED } from '../../src/runtime/sharing/fair-shares.ts';
import { settle, TestClock } from '../support/clock.ts';
import { MemoryStore } from '../support/memory-store.ts';
import { buildSpine } from '../support/spine.ts';
import type { Scope } from '../support/temp.ts';

async function begin(t: Scope) {
  const store = new MemoryStore();
  await store.open();
  const clock = new TestClock();
  const { log, delivery, counters } = buildSpine({ store, clock, settings: { pollMs: 60_000, maxStreams: 10 } });
  const { audience, longPolls } = delivery;
  await log.open(store.log(), delivery.fanout);
  t.teardown(() => {
    log.stop();
    delivery.stop();
  });
  const page = (wait = 0, start: StartRequest = { kind: 'start' }, holder: Holder = UNNAMED, hold = new Hold(new Budget(Infinity))) => longPolls.page({ holder, grant: FULL_GRANT, filter: new Filter(['a']), start, limit: 100, wait, signal: new AbortController().signal, hold, hasLeft: () => false });
  return { store, clock, log, tail: log.tail, longPolls, audience, counters, page };
}

t.test('a page shows what another instance has committed, before this one has heard of it', async (t) => {
  const { store, tail, page } = await begin(t);
  tail.offer([store.commit({ topic: 'a' })]);
  store.commit({ topic: 'a' });
  t.equal(tail.last, 1);
  const { messages, more, cursor } = await page(0, { kind: 'after', position: tail.position });
  t.same(messages.map(({ seq }) => seq), [2]);
  t.equal(more, false);
  t.match(cursor, /-2$/);
  t.same((await page()).messages.map(({ seq }) => seq), [1, 2]);
});

t.test('many long polls are answered from memory, without a read each', async (t) => {
  const { store, tail, longPolls, audience, page } = await begin(t);
  tail.offer([store.commit({ topic: 'b' })]);
  const polls = Array.from({ length: 10 }, () => page(30_000));
  await settle();
  t.equal(longPolls.waiting, 10);
  const reads = store.reads.length;
  tail.offer([store.commit({ topic: 'b' }), store.commit({ topic: 'a' })]);
  for (const { messages } of await Promise.all(polls)) t.same(messages.map(({ seq }) => seq), [3]);
  t.equal(store.reads.length, reads);
  t.equal(longPolls.waiting, 0);
  t.equal(audience.size, 0, 'nothing stays in the index');
});

t.test('many long polls on a quiet topic of a busy log cost no read each, when they are answered and when their time is up', async (t) => {
  const { store, clock, log, tail, longPolls, page } = await begin(t);
  tail.offer([store.commit({ topic: 'b' })]);
  const polls = Array.from({ length: 8 }, () => page(30_000));
  const late = [page(10_000), page(10_000)];
  await settle();
  const reads = store.reads.length;
  for (let count = 0; count < 1_500; count++) tail.offer([store.commit({ topic: 'b' })]);
  await clock.advance(10_000);
  for (const { messages, cursor } of await Promise.all(late)) t.same([messages.length, cursor], [0, `${log.tail.position.epoch}-1501`]);
  tail.offer([store.commit({ topic: 'b' }), store.commit({ topic: 'a' }), store.commit({ topic: 'a' })]);
  for (const { messages } of await Promise.all(polls)) t.same(messages.map(({ seq }) => seq), [1503, 1504]);
  t.equal(store.reads.length, reads);
  t.equal(longPolls.waiting, 0);
});

t.test('thousands that ask for the same page share reads that have not begun, also when one loses its turn', async (t) => {
  const { store, tail, counters, page } = await begin(t);
  tail.offer([store.commit({ topic: 'a' })]);
  const gate = Promise.withResolvers<void>();
  const read = store.read.bind(store);
  store.read = (query) => gate.promise.then(() => read(query));
  // Those that run, a search of the largest holder that will lose its turn, and others that have joined it.
  const greedy: Holder = ['address', 'greedy'];
  const running = Array.from({ length: 4 }, (_, index) => page(0, { kind: 'since', time: index }, greedy));
  await settle();
  const starts = Array.from({ length: 1_000 }, (_, index) => ({ kind: 'after', position: { epoch: 'unknown0', seq: index } }) as const);
  const waiting = starts.map((start) => page(0, start, greedy).then(() => 200, ({ code }: { code: string }) => code));
  await settle();
  const joined = Array.from({ length: 3_000 }, () => page(0, starts.at(-1), ['address', {}]));
  await settle();
  const others = Array.from({ length: 3_000 }, () => page(0, { kind: 'after', position: tail.position }, ['address', {}]));
  await settle();
  t.ok(counters.evicted.reads > 0);
  gate.resolve();
  for (const { messages } of await Promise.all(joined)) if (messages.length !== 1) t.fail('a page lacks its message');
  for (const { messages } of await Promise.all(others)) if (messages.length !== 0) t.fail('a page has a message too many');
  await Promise.all(running);
  t.equal((await Promise.all(waiting)).filter((outcome) => outcome === 200).length, 1_000 - counters.evicted.reads);
  t.ok(store.reads.length < 1_100, `${store.reads.length} reads`);
});

t.test('a long poll is told of a gap that the tail went past', async (t) => {
  const { store, tail, page } = await begin(t);
  tail.offer([store.commit({ topic: 'a' })]);
  const poll = page(30_000, { kind: 'after', position: tail.position });
  await settle();
  tail.offer([store.commit({ topic: 'b' })]);
  // Retention overtakes the tail, which goes on past messages that it was not told of.
  for (let count = 0; count < 5; count++) store.commit({ topic: 'a' });
  await store.trim({ maxAge: 0, maxBytes: 1, rows: 6 });
  store.commit({ topic: 'b' });
  await tail.look();
  const { gap } = await poll;
  t.match(gap, { reason: 'expired' });
});

t.test('past the bound the client with most long polls makes room: the last of them is answered, empty, with a cursor that leads on', async (t) => {
  const { store, tail, longPolls, counters, page } = await begin(t);
  tail.offer([store.commit({ topic: 'b' })]);
  const greedy = Array.from({ length: 10 }, (_, index) => page(30_000, { kind: 'start' }, ['address', `connection ${index % 2}`]));
  await settle();
  const refused = page(30_000, { kind: 'start' }, ['address', 'connection 1']);
  await t.rejects(refused, { code: 'overloaded' });
  for (let count = 0; count < 2; count++) tail.offer([store.commit({ topic: 'b' })]);
  const others = Array.from({ length: 3 }, () => page(30_000, { kind: 'start' }, ['address', {}]));
  await settle();
  t.equal(longPolls.waiting, 10);
  t.equal(counters.evicted['long-polls'], 3);
  const ended = new Set<string>();
  for (const poll of greedy) void poll.then(({ messages, cursor }) => messages.length === 0 && ended.add(cursor));
  await settle();
  t.same([...ended], [`${tail.position.epoch}-3`]);
  tail.offer([store.commit({ topic: 'a' })]);
  for (const { messages } of await Promise.all(others)) t.same(messages.map(({ seq }) => seq), [4]);
  t.equal((await Promise.all(greedy)).filter(({ messages }) => messages.length === 0).length, 3);
});

for (const { first, reason } of [{ first: 'forked', reason: 'expired' }, { first: 'unknown-log', reason: 'unknown-log' }]) {
  t.test(`a page whose gap is ${first} tells ${reason} when retention overtakes its read`, async (t) => {
    const { store, page } = await begin(t);
    for (let count = 0; count < 5; count++) store.commit({ topic: 'a' });
    const position = first === 'forked' ? store.log().lineage.at(5) : { epoch: 'unknown0', seq: 5 };
    await store.restore(2);
    for (let count = 0; count < 5; count++) store.commit({ topic: 'a' });
    const read = store.read.bind(store);
    store.read = async (query) => {
      store.read = read;
      await store.trim({ maxAge: 0, maxBytes: 1, rows: 4 });
      return store.read(query);
    };
    const { messages, gap } = await page(0, { kind: 'after', position });
    t.match(gap, { reason, requested: `${position.epoch}-${position.seq}`, resumed: /-4$/ });
    t.same(messages.map(({ seq }) => seq), [5, 6, 7]);
  });
}

t.test('what the grant leaves out is not read: a page is refused, and a message is not there', async (t) => {
  const { store, log, longPolls, audience } = await begin(t);
  const narrow: Grant = { mayPublish: () => true, mayRead: (pattern) => pattern === 'a', mayErase: () => false, maySeePresence: () => false };
  store.commit({ topic: 'a' });
  store.commit({ topic: 'b' });
  const page = (...names: string[]) => longPolls.page({ grant: narrow, filter: new Filter(names), start: { kind: 'start' }, limit: 100, wait: 30_000, signal: new AbortController().signal, hold: new Hold(new Budget(Infinity)), hasLeft: () => false });
  t.same((await page('a')).messages.map(({ seq }) => seq), [1]);
  for (const names of [['b'], ['a', 'b'], ['*'], ['>']]) await t.rejects(page(...names), { code: 'forbidden' }, names.join(' '));
  t.equal(audience.size, 0, 'nobody waits');
  const at = (seq: number) => store.log().lineage.at(seq);
  t.equal((await log.history.message(narrow, at(1)))?.topic, 'a');
  const [before, other]: [number, Position] = [store.reads.length, { epoch: 'anotherepoch', seq: 1 }];
  t.equal(await log.history.message(narrow, at(2)), undefined);
  t.equal(await log.history.message(narrow, { ...at(2), seq: 9 }), undefined);
  t.equal(await log.history.message(narrow, other), undefined);
  t.same(store.reads.slice(before).map(({ withoutData }) => withoutData), [true, true, true], 'no data are read, so the time that it takes tells nothing of them');
  t.equal((await log.history.message(FULL_GRANT, at(2)))?.topic, 'b');
});

t.test('a page counts from its first read, and is refused where others hold all the room', async (t) => {
  const { store, longPolls } = await begin(t);
  for (let count = 0; count < 10; count++) store.commit({ topic: 'a', data: Buffer.alloc(1000, '1') });
  const budget = new Budget(12_000);
  const page = (hold: Hold) => longPolls.page({ grant: FULL_GRANT, filter: new Filter(['a']), start: { kind: 'start' }, limit: 100, wait: 0, signal: new AbortController().signal, hold, hasLeft: () => false });
  const other = new Hold(budget);
  other.grow(1);
  const refused = new Hold(budget);
  await t.rejects(page(refused), { code: 'overloaded' });
  refused.release();
  t.equal(budget.heldBytes, 1);
  other.release();
  const alone = new Hold(budget);
  t.equal((await page(alone)).messages.length, 10, 'one that is larger than all of it is there for whoever comes alone');
  t.ok(budget.heldBytes > 10_000);
});

/** Reads of one message each, of which the second waits until it is let go. */
function readSlowly(store: MemoryStore): () => void {
  const gate = Promise.withResolvers<void>();
  const read = store.read.bind(store);
  let reads = 0;
  store.read = async (query) => {
    if (++reads > 1) await gate.promise;
    return read({ ...query, limit: 1 });
  };
  return gate.resolve;
}

t.test('between its reads the page of the largest holder makes room, releases its rows, and is refused', async (t) => {
  const { store, counters, clock, page } = await begin(t);
  for (let count = 0; count < 3; count++) store.commit({ topic: 'a', data: Buffer.alloc(1000, '1') });
  const budget = new Budget(2_000, { gate: 'answers', counters, clock });
  const letGo = readSlowly(store);
  const hold = new Hold(budget, ['address', 'greedy']);
  const greedy = page(0, { kind: 'start' }, ['address', 'greedy'], hold);
  const refused = t.rejects(greedy, { code: 'overloaded' });
  await settle();
  t.ok(hold.bytes > 1_000);
  clock.spend(10_000);
  const other = new Hold(budget, ['address', 'other']);
  t.notOk(other.grow(hold.bytes), 'that it stands still is the fault of the log');
  t.ok(other.grow(2_000 - hold.bytes + 1));
  t.same([hold.bytes, counters.evicted.answers], [0, 1]);
  letGo();
  await refused;
  t.equal(hold.bytes, 0);
});

t.test('a finished page is not taken back, and counts for each sender that shares it', async (t) => {
  const { store, counters, clock, page } = await begin(t);
  store.commit({ topic: 'a', data: Buffer.alloc(1000, '1') });
  const budget = new Budget(4_000, { gate: 'answers', counters, clock });
  const holds = Array.from({ length: 5 }, (_, index) => new Hold(budget, ['address', `connection ${index}`]));
  const gate = Promise.withResolvers<void>();
  const read = store.read.bind(store);
  store.read = (query) => gate.promise.then(() => read(query));
  const running = Array.from({ length: 4 }, (_, index) => page(0, { kind: 'since', time: index }));
  await settle();
  const reads = store.reads.length;
  const outcomes = holds.map((hold, index) => page(0, { kind: 'start' }, ['address', `connection ${index}`], hold).then(({ messages }) => messages.length, ({ code }: { code: string }) => code));
  await settle();
  gate.resolve();
  t.same(await Promise.all(outcomes), [1, 1, 1, 'overloaded', 'overloaded']);
  await Promise.all(running);
  t.equal(store.reads.length - reads, 4 + 1, 'one read for all of them');
  t.equal(budget.heldBytes, 3 * holds[0]!.bytes);
  t.notOk(new Hold(budget, ['other address', {}]).grow(1_000), 'nobody makes room');
});
