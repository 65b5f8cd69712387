import { t } from 'tap';
import type { Bus } from '../../src/bus/bus.ts';
import { Publisher } from '../../src/log/publisher/publisher.ts';
import { OutdatedStep, type Receipt } from '../../src/log/publisher/receipt.ts';
import type { Pace } from '../../src/log/retention/retention.ts';
import { StoreClock } from '../../src/log/tail/store-clock.ts';
import { Tail } from '../../src/log/tail/tail.ts';
import { FULL_GRANT, type Grant } from '../../src/model/grant.ts';
import type { Draft, Message } from '../../src/model/message.ts';
import { Counters } from '../../src/runtime/counters.ts';
import type { Holder } from '../../src/runtime/sharing/fair-shares.ts';
import type { Logger } from '../../src/runtime/logging/logger.ts';
import type { IdempotencyKey } from '../../src/store/store.ts';
import { settle, TestClock } from '../support/clock.ts';
import { quietLogger } from '../support/logger.ts';
import { MemoryStore } from '../support/memory-store.ts';
import type { Scope } from '../support/temp.ts';

function draft(data: string): Draft {
  return { topic: 'a', event: undefined, json: false, data: Buffer.from(data), ttl: 0 };
}

function key(name: string, fingerprint = 'f'): IdempotencyKey {
  return { scope: '', key: name, fingerprint: Buffer.alloc(32, fingerprint), window: 1000 };
}

async function begin(t: Scope, { isShared = false, ...bounds }: { maxMessages?: number; maxBytes?: number; pace?: Pace; isShared?: boolean } = {}) {
  const store = Object.assign(new MemoryStore(), { isShared });
  const clock = new TestClock();
  const counters = new Counters();
  const storeClock = new StoreClock(clock);
  const tail = new Tail({ store, clock, storeClock, counters, logger: quietLogger, maxBytes: 1_000_000, pollMs: 1000 });
  const told: number[] = [];
  await tail.open(await store.open(), { append: (seq) => void told.push(seq), moveEnd: (change) => change(), epochAdded: () => undefined, erased: () => undefined });
  const sent: number[][] = [];
  const bus: Bus = {
    join: () => undefined,
    tell: () => undefined,
    publish: (messages: readonly Message[]) => void sent.push(messages.map(({ seq }) => seq)),
    wake: () => undefined,
    state: 'up',
    receivers: undefined,
    close: () => Promise.resolve(),
  };
  const errors: string[] = [];
  const logger: Logger = { ...quietLogger, error: (_facts: object, sentence: string) => void errors.push(sentence) };
  const publisher = new Publisher({ store, tail, bus, clock, counters, logger, maxMessages: 100, maxBytes: 10_000, ...bounds });
  t.teardown(() => {
    tail.stop();
    publisher.stop();
  });
  return { store, clock, counters, publisher, told, sent, errors };
}

/** How a publish ended: its number, or the code of its problem. */
async function ends(promise: Promise<Receipt>): Promise<number | string> {
  return promise.then(({ first }) => first, (problem: { code: string }) => problem.code);
}

t.test('what arrives during a commit goes into the next one, in order', async (t) => {
  const { store, publisher, told, sent } = await begin(t);
  const first = publisher.publish(FULL_GRANT, [draft('1')], undefined);
  await new Promise((done) => setImmediate(done));
  const rest = ['2', '3', '4', '5'].map((data) => publisher.publish(FULL_GRANT, [draft(data)], undefined));
  t.same((await Promise.all([first, ...rest])).map((receipt) => receipt.first), [1, 2, 3, 4, 5]);
  t.equal(store.appends, 2);
  t.same(told, [1, 2, 3, 4, 5], 'the own tail has them without the bus');
  t.same(sent, [[1], [2, 3, 4, 5]], 'the bus hears of each commit once');
  t.equal(publisher.waiting, 0);
});

