import { t } from 'tap';
import { EnvelopeKeys } from '../../src/bus/envelope-keys.ts';
import { carriedOf, decode, encode, SENDER_BYTES } from '../../src/bus/envelope.ts';
import type { ReceivedMessages } from '../../src/bus/received-messages.ts';
import { StoreClock } from '../../src/log/tail/store-clock.ts';
import { Tail } from '../../src/log/tail/tail.ts';
import { Message } from '../../src/model/message.ts';
import { Counters } from '../../src/runtime/counters.ts';
import { inOneBlock } from '../../src/runtime/memory.ts';
import { content } from '../contract/bus.ts';
import { settle, TestClock } from '../support/clock.ts';
import { quietLogger } from '../support/logger.ts';
import { MemoryStore } from '../support/memory-store.ts';
import { begin as beginSpine, numbers } from '../support/spine.ts';
import type { Scope } from '../support/temp.ts';

/** Commits that come over the bus stay bytes in the tail until a reader wants one of their messages. Nobody may see a difference. */

const KEYS = new EnvelopeKeys(() => '0'.repeat(64));

function overTheBus(messages: readonly Message[]): ReceivedMessages {
  const envelope = decode(encode(Buffer.alloc(SENDER_BYTES, 1), carriedOf(messages, KEYS)), Buffer.alloc(SENDER_BYTES, 2), KEYS);
  if (envelope.kind !== 'messages') throw new Error(envelope.kind);
  return envelope.messages;
}

async function begin(t: Scope, wanted: (topic: string) => boolean = () => true, maxBytes = 1_000_000) {
  const store = new MemoryStore();
  await store.open();
  const clock = new TestClock();
  const tail = new Tail({ store, clock, storeClock: new StoreClock(clock), counters: new Counters(), logger: quietLogger, maxBytes, pollMs: 1000 });
  const told: (number | string)[] = [];
  const objects: Message[] = [];
  await tail.open(store.log(), {
    append: (seq, topic, message) => {
      told.push(seq);
      if (wanted(topic)) objects.push(message());
    },
    epochAdded: () => undefined, erased: () => undefined,
    moveEnd: (change) => {
      change();
      told.push(`!${tail.last}`);
    },
  });
  t.teardown(() => tail.stop());
  const held = (): readonly Message[] => tail.after(tail.first - 1, () => true, 1_000).messages;
  return { store, clock, tail, told, objects, held };
}

const TOPICS = ['a', 'b', 'a', 'a', 'c', 'a'];

t.test('a message of a commit from the bus becomes an object only where a reader wants it, and only once', async (t) => {
  const { store, tail, told, objects } = await begin(t, (topic) => topic === 'b');
  const received = overTheBus(TOPICS.map((topic) => store.commit({ topic })));
  const made = t.capture(received, 'at', received.at.bind(received));
  tail.receive(received);
  t.same(told, [1, 2, 3, 4, 5, 6]);
  t.same(objects.map(({ seq }) => seq), [2]);
  t.same(tail.after(0, (topic) => topic === 'none', 10), { messages: [], end: tail.position });
  t.same(tail.after(0, () => false, 10).end, tail.position);
  t.ok(tail.knows({ epoch: received.epoch, seq: 3 }));
  t.equal(made().length, 1, 'a walk that wants nothing makes no objects, and neither does a look at a position');
  const [again] = tail.after(0, (topic) => topic === 'b', 10).messages;
  t.equal(again, objects[0], 'all readers share the object, and with it its frames');
  t.same(made(), []);
});

t.test('a stream that is behind makes objects only of the messages that it wants', async (t) => {
  const { store, clock, tail, open, at } = await beginSpine(t);
  const received = overTheBus(TOPICS.map((topic) => store.commit({ topic })));
  const made = t.capture(received, 'at', received.at.bind(received));
  tail.receive(received);
  const { outlet } = open(['b', 'c'], at(0));
  await clock.advance(10);
  t.same([numbers(outlet), made().map(({ args }) => args)], [[2, 5], [[1], [4]]]);
});

t.test('what a message takes in memory counts the same as bytes and as an object', async (t) => {
  const { store, tail, held } = await begin(t, () => false);
  tail.receive(overTheBus(TOPICS.map((topic) => store.commit({ topic, data: Buffer.alloc(100) }))));
  const before = tail.bytes;
  const sizes = held().reduce((sum, { size }) => sum + size, 0);
  t.same([before, tail.bytes], [sizes, sizes]);
});

t.test('commits that stay bytes leave the tail at its bound', async (t) => {
  const { store, tail, held } = await begin(t, () => false, 10_000);
  for (let commits = 0; commits < 20; commits++) tail.receive(overTheBus(TOPICS.map((topic) => store.commit({ topic, data: Buffer.alloc(400) }))));
  t.ok(tail.bytes <= 10_000 && tail.length > 10, `${tail.bytes} bytes, ${tail.length} messages`);
  t.same(content(held()), content(store.messages.slice(tail.first - 1)));
});

