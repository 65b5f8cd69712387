import fc from 'fast-check';
import type { Test } from 'tap';
import { StoreClock } from '../../src/log/tail/store-clock.ts';
import { Tail } from '../../src/log/tail/tail.ts';
import type { Message } from '../../src/model/message.ts';
import { Filter, matches } from '../../src/model/topic.ts';
import { systemClock as clock } from '../../src/runtime/clock.ts';
import { Counters } from '../../src/runtime/counters.ts';
import { quietLogger } from '../support/logger.ts';
import { rounds } from '../support/rounds.ts';
import { until } from '../support/until.ts';
import { draft, EVERYTHING, newlyStored, openStore, range, readMessages, request, seqs, stored, texts, type StoreFactory } from './store-kit.ts';

/** Of the tail that a start fills. */
const TAIL_BYTES = 1_000_000;

export async function reading(t: Test, factory: StoreFactory): Promise<void> {
  const database = await factory(t);
  const store = await openStore(t, database);
  const topics = ['a', 'b', 'a.b', 'a.c', 'a.b.c', 'b.a', 'b.b.a', 'ab.c', 'ä.b', 'ä', 'a.ä', 'zz.top'];
  // Long runs of one topic and rare others, so that scans need several chunks.
  const names = range(0, 1_199).map((index) => (index % 10 < 7 ? topics[Math.floor(index / 300)]! : topics[(index * 7) % topics.length]!));
  for (let at = 0; at < names.length; at += 100) {
    await stored(store, names.slice(at, at + 100).map((topic, index) => request(draft(topic, `${at + index + 1}`))));
  }
  const log = await readMessages(store);

  await t.test('without a filter it gives every number, in order', async (t) => {
    t.same(seqs(log), range(1, names.length));
    t.same(log.map(({ topic }) => topic), names);
  });

  await t.test('it stops at the limit, and says how far it got', async (t) => {
    const page = await store.read({ ...EVERYTHING, after: 10, limit: 5 });
    t.same(seqs(page.messages), range(11, 15));
    t.equal(page.scanned, 15);
    t.equal(page.log.head, names.length);
    const last = await store.read({ ...EVERYTHING, after: names.length - 3, limit: 5 });
    t.same(seqs(last.messages), range(names.length - 2, names.length));
    t.equal(last.scanned, names.length);
  });

  await t.test('it stops after the message with which the data exceed the bytes', async (t) => {
    // Numbers 100 to 999 are three bytes of data each.
    for (const filter of [undefined, new Filter(['>'])]) {
      t.same(seqs((await store.read({ after: 99, filter, limit: 100, maxBytes: 1 })).messages), [100], 'one message always fits');
      const page = await store.read({ after: 99, filter, limit: 100, maxBytes: 9 });
      t.same(seqs(page.messages), [100, 101, 102, 103]);
      t.equal(page.scanned, 103);
    }
  });

  await t.test('without data it gives the same, and no data', async (t) => {
    for (const filter of [undefined, new Filter(['a.b', 'b.>'])]) {
      const query = { after: 95, filter, limit: 20, maxBytes: 1000 };
      const [whole, bare] = [await store.read(query), await store.read({ ...query, withoutData: true })];
      t.ok(whole.messages.length > 0);
      t.same(bare.messages.map(({ data, ...rest }) => ({ ...rest, data: data.length })), whole.messages.map(({ data: _data, ...rest }) => ({ ...rest, data: 0 })));
      t.equal(bare.scanned, whole.scanned);
    }
  });

  await t.test('a message that was read holds no other memory', async (t) => {
    // What is read may be kept for hours. Node cuts small buffers from blocks of 64 KiB.
    const { messages: [message] } = await store.read({ ...EVERYTHING, after: 10, limit: 1 });
    t.ok(message!.data.buffer.byteLength < 1024, `${message!.data.buffer.byteLength} bytes for ${message!.data.length}`);
  });

  await t.test('at the head and beyond it there is nothing', async (t) => {
    for (const filter of [undefined, new Filter(['a', 'b.*'])]) {
      t.match(await store.read({ ...EVERYTHING, filter, after: names.length }), { messages: [], scanned: names.length });
      t.match(await store.read({ ...EVERYTHING, filter, after: names.length + 50 }), { messages: [], log: { head: names.length } });
    }
  });

  await t.test('a read that finds nothing gets to the head', async (t) => {
    for (const wish of [['never'], ['never.*'], ['never', 'nothing.>', 'x.y.z'], ['*.never.*.*.*']]) {
      t.match(await store.read({ ...EVERYTHING, filter: new Filter(wish) }), { messages: [], scanned: names.length });
    }
    t.match(await store.read({ ...EVERYTHING, filter: new Filter([]) }), { messages: [], scanned: names.length });
  });

  await t.test('with any filter, page by page, it gives what a plain comparison gives', async () => {
    const segment = fc.constantFrom('a', 'b', 'c', 'ä', 'ab', 'zz', 'top', '*', '*');
    const pattern = fc.tuple(fc.array(segment, { minLength: 1, maxLength: 3 }), fc.boolean()).map(([segments, rest]) => [...segments, ...(rest ? ['>'] : [])].join('.'));
    const wishes = fc.array(fc.oneof(fc.constantFrom(...topics, '>', 'never'), pattern), { minLength: 1, maxLength: 6 });
    await fc.assert(fc.asyncProperty(wishes, fc.nat(names.length), fc.integer({ min: 1, max: 400 }), fc.integer({ min: 1, max: 2_000 }), async (wish, from, limit, maxBytes) => {
      const wanted = (message: Message): boolean => wish.some((name) => name === message.topic || matches(name, message.topic));
      const filter = new Filter(wish);
      const found: Message[] = [];
      let after = from;
      while (after < names.length) {
        const page = await store.read({ after, filter, limit, maxBytes });
        if (page.messages.length > limit) return false;
        if (page.scanned <= after) return false;
        // What was passed over must not match.
        if (log.slice(after, page.scanned).filter(wanted).length !== page.messages.length) return false;
        found.push(...page.messages);
        after = page.scanned;
      }
      const expected = log.slice(from).filter(wanted);
      return seqs(found).join() === seqs(expected).join() && texts(found).join() === texts(expected).join();
    }), { numRuns: rounds(60, 150) });
  });

  await t.test('many topics at once', async (t) => {
    const many = [...range(1, 95).map((index) => `nobody.${index}`), 'a.b.c', 'ä', 'b.a', 'nobody.*', 'b.b.>'];
    const found = await readMessages(store, { filter: new Filter(many), limit: 17 });
    t.same(seqs(found), seqs(log.filter(({ topic }) => ['a.b.c', 'ä', 'b.a', 'b.b.a'].includes(topic))));
  });

  await t.test('however many topics begin alike', async (t) => {
    const wide = await openStore(t, await factory(t));
    const topics = range(1, 3_000).map((index) => `all.${index % 3 === 0 ? 'x' : 'y'}.${index % 7 === 0 ? 'often' : `topic${index}`}.z`);
    for (let at = 0; at < topics.length; at += 1_000) await stored(wide, [request(...topics.slice(at, at + 1_000).map((topic) => draft(topic)))]);
    for (const names of [['all.x.>'], ['all.y.*.z'], ['all.x.often.*', 'all.y.often.>'], ['all.x.topic99.*', 'all.y.often.z', 'all.y.topic1.>'], ['all.z.>', 'all.x.*', 'all.x.*.*'], ['all.x-.>', 'all.x/.>']]) {
      const filter = new Filter(names);
      const expected = range(1, 3_000).filter((seq) => filter.matches(topics[seq - 1]!));
      t.same(seqs(await readMessages(wide, { filter, limit: 100 })), expected, names.join());
      const last = expected.slice(-5).reverse();
      if (last.length > 0) t.same((await wide.findBack({ before: 3_001, filter, limit: last.length })).seqs, last, names.join());
    }
  });

  await t.test('names may have any characters', async (t) => {
    const odd = await openStore(t, await factory(t));
    const others = ['😀.a', 'a.😀', '😀😀.𝒳', "o'b.x", 'a\\b.c', '"q".z', '{x},y.z', '(a|b)+.c', '[^.].d', '\\U0001f600.e', 'ὠ0.f'];
    await stored(odd, others.map((topic) => request(draft(topic))));
    for (const topic of others) {
      const [first, second] = topic.split('.', 2) as [string, string];
      for (const wish of [topic, `${first}.*`, `${first}.>`, `*.${second}`]) {
        const filter = new Filter([wish]);
        t.same((await readMessages(odd, { filter })).map((message) => message.topic), others.filter((other) => filter.matches(other)), wish);
      }
    }
  });

  await t.test('patterns may be long, and many', async (t) => {
    const long = await openStore(t, await factory(t));
    const segments = range(1, 60).map(String);
    const ends = [...range(1, 20).map((index) => [...segments, index].join('.')), segments.slice(0, 12).join('.'), segments.join('.'), 'a.b', 'x'];
    await stored(long, ends.map((topic) => request(draft(topic))));
    const stars = '*.'.repeat(60);
    for (const wish of [
      range(5, 100).map((index) => `${stars}${index}`), [`${stars}3`], [`${stars}>`], [`${'*.'.repeat(11)}*`], [`${'*.'.repeat(8)}>`], [`${'*.'.repeat(12)}>`],
      [...range(1, 90).map((index) => `1.*.3.4.5.6.7.8.9.*.${index}.>`), '*.b', 'x'], [`1.2.*.${segments.slice(3).join('.')}.7`, '>'],
    ]) {
      const filter = new Filter(wish);
      t.same((await readMessages(long, { filter, limit: 5 })).map((message) => message.topic), ends.filter((topic) => filter.matches(topic)), wish[0]!);
    }
  });

  await t.test('many reads at once each get their own answer', async (t) => {
    const pages = await Promise.all(range(0, 99).map((after) => store.read({ ...EVERYTHING, after, limit: 3 })));
    t.same(pages.map(({ messages }) => seqs(messages)), range(0, 99).map((after) => range(after + 1, after + 3)));
  });

  await t.test('the newest messages within bounds begin where they say', async (t) => {
    const fresh = await openStore(t, await factory(t));
    t.match(await fresh.newestWithin({ messages: 10, bytes: 1_000 }), { seq: 0, log: { head: 0 } });
    const sizes = [100, 0, 20_000, 5, 300, 7];
    await stored(fresh, sizes.map((size) => request(draft('t', Buffer.alloc(size, 'x')))));
    for (const messages of range(1, 8)) {
      for (const bytes of [0, 6, 7, 311, 312, 20_312, 20_411, 20_412, 1_000_000]) {
        let [begin, left] = [sizes.length, bytes];
        while (begin > Math.max(0, sizes.length - messages) && left >= sizes[begin - 1]!) left -= sizes[--begin]!;
        const found = await fresh.newestWithin({ messages, bytes });
        if (found.seq !== begin || found.log.head !== sizes.length) t.fail(`${messages} messages and ${bytes} bytes begin after ${found.seq}, not ${begin}`);
      }
    }
    await fresh.trim({ maxAge: 0, maxBytes: 1, rows: 10 });
    t.match(await fresh.newestWithin({ messages: 10, bytes: 1_000_000 }), { seq: 6, log: { oldest: 7, head: 6 } });
  });

  await t.test('a start reads no more than its tail holds, and a page, however large the messages are', async (t) => {
    const fresh = await openStore(t, await factory(t));
    for (const _ of range(1, 8)) await stored(fresh, range(1, 50).map(() => request(draft('t', Buffer.alloc(20_000, 'x')))));
    const read = { bytes: 0, pages: 0 };
    const readPage = fresh.read.bind(fresh);
    fresh.read = async (query) => {
      const page = await readPage(query);
      read.pages++;
      for (const { data } of page.messages) read.bytes += data.length;
      return page;
    };
    const tail = new Tail({ store: fresh, clock, storeClock: new StoreClock(clock), counters: new Counters(), logger: quietLogger, maxBytes: TAIL_BYTES, pollMs: 1_000 });
    t.teardown(() => tail.stop());
    await tail.open(await fresh.state(), { append: () => undefined, moveEnd: (change) => change(), epochAdded: () => undefined, erased: () => undefined });
    t.equal(tail.last, 400);
    t.ok(read.bytes <= TAIL_BYTES && read.bytes >= TAIL_BYTES - 20_000, `${read.bytes} bytes of 8,000,000`);
    t.ok(read.pages <= 3, `${read.pages} pages`);
  });

  await t.test('a time becomes the last number before it', async (t) => {
    const fresh = await openStore(t, await factory(t));
    const times: number[] = [];
    for (const _ of range(1, 12)) {
      const { time } = newlyStored((await fresh.append([request(draft('t'), draft('t'), draft('t'))])).outcomes[0]);
      times.push(time, time, time);
      await until('the clock has moved on', async () => (await fresh.state()).now > time);
    }
    for (const time of [0, times[0]! - 1, ...times, ...times.map((one) => one + 1), times.at(-1)! + 1_000_000]) {
      const sought = await fresh.seek(time);
      const older = times.filter((one) => one < time).length;
      if (sought.seq !== older || sought.missing) t.fail(`${time} became ${sought.seq}, not ${older}`);
    }
    t.equal((await fresh.seek(times[20]!)).log.head, 36);
  });
}