t.test('a step of a source is a commit of its own, between those before and after it; one that is outdated stores nothing', async (t) => {
  const { store, publisher, sent } = await begin(t);
  store.fences.set('s', 1);
  const step = (from: number | undefined, to: number) => ({ connector: 's', fence: 1, origin: 'x', moves: [{ part: '', from: from === undefined ? undefined : { identity: 'i', position: from }, to: { identity: 'i', position: to } }] });
  const publish = (data: string, parts = {}) => publisher.publish(FULL_GRANT, [draft(data)], undefined, parts);
  const first = publish('1');
  await new Promise((done) => setImmediate(done));
  const rest = [publish('2'), publish('3'), publish('4', { step: step(undefined, 5) }), publish('5', { step: step(5, 6) }), publish('6'), publish('7')];
  t.same((await Promise.all([first, ...rest])).map((receipt) => receipt.first), [1, 2, 3, 4, 5, 6, 7]);
  t.same(sent, [[1], [2, 3], [4], [5], [6, 7]]);
  await t.rejects(publish('late', { step: step(5, 6) }), OutdatedStep);
  t.same([store.messages.length, publisher.waiting, store.positions.get('s ')], [7, 0, { identity: 'i', position: 6 }]);
  const holder: Holder = ['key:a', 'address:192.0.2.1', {}];
  const queued = Array.from({ length: 40 }, (_, index) => publish(String(index), { holder: () => holder, ...(index === 20 ? { step: step(6, 7) } : {}) }));
  await Promise.all(queued);
  t.ok(sent.some((commit) => commit.length === 1 && store.messages[commit[0]! - 1]!.data.toString() === '20'), 'also where publishers take turns');
});

t.test('what another instance has stored for this one, and told of, is not told again', async (t) => {
  const { store, publisher, told, sent } = await begin(t);
  const append = store.append.bind(store);
  store.append = async (requests) => ({ ...await append(requests), isPublished: true });
  t.equal((await publisher.publish(FULL_GRANT, [draft('1')], undefined)).first, 1);
  t.same([told, sent], [[1], []]);
});

t.test('two large batches are not with the store at once: the queue has room for who comes, while one of them is stored', async (t) => {
  const { store, publisher } = await begin(t, { maxMessages: 40 });
  const held = Promise.withResolvers<void>();
  const append = store.append.bind(store);
  const sizes: number[] = [];
  store.append = async (requests) => {
    sizes.push(requests.reduce((sum, { drafts }) => sum + drafts.length, 0));
    await held.promise;
    return append(requests);
  };
  const publish = (count: number, name: string): Promise<number | string> => ends(publisher.publish(FULL_GRANT, Array.from({ length: count }, () => draft('x')), undefined, { holder: () => [name] }));
  const first = publish(20, 'greedy');
  await new Promise((done) => setImmediate(done));
  const second = publish(20, 'greedy');
  await new Promise((done) => setImmediate(done));
  t.same(sizes, [20], 'the second waits');
  const other = publish(1, 'other');
  t.equal(await second, 'overloaded', 'and makes room');
  held.resolve();
  t.same(await Promise.all([first, other]), [1, 21]);
});

t.test('commits wait for retention, and report their messages to it before the next one', async (t) => {
  let isBehind = false;
  let caughtUp = (): void => undefined;
  const stored: [number, number][] = [];
  const { store, publisher } = await begin(t, { pace: {
    get isBehind() { return isBehind; },
    stored: (bytes, keys) => {
      stored.push([bytes, keys]);
      isBehind = true;
    },
    whenCaughtUp: (listener) => void (caughtUp = listener),
  } });
  const first = publisher.publish(FULL_GRANT, [draft('x'.repeat(500)), draft('y')], key('one'));
  await new Promise((done) => setImmediate(done));
  const second = publisher.publish(FULL_GRANT, [draft('2')], undefined);
  t.equal((await first).first, 1);
  t.equal(stored.length, 1);
  t.ok(stored[0]![0] >= 501 + 2 && stored[0]![1] === 1);
  await settle();
  t.equal(store.appends, 1);
  isBehind = false;
  caughtUp();
  t.equal((await second).first, 3);
  isBehind = false;
  caughtUp();
  t.match(await publisher.publish(FULL_GRANT, [draft('x'.repeat(500)), draft('y')], key('one')), { replayed: true });
  t.same(stored.at(-1), [0, 0], 'a replay stores nothing');
});