t.test('an erased message becomes a tombstone, though it was still bytes', async (t) => {
  const { store, tail, held } = await begin(t, () => false);
  const received = overTheBus(TOPICS.map((topic) => store.commit({ topic })));
  const made = t.capture(received, 'at', received.at.bind(received));
  tail.receive(received);
  await store.erasures.eraseMessage(store.log().lineage.at(2));
  await tail.look();
  t.same(made().map(({ args }) => args), [[1]], 'only that one became an object');
  await store.erasures.eraseTopic({ topic: 'a', after: 0, through: store.log().lineage.at(4), rows: 100 });
  await tail.look();
  t.same(held().filter(({ isErased }) => isErased).map(({ seq }) => seq), [1, 2, 3, 4]);
});

/** One large message and some small ones, in one block of memory. */
function oneBlock(store: MemoryStore, small: number): readonly Message[] {
  const [large, ...others] = inOneBlock([Buffer.alloc(100_000, 'x'), ...Array.from({ length: small }, (_, index) => Buffer.from(`${index}`))]);
  return [store.commit({ topic: 'large', data: large! }), ...others.map((data) => store.commit({ topic: 'small', data }))];
}

const WAYS: readonly (readonly [string, (tail: Tail, messages: readonly Message[]) => void])[] = [
  ['as bytes', (tail, messages) => tail.receive(overTheBus(messages))],
  ['as objects', (tail, messages) => tail.offer(overTheBus(messages))],
  ['from a publisher here', (tail, messages) => tail.offer(messages.map(({ epoch, seq, time, expires, ...draft }) => new Message(epoch, seq, time, expires, draft)))],
];

for (const [how, bring] of WAYS) {
  t.test(`a message that came ${how} does not keep the memory of an erased one`, async (t) => {
    const { store, tail, held } = await begin(t, (topic) => topic === 'wanted');
    const kept = (): number => [...new Set(held().map(({ data }) => data.buffer))].reduce((sum, { byteLength }) => sum + byteLength, 0);
    for (const small of [5, 1, 9]) bring(tail, oneBlock(store, small));
    await store.erasures.eraseMessage(store.log().lineage.at(2));
    await tail.look();
    t.ok(kept() > 300_000, 'a block of which most is left stays');
    for (const seq of [7, 9]) await store.erasures.eraseMessage(store.log().lineage.at(seq));
    await tail.look();
    t.ok(kept() > 100_000 && kept() < 103_000, `${kept()} bytes`);
    await store.erasures.eraseTopic({ topic: 'large', after: 0, through: store.log().lineage.at(store.head), rows: 100 });
    await tail.look();
    t.ok(kept() <= tail.bytes, `${kept()} of ${tail.bytes} bytes`);
    t.same(content(held()), content(store.messages));
  });
}

t.test('a log that lost its newest part takes back messages that are still bytes', async (t) => {
  const { store, clock, tail, told, held } = await begin(t, () => false);
  tail.receive(overTheBus(TOPICS.map((topic) => store.commit({ topic }))));
  await store.restore(4);
  await clock.advance(1_000);
  t.equal(told.at(-1), '!4');
  tail.receive(overTheBus(TOPICS.map((topic) => store.commit({ topic }))));
  t.same(content(held()), content(store.messages));
});

/** Which messages of ten come together, one commit after the other. */
const ARRIVALS: readonly (readonly [string, readonly (readonly number[])[]])[] = [
  ['in order', [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]]],
  ['small and large', [[1], [2, 3], [4, 5, 6, 7, 8, 9], [10]]],
  ['twice', [[1, 2, 3, 4, 5], [1, 2, 3, 4, 5], [6, 7, 8, 9, 10], [6, 7, 8, 9, 10]]],
  ['with a part that is known', [[1, 2, 3, 4, 5], [3, 4, 5, 6, 7, 8], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]]],
  ['early', [[6, 7, 8, 9, 10], [1, 2, 3, 4, 5]]],
  ['one early, which also comes in its place', [[4], [1, 2, 3, 4, 5], [6, 7, 8, 9, 10]]],
  ['with a hole', [[1, 2, 4, 5, 6], [3], [7, 8, 9, 10]]],
];

for (const [how, arrivals] of ARRIVALS) {
  t.test(`commits that come ${how} make the same tail as bytes and as objects`, async (t) => {
    const [bytes, objects] = [await begin(t, (topic) => topic === 'b'), await begin(t)];
    for (const { store, tail } of [bytes, objects]) {
      const all = Array.from({ length: 10 }, (_, index) => store.commit({ topic: index % 3 === 0 ? 'b' : 'a', event: index % 2 === 0 ? 'e' : undefined, data: Buffer.from(`${index}`) }));
      for (const seqs of arrivals) {
        const messages = seqs.map((seq) => all[seq - 1]!);
        if (tail === bytes.tail) tail.receive(overTheBus(messages));
        else tail.offer(messages);
      }
      await settle();
    }
    t.same(bytes.told, objects.told);
    t.same(bytes.told, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    t.same(content(bytes.held()), content(objects.held()));
    t.same([bytes.tail.bytes, bytes.tail.position.seq], [objects.tail.bytes, 10]);
  });
}

t.test('a commit whose times go back on the way is taken message by message', async (t) => {
  const { store, tail, held } = await begin(t);
  const messages = TOPICS.map((topic, index) => store.commit({ topic }, 2_000_000 - 1_000 * index));
  tail.receive(overTheBus(messages));
  t.equal(tail.last, 6);
  t.same(held().map(({ seq }) => seq), [6], 'messages in memory from beyond the clock are read from the log again');
});