t.test('who waited too long for retention is told that the log is full, and not that it is away', async (t) => {
  let isBehind = true;
  let caughtUp = (): void => undefined;
  const { clock, publisher, errors } = await begin(t, { pace: { get isBehind() { return isBehind; }, stored: () => undefined, whenCaughtUp: (listener) => void (caughtUp = listener) } });
  const refused = publisher.publish(FULL_GRANT, [draft('1')], undefined).then(() => undefined, (problem: unknown) => problem);
  await clock.advance(12_000);
  t.match(await refused, { code: 'overloaded', status: 503, message: /at its bound.*Nothing was stored/ });
  t.equal(publisher.failure, undefined, 'the instance is as ready as the others');
  t.same(errors, []);
  isBehind = false;
  caughtUp();
  t.equal(await ends(publisher.publish(FULL_GRANT, [draft('2')], undefined)), 1);
});

t.test('one bad message hurts only its publisher', async (t) => {
  const { store, publisher, told } = await begin(t);
  store.poison = 'bad';
  const ended = await Promise.all(['a', 'b', 'bad', 'c', 'd', 'e'].map((data) => ends(publisher.publish(FULL_GRANT, [draft(data)], undefined))));
  t.same(ended, [1, 2, 'internal', 3, 4, 5]);
  t.same(told, [1, 2, 3, 4, 5]);
  t.same(await ends(publisher.publish(FULL_GRANT, [draft('ok'), draft('bad')], undefined)), 'internal', 'a batch is stored all or none');
  t.equal(store.head, 5);
  t.equal(publisher.failure, undefined, 'the log itself is well');
});

t.test('past its bounds a publish is refused at once, and nothing of it is stored', async (t) => {
  const { store, publisher, counters } = await begin(t, { maxMessages: 3, maxBytes: 10 });
  const taken = [publisher.publish(FULL_GRANT, [draft('1'), draft('2')], undefined), publisher.publish(FULL_GRANT, [draft('3')], undefined)];
  t.equal(await ends(publisher.publish(FULL_GRANT, [draft('4')], undefined)), 'overloaded');
  await Promise.all(taken);
  t.equal(await ends(publisher.publish(FULL_GRANT, [draft('x'.repeat(11))], undefined)), 'overloaded');
  t.equal(await ends(publisher.publish(FULL_GRANT, [draft('x'.repeat(10))], undefined)), 4, 'there is room again');
  t.equal(store.head, 4);
  t.equal(counters.refused.get('overloaded'), 2);
});

t.test('a full queue has room for a small publisher: the largest loses its newest request, and none of it is stored', async (t) => {
  const { store, publisher, counters } = await begin(t, { maxMessages: 40, maxBytes: 4_000 });
  const batch = (size: number, holder: Holder, data = 'x'): Promise<number | string> => ends(publisher.publish(FULL_GRANT, Array<Draft>(size).fill(draft(data)), undefined, { holder: () => holder }));
  // From one address: connections are compared.
  const greedy = Array.from({ length: 8 }, (_, index) => batch(10, ['address', `connection ${index % 4}`]));
  t.same(await Promise.all(greedy.slice(4)), ['overloaded', 'overloaded', 'overloaded', 'overloaded'], 'the largest gets no room itself');
  const others = Array.from({ length: 12 }, (_, index) => batch(1, ['address', `other ${index}`]));
  t.equal(await batch(25, ['elsewhere', {}]), 'overloaded', 'nobody gets more than the largest has');
  t.same((await Promise.all(others)).map((outcome) => typeof outcome), others.map(() => 'number'));
  const outcomes = await Promise.all(greedy.slice(0, 4));
  const stored = outcomes.filter((outcome) => outcome !== 'overloaded');
  t.equal(stored.length, 2, 'two batches made room for twelve messages');
  t.equal(counters.evicted.publishes, 2);
  t.equal(store.head, 10 * stored.length + others.length);

  const large = [batch(1, ['address', 'large'], 'x'.repeat(4_000)), batch(1, ['address', 'small'], 'x')];
  t.same((await Promise.all(large)).map((outcome) => typeof outcome), ['string', 'number'], 'bytes are a queue, too');
});

t.test('one message of a small publisher is in the next commit, in spite of another\'s thousand connections; each keeps its order', async (t) => {
  const { store, publisher } = await begin(t, { maxMessages: 4_000, maxBytes: 1_000_000 });
  const connections = Array.from({ length: 1_000 }, (): Holder => ['key:greedy', 'address:192.0.2.1', {}]);
  const greedy: { readonly connection: number; readonly end: Promise<number | string> }[] = [];
  for (let round = 0; round < 3; round++) {
    for (const [connection, holder] of connections.entries()) greedy.push({ connection, end: ends(publisher.publish(FULL_GRANT, [draft(`${connection} ${round}`)], undefined, { holder: () => holder })) });
  }
  const small = ends(publisher.publish(FULL_GRANT, [draft('small')], undefined, { holder: () => ['key:small', 'address:192.0.2.2', {}] }));
  // A commit has a thousand. The first one has what was queued while nobody was counted.
  t.ok(await small as number <= 2_000, `it has the number ${await small}`);
  const numbers = new Map<number, (number | string)[]>();
  for (const { connection, end } of greedy) numbers.set(connection, [...numbers.get(connection) ?? [], await end]);
  t.ok([...numbers.values()].every(([first, second, third]) => first! < second! && second! < third!));
  t.equal(store.messages.length, 3_001);
});

t.test('a batch for which a commit has no room left comes first in the next one', async (t) => {
  const { publisher } = await begin(t);
  const single = (index: number): Promise<number | string> => ends(publisher.publish(FULL_GRANT, [draft(String(index))], undefined, { holder: () => ['key:greedy', 'address:192.0.2.1', {}] }));
  const greedy = Array.from({ length: 70 }, (_, index) => single(index));
  const batch = ends(publisher.publish(FULL_GRANT, Array.from({ length: 25 }, () => draft('x')), undefined, { holder: () => ['key:other', 'address:192.0.2.2', {}] }));
  t.ok(await batch as number <= 51, `it begins with the number ${await batch}`);
  t.equal(new Set(await Promise.all(greedy)).size, 70);
});

t.test('what the store has leaves room in the queue', async (t) => {
  const { store, publisher } = await begin(t, { maxMessages: 40 });
  const greedy = Array.from({ length: 40 }, () => ends(publisher.publish(FULL_GRANT, [draft('x')], undefined, { holder: () => ['address', 'greedy'] })));
  const append = store.append.bind(store);
  const { promise: hang, resolve: goOn } = Promise.withResolvers<void>();
  store.append = (requests) => hang.then(() => append(requests));
  await settle();
  const others = Array.from({ length: 5 }, () => ends(publisher.publish(FULL_GRANT, [draft('y')], undefined, { holder: () => ['address', {}] })));
  goOn();
  t.same((await Promise.all(others)).map((outcome) => typeof outcome), others.map(() => 'number'));
  t.equal((await Promise.all(greedy)).filter((outcome) => outcome === 'overloaded').length, 5);
});

t.test('a batch whose outcome is unknown is never sent again', async (t) => {
  const { store, publisher, told, clock } = await begin(t);
  store.appendFailures.push('outcome-unknown');
  const ended = Promise.all([ends(publisher.publish(FULL_GRANT, [draft('1')], undefined)), ends(publisher.publish(FULL_GRANT, [draft('2')], undefined))]);
  // It was committed after all: the answer alone was lost.
  store.commit();
  store.commit();
  t.same(await ended, ['outcome-unknown', 'outcome-unknown']);
  t.equal(store.appends, 1);
  await settle();
  t.same(told, [1, 2], 'and its messages are found without waiting for the next look');
  await clock.advance(1_000);
  t.equal(publisher.failure, undefined);
  t.equal(store.head, 2);
});

t.test('a log that cannot be written is tried again without a publisher', async (t) => {
  const { store, publisher, clock } = await begin(t);
  store.failure = 'unavailable';
  t.equal(await ends(publisher.publish(FULL_GRANT, [draft('1')], undefined)), 'unavailable');
  t.equal(publisher.failure, 'unavailable');
  await clock.advance(5_000);
  t.equal(publisher.failure, 'unavailable');
  store.failure = undefined;
  await clock.advance(1_000);
  t.equal(publisher.failure, undefined);
  const { appends } = store;
  await clock.advance(10_000);
  t.equal(store.appends, appends, 'a log that works is left alone');
  t.equal(store.head, 0);
});

t.test('a publisher that gives up answers everyone at once, and delivers a commit that goes on', async (t) => {
  const { store, publisher, told } = await begin(t);
  const append = store.append.bind(store);
  const { promise: hang, resolve: goOn } = Promise.withResolvers<void>();
  store.append = (requests) => hang.then(() => append(requests));
  const publish = (data: string): Promise<number | string> => ends(publisher.publish(FULL_GRANT, [draft(data)], undefined));
  const underWay = publish('under way');
  await settle();
  const next = [publish('next, first half'), publish('next, second half')];
  await settle();
  const queued = publish('queued');
  publisher.giveUp();
  t.same(await Promise.all([underWay, ...next, queued]), ['outcome-unknown', 'outcome-unknown', 'outcome-unknown', 'unavailable']);
  t.equal(publisher.waiting, 0);
  publisher.giveUp();
  goOn();
  await settle();
  t.same(store.messages.map(({ data }) => Buffer.from(data).toString()), ['under way', 'next, first half', 'next, second half']);
  t.same(told, [1, 2, 3]);
});

t.test('an answer that was only read does not show that the log can be written', async (t) => {
  const { store, publisher, clock } = await begin(t);
  t.equal(await ends(publisher.publish(FULL_GRANT, [draft('1')], key('k'))), 1);
  store.appendFailures.push('unavailable');
  t.equal(await ends(publisher.publish(FULL_GRANT, [draft('2')], undefined)), 'unavailable');
  t.equal(await ends(publisher.publish(FULL_GRANT, [draft('1')], key('k'))), 1, 'a retry gets its answer');
  t.equal(await ends(publisher.publish(FULL_GRANT, [draft('1')], key('k', 'g'))), 'key-reused');
  t.equal(publisher.failure, 'unavailable');
  await clock.advance(1_000);
  t.equal(publisher.failure, undefined, 'until an empty append was written');
});

t.test('a key answers the first answer again, also within one commit', async (t) => {
  const { store, publisher, counters, sent } = await begin(t);
  const [first, again, other] = await Promise.allSettled([
    publisher.publish(FULL_GRANT, [draft('1')], key('k')),
    publisher.publish(FULL_GRANT, [draft('1')], key('k')),
    publisher.publish(FULL_GRANT, [draft('1')], key('k', 'g')),
  ]);
  t.match(first, { value: { first: 1, replayed: false } });
  t.match(again, { value: { first: 1, replayed: true } });
  t.match(other, { reason: { code: 'key-reused', field: 'Idempotency-Key' } });
  t.equal(store.head, 1);
  t.same(sent, [[1]]);
  t.equal(counters.replayed, 1);
  t.equal(counters.published, 1);
});

t.test('a log that is away is said once; an outcome that nobody knows is said each time', async (t) => {
  const { store, publisher, errors, clock } = await begin(t);
  store.failure = 'unavailable';
  for (let count = 0; count < 5; count++) t.equal(await ends(publisher.publish(FULL_GRANT, [draft('x')], undefined)), 'unavailable');
  t.equal(errors.length, 1);
  store.failure = undefined;
  await clock.advance(1_000);
  t.equal(publisher.failure, undefined);
  store.appendFailures.push('unavailable', 'outcome-unknown', 'outcome-unknown');
  for (let count = 0; count < 3; count++) await ends(publisher.publish(FULL_GRANT, [draft('x')], undefined));
  t.equal(errors.length, 4);
});

t.test('a commit that does not end: every publisher is answered in a time that has a bound, and nothing that was refused is stored later', async (t) => {
  const { store, publisher, told, clock } = await begin(t);
  const append = store.append.bind(store);
  const { promise: hang, resolve: goOn } = Promise.withResolvers<void>();
  let appends = 0;
  store.append = (requests) => {
    appends++;
    return hang.then(() => append(requests));
  };
  const answers: string[] = [];
  const publish = (data: string): void => void ends(publisher.publish(FULL_GRANT, [draft(data)], undefined)).then((end) => answers.push(`${data}: ${end}`));
  publish('under way');
  await settle();
  for (const data of ['next, first half', 'next, second half']) publish(data);
  await clock.advance(6_000);
  publish('full');
  await settle();
  t.same([appends, answers, publisher.failure], [2, [], undefined]);
  await clock.advance(9_000);
  t.same(answers, ['under way: outcome-unknown', 'next, first half: outcome-unknown', 'next, second half: outcome-unknown', 'full: unavailable']);
  t.equal(publisher.failure, 'the log does not answer');
  t.equal(publisher.waiting, 0);
  publish('meanwhile');
  await settle();
  t.equal(answers.at(-1), 'meanwhile: unavailable', 'at once');
  await clock.advance(60_000);
  t.equal(appends, 2, 'nothing is asked of it as long as it owes an answer');
  goOn();
  await settle();
  t.equal(publisher.failure, undefined);
  t.equal(await ends(publisher.publish(FULL_GRANT, [draft('after')], undefined)), 4);
  t.same(store.messages.map(({ data }) => Buffer.from(data).toString()), ['under way', 'next, first half', 'next, second half', 'after']);
  t.same(told, [1, 2, 3, 4], 'what was stored after all is delivered');
  t.equal(publisher.waiting, 0);
});

t.test('a publish does not wait for one slow failure after the other', async (t) => {
  const { clock, ended, receipts, publish } = await beginHeld(t, { maxMessages: 10_000, maxBytes: 1_000_000 });
  await publish(1);
  await publish(4_500);
  const answers = receipts.map(ends);
  await clock.advance(9_000);
  ended[0]!();
  await clock.advance(3_000);
  t.equal(await answers.at(-1), 'unavailable');
  for (const end of ended) end();
  await settle();
  t.equal((await Promise.all(answers)).filter((end) => end === 'unavailable').length, 500);
});

/** A publisher whose commits end when the test ends them; how many requests each of them has. */
async function beginHeld(t: Scope, bounds: { maxMessages?: number; maxBytes?: number; isShared?: boolean } = {}) {
  const begun = await begin(t, bounds);
  const { store, publisher } = begun;
  const append = store.append.bind(store);
  const ended: (() => void)[] = [];
  const late: (() => void)[] = [];
  const sizes: number[] = [];
  store.append = async (requests, onLate: () => void = () => undefined) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    ended.push(resolve);
    late.push(onLate);
    sizes.push(requests.length);
    await promise;
    return append(requests);
  };
  const receipts: Promise<Receipt>[] = [];
  const publish = async (count: number): Promise<void> => {
    for (let index = 0; index < count; index++) receipts.push(publisher.publish(FULL_GRANT, [draft('x')], undefined));
    await settle();
  };
  return { ...begun, ended, late, sizes, receipts, publish };
}

t.test('where commits take long, nobody waits for two of them: the second is sent when the first has ended, or when it is full', async (t) => {
  const { clock, ended, sizes, receipts, publish } = await beginHeld(t, { maxMessages: 10_000, maxBytes: 1_000_000 });
  await publish(1);
  clock.spend(4);
  ended[0]!();
  await settle();
  await publish(1);
  await publish(5);
  t.same(sizes, [1, 1], 'it gathers, though it is larger than the one before');
  await publish(1_995);
  t.same(sizes, [1, 1, 2_000], 'nobody could come into it');
  await publish(5);
  clock.spend(2);
  ended[1]!();
  await settle();
  t.same(sizes, [1, 1, 2_000]);
  clock.spend(2);
  ended[2]!();
  await clock.advance(2.5);
  t.same(sizes, [1, 1, 2_000, 5], 'after a rest');
  await publish(5);
  t.same(sizes, [1, 1, 2_000, 5, 5], 'the last ones were quick');
  for (const end of ended) end();
  t.same((await Promise.all(receipts)).map(({ first }) => first), Array.from({ length: 2_012 }, (_, index) => index + 1));
});

t.test('after a commit that is under way another is sent once it is as large, and no third', async (t) => {
  const { publisher, told, ended, sizes, receipts, publish } = await beginHeld(t);
  await publish(3);
  t.same(sizes, [3]);
  await publish(2);
  t.same(sizes, [3], 'it gathers');
  await publish(1);
  t.same(sizes, [3, 3], 'the store has its next when it is done');
  await publish(9);
  t.same(sizes, [3, 3], 'whatever comes');
  ended[0]!();
  await settle();
  t.same(sizes, [3, 3, 9]);
  for (const end of ended) end();
  t.same((await Promise.all(receipts)).map(({ first }) => first), Array.from({ length: 15 }, (_, index) => index + 1));
  t.same(told, Array.from({ length: 15 }, (_, index) => index + 1));
  t.equal(publisher.failure, undefined);
});

t.test('one after the other, a publisher never waits for anybody', async (t) => {
  const { clock, ended, sizes, receipts, publish } = await beginHeld(t);
  for (let index = 0; index < 20; index++) {
    await publish(1);
    t.equal(sizes.length, index + 1, 'at once');
    clock.spend(2);
    ended[index]!();
    await settle();
  }
  t.equal((await Promise.all(receipts)).length, 20);
});

t.test('after a commit the store rests, so that publishers share the next one', async (t) => {
  const { clock, ended, sizes, receipts, publish } = await beginHeld(t);
  const end = async (tookMs: number): Promise<void> => {
    clock.spend(tookMs);
    ended[sizes.length - 1]!();
    await settle();
  };
  await publish(3);
  await end(0.25);
  t.same(sizes, [3]);
  await publish(1);
  t.same(sizes, [3], 'it rests six times as long as the commit took');
  await clock.advance(1.4);
  t.same(sizes, [3]);
  await clock.advance(0.1);
  t.same(sizes, [3, 1]);
  await end(4);
  await publish(1);
  await clock.advance(2.4);
  t.same(sizes, [3, 1], 'a rest is never longer than 2.5 ms');
  await clock.advance(0.1);
  t.same(sizes, [3, 1, 1]);
  await end(1);
  await publish(2);
  t.same(sizes, [3, 1, 1]);
  await publish(1);
  t.same(sizes, [3, 1, 1, 3], 'as many wait as lately waited at once: nobody else may come');
  await end(1);
  clock.spend(2.5);
  await publish(1);
  t.same(sizes, [3, 1, 1, 3, 1], 'who comes after the rest does not wait');
  for (let commit = 0; commit < 8; commit++) {
    await end(1);
    clock.spend(3);
    await publish(1);
  }
  await end(1);
  await publish(1);
  t.equal(sizes.length, 14, 'after eight commits with one publisher each, one is a crowd');
  await end(1);
  clock.spend(3);
  await publish(20);
  t.equal(sizes.at(-1), 20);
  await end(1);
  await publish(15);
  t.equal(sizes.length, 15);
  await publish(1);
  t.equal(sizes.at(-1), 16, 'so many do not wait for more');
  await end(1);
  t.equal((await Promise.all(receipts)).length, 54);
});

t.test('commits that another process owes for long hold up none after them', async (t) => {
  const { clock, publisher, ended, late, sizes, receipts, publish } = await beginHeld(t, { isShared: true });
  const end = async (...commits: number[]): Promise<void> => {
    for (const commit of commits) ended[commit]!();
    await settle();
  };
  for (let count = 0; count < 3; count++) await publish(1);
  t.equal(sizes.length, 2, 'the third waits for one of them');
  const owed = receipts.slice(0, 2).map(ends);
  for (const becameLate of late.slice(0, 2)) becameLate();
  await settle();
  await publish(1);
  t.equal(sizes.length, 4);
  await publish(1);
  t.equal(sizes.length, 4, 'commits that are not late have their bound');
  await end(2, 3);
  await end(4);
  t.same(await Promise.all(receipts.slice(2).map(ends)), [1, 2, 3]);
  await clock.advance(15_000);
  t.same(await Promise.all(owed), ['outcome-unknown', 'outcome-unknown']);
  await publish(1);
  await end(5);
  t.equal(await ends(receipts[5]!), 4, 'the store is not taken for silent');
  await end(0, 1);
  t.equal(publisher.waiting, 0);
  for (let count = 0; count < 3; count++) await publish(1);
  t.equal(sizes.length, 8, 'the late ones are over, and count no more');
  await end(6, 7);
  await end(8);
  t.same(await Promise.all(receipts.slice(6).map(ends)), [7, 8, 9]);
});

t.test('where workers share commits, a publisher hands on early: the writer rests for all of them, and its rest says nothing of the disk', async (t) => {
  const { clock, ended, sizes, receipts, publish } = await beginHeld(t, { isShared: true });
  await publish(3);
  clock.spend(6);
  ended[0]!();
  await settle();
  await publish(1);
  t.same(sizes, [3]);
  await clock.advance(1.25);
  t.same(sizes, [3, 1], 'half of the writer\'s rest is left for the way');
  await publish(1);
  t.same(sizes, [3, 1, 1], 'and a second one follows');
  for (const end of ended) end();
  t.equal((await Promise.all(receipts)).length, 5);
});

t.test('what becomes of a commit says nothing of the one after it', async (t) => {
  const { store, publisher } = await begin(t);
  store.poison = 'poison';
  store.appendFailures.push('outcome-unknown');
  const first = ends(publisher.publish(FULL_GRANT, [draft('1')], undefined));
  await new Promise((done) => setImmediate(done));
  const second = ['2', 'poison', '4'].map((data) => ends(publisher.publish(FULL_GRANT, [draft(data)], undefined)));
  t.same(await Promise.all([first, ...second]), ['outcome-unknown', 1, 'internal', 2]);
});

t.test('messages beyond one commit are in the next one at once', async (t) => {
  const { store, publisher } = await begin(t, { maxMessages: 10_000, maxBytes: 1_000_000 });
  const append = store.append.bind(store);
  const sizes: number[] = [];
  const { promise: hang, resolve: goOn } = Promise.withResolvers<void>();
  store.append = (requests) => {
    sizes.push(requests.reduce((sum, { drafts }) => sum + drafts.length, 0));
    return hang.then(() => append(requests));
  };
  const receipts = Array.from({ length: 5 }, () => publisher.publish(FULL_GRANT, Array.from({ length: 1_000 }, () => draft('x')), undefined));
  await settle();
  t.same(sizes, [2_000, 2_000]);
  goOn();
  t.same((await Promise.all(receipts)).map(({ first }) => first), [1, 1_001, 2_001, 3_001, 4_001]);
  t.same(sizes, [2_000, 2_000, 1_000]);
});

t.test('a message that the grant leaves out is not stored, and neither is its batch', async (t) => {
  const { store, publisher } = await begin(t);
  const narrow: Grant = { mayPublish: (topic) => topic === 'a', mayRead: () => true, mayErase: () => false, maySeePresence: () => false };
  const other: Draft = { ...draft('2'), topic: 'b' };
  t.equal(await ends(publisher.publish(narrow, [draft('1')], undefined)), 1);
  t.equal(await ends(publisher.publish(narrow, [other], undefined)), 'forbidden');
  t.equal(await ends(publisher.publish(narrow, [draft('3'), other], key('k'))), 'forbidden');
  t.equal(publisher.waiting, 0);
  t.equal(await ends(publisher.publish(narrow, [draft('4')], key('k'))), 2, 'the key was not used');
  t.same(store.messages.map(({ data }) => Buffer.from(data).toString()), ['1', '4']);
});
