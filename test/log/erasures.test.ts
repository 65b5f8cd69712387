import { t } from 'tap';
import { FULL_GRANT } from '../../src/model/grant.ts';
import type { Message } from '../../src/model/message.ts';
import { Filter } from '../../src/model/topic.ts';
import { Budget, Hold } from '../../src/runtime/sharing/budget.ts';
import { ERASURES_MAX_ENTRIES } from '../../src/store/contracts/erasure-store.ts';
import type { Page, ReadQuery } from '../../src/store/store.ts';
import { settle } from '../support/clock.ts';
import { MemoryStore } from '../support/memory-store.ts';
import { begin } from '../support/spine.ts';

/** Every way on which the data of an erased message could still reach somebody from memory. */

const SECRET = 'secret';

/** Its reads are answered when the test says so, with what they saw when they were asked. */
class SlowStore extends MemoryStore {
  #gate: Promise<void> | undefined;

  override async read(query: ReadQuery): Promise<Page> {
    const gate = this.#gate;
    const page = await super.read(query);
    await gate;
    return page;
  }

  /** Returns what lets the answers come. */
  hold(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#gate = promise;
    return () => {
      this.#gate = undefined;
      resolve();
    };
  }
}

/** What streams and pages make of a message: its number, with its data, or erased. */
function shown(message: Message): string {
  return message.isErased ? `${message.seq} erased` : `${message.seq} ${Buffer.from(message.data).toString()}`;
}

async function setUp(t: Parameters<typeof begin>[0], options: Parameters<typeof begin>[1] = {}) {
  const store = new SlowStore();
  const spine = await begin(t, { ...options, store });
  const { tail } = spine;
  const held = (): string[] => tail.after(tail.first - 1, () => true, 1_000).messages.map(shown);
  /** Another instance erases a message, and this one looks at the log. */
  const erase = async (seq: number): Promise<void> => {
    await store.erasures.eraseMessage(spine.at(seq));
    await tail.look();
  };
  /** Another instance stores a message; what it says on the bus comes when the test offers it. */
  const commit = (data = SECRET, topic = 'a'): Message => store.commit({ topic, data: Buffer.from(data) });
  return { ...spine, store, held, erase, commit };
}

t.test('a look at the log makes tombstones of messages in memory, and gives the memory back', async (t) => {
  const { tail, publish, erase, held, store } = await setUp(t);
  for (const data of ['1', SECRET.repeat(100), '3']) publish('a', data);
  const { bytes } = tail;
  await erase(2);
  t.same(held(), ['1 1', '2 erased', '3 3']);
  t.equal(tail.bytes, bytes - 600);
  const reads = store.reads.length;
  await tail.look();
  t.equal(store.reads.length, reads, 'without a read');
});

t.test('a poll is enough, without a word on the bus', async (t) => {
  const { publish, held, store, clock, at } = await setUp(t);
  publish('a', SECRET);
  await store.erasures.eraseMessage(at(1));
  t.same(held(), [`1 ${SECRET}`]);
  await clock.advance(1_000);
  t.same(held(), ['1 erased']);
});

t.test('an erasure of a topic takes its own messages and no others', async (t) => {
  const { tail, publish, held, store, at } = await setUp(t);
  for (const topic of ['a', 'b', 'a.b', 'a', 'a', 'b']) publish(topic, 'x');
  await store.erasures.eraseTopic({ topic: 'a', after: 0, through: at(4), rows: 100 });
  await tail.look();
  t.same(held(), ['1 erased', '2 x', '3 x', '4 erased', '5 x', '6 x']);
});

t.test('a late message from the bus does not bring the data back', async (t) => {
  const { tail, publish, held, store, commit, at } = await setUp(t);
  publish('a', '1');
  const late = commit();
  await store.erasures.eraseMessage(at(2));
  const release = store.hold();
  const looking = tail.look();
  await settle();
  tail.offer([late]);
  t.same(held(), ['1 1'], 'the tail knows of the erasure, and has yet to read the message');
  release();
  await looking;
  await settle();
  tail.offer([late]);
  t.same(held(), ['1 1', '2 erased']);
  tail.offer([commit('3')]);
  t.same(held(), ['1 1', '2 erased', '3 3'], 'what comes after is taken as ever');
});

t.test('nor does a message that came out of order', async (t) => {
  const { tail, publish, held, erase, commit } = await setUp(t, { tailBytes: 10_000_000 });
  publish('a', '1');
  // It fills a page: what follows it waits already, and is not read.
  const large = '2'.repeat(1_100_000);
  commit(large);
  tail.offer([commit()]);
  t.same(held(), ['1 1']);
  await erase(3);
  await settle();
  t.same(held(), ['1 1', `2 ${large}`, '3 erased']);
});

t.test('nor does a read for the tail that began before', async (t) => {
  const { tail, publish, held, store, commit, at, clock } = await setUp(t);
  publish('a', '1');
  commit();
  const release = store.hold();
  const looking = tail.look();
  await settle();
  t.same(held(), ['1 1'], 'the read is under way');
  await store.erasures.eraseMessage(at(2));
  // The look has seen the log, and waits for its read. A history page hears of the erasure first.
  await tail.ask(async () => ({ log: await store.state() }));
  release();
  await looking;
  await clock.advance(0);
  t.same(held(), ['1 1', '2 erased']);
});

t.test('nor does an own commit whose answer comes after the erasure', async (t) => {
  const { tail, held, store, commit, at, erase } = await setUp(t);
  const before = tail.knowledge;
  const own = commit();
  const { lineage, oldest, head, now } = store.log();
  const release = store.hold();
  await store.erasures.eraseMessage(at(1));
  void tail.look();
  await settle();
  tail.committed([own], before, { lineage, oldest, head, now });
  t.same(held(), []);
  release();
  await settle();
  t.same(held(), ['1 erased']);
  tail.committed([commit('2')], tail.knowledge, store.log());
  await erase(2);
  t.same(held(), ['1 erased', '2 erased']);
});

t.test('of more erasures than one answer tells, an instance hears all, and so do its live streams', async (t) => {
  const { tail, publish, held, store, at, open } = await setUp(t);
  const count = 2 * ERASURES_MAX_ENTRIES + 1;
  const { outlet } = open(['a']);
  for (let seq = 1; seq <= count; seq++) publish('a', SECRET);
  publish('a', 'kept');
  await settle();
  outlet.seen.length = 0;
  for (let seq = 1; seq <= count; seq++) await store.erasures.eraseMessage(at(seq));
  await tail.look();
  t.equal(held().length, 1_000);
  t.same(held().filter((line) => !line.endsWith('erased')), []);
  t.equal(outlet.seen.filter((line) => line.startsWith('$erased')).length, count);
  t.equal(tail.erasures, count);
});

t.test('where more was erased than is remembered, nothing is shown from memory, or taken from the bus', async (t) => {
  const { tail, publish, held, store, commit, at, open } = await setUp(t);
  const count = 3;
  for (let index = 0; index < count; index++) publish('a', SECRET);
  publish('a', 'kept');
  const late = commit();
  for (const seq of [1, 2, 3, 5]) await store.erasures.eraseMessage(at(seq));
  store.erasures.restored();
  const release = store.hold();
  void tail.look();
  await settle();
  t.equal(tail.length, 0);
  tail.offer([late]);
  t.same(held(), []);
  release();
  await settle();
  const { outlet } = open(['a'], at(0));
  for (let turn = 0; turn < 20; turn++) await settle();
  t.same(outlet.seen.filter((line) => !line.startsWith('$')), [`${count + 1}=kept`]);
});

t.test('a copy that takes the place of the log has other messages under these numbers: an erasure of the lost log does not touch them', async (t) => {
  const { tail, publish, held, store, erase } = await setUp(t);
  for (const data of ['1', '2', '3']) publish('a', data);
  await erase(3);
  await store.restore(2);
  tail.offer([store.commit({ topic: 'a', data: Buffer.from('another 3') })]);
  await settle();
  await tail.look();
  t.same(held().slice(-1), ['3 another 3']);
  publish('a', '4');
  await erase(4);
  t.same(held().slice(-2), ['3 another 3', '4 erased'], 'and one that follows is heard of');
});

t.test('streams', async (t) => {
  t.test('one that is behind gets a tombstone: from the tail also where the frame was made before', async (t) => {
    const { publish, erase, open, at } = await setUp(t);
    const first = open(['a']);
    publish('a', SECRET);
    publish('a', '2');
    await settle();
    t.same(first.outlet.seen, [`$open ${at(0).epoch}-0`, `1=${SECRET}`, '2=2']);
    await erase(1);
    const later = open(['a'], at(0));
    await settle();
    t.same(later.outlet.seen.slice(1), [`$erased ${at(1).epoch}-1`, '2=2']);
  });

  t.test('a read for readers that are behind, which began before', async (t) => {
    const { publish, tail, store, open, at } = await setUp(t, { tailBytes: 1 });
    for (const data of [SECRET, '2', '3']) publish('a', data);
    await settle();
    const release = store.hold();
    const { outlet } = open(['a'], at(0));
    await settle();
    await store.erasures.eraseMessage(at(1));
    await tail.look();
    release();
    await settle();
    t.same(outlet.seen.slice(1), [`$erased ${at(1).epoch}-1`, '2=2', '3=3']);
  });

  t.test('pending messages for live readers, in the tail or no longer', async (t) => {
    for (const tailBytes of [1_000_000, 1]) {
      const { publish, erase, open, at, clock, hooks } = await setUp(t, { tailBytes });
      const outlets = Array.from({ length: 100 }, () => open(['a']).outlet);
      await settle();
      hooks.written = () => clock.spend(1);
      publish('a', '1');
      await settle();
      // In the rest after the sweep.
      publish('a', SECRET);
      publish('a', '3');
      await settle();
      await erase(2);
      await settle();
      // Who was written the tombstone before the news came is told once more; the others are left to catch-up, and need not be.
      const whole = ['1=1', `$erased ${at(2).epoch}-2`, '3=3', `$erased ${at(3).epoch}-3`];
      t.same(outlets[0]!.seen.slice(1), whole);
      for (const { seen } of outlets) t.same(seen.slice(1), whole.slice(0, seen.length - 1));
      t.ok(outlets.every(({ seen }) => seen.length >= 4));
    }
  });

  t.test('readers that a sweep has yet to reach, though its frames are made', async (t) => {
    const { publish, erase, open, at, clock, hooks } = await setUp(t);
    const outlets = Array.from({ length: 3_000 }, () => open(['a']).outlet);
    await settle();
    hooks.written = () => clock.spend(0.1);
    publish('a', SECRET);
    await new Promise((done) => setImmediate(done));
    await erase(1);
    const had = outlets.filter(({ seen }) => seen.includes(`1=${SECRET}`));
    t.ok(had.length > 0 && had.length < 2_500, `${had.length} had it before`);
    const tombstone = `$erased ${at(1).epoch}-1`;
    for (let turns = 0; turns < 1_000 && outlets.some(({ seen }) => !seen.includes(tombstone)); turns++) await new Promise((done) => setImmediate(done));
    for (const { seen } of outlets) t.equal(seen[1] === `1=${SECRET}` ? seen[2] : seen[1], tombstone, 'the others get the tombstone');
  });

  t.test('live ones are told, at their own place; those without control events, and of other topics, are not', async (t) => {
    const { publish, erase, at, streams, tail, open, store } = await setUp(t);
    const frames: Record<string, string> = {};
    for (const [name, form, control, topic] of [['data', 'data', true, 'a'], ['object', 'object', true, 'a'], ['unnamed', 'data-unnamed', true, '>'], ['bare', 'data', false, 'a'], ['other', 'data', true, 'b']] as const) {
      frames[name] = '';
      const outlet = { writableLength: 0, writableNeedDrain: false, destroySoon: () => undefined, destroy: () => undefined, write: (bytes: Uint8Array) => {
        frames[name] += Buffer.from(bytes).toString();
        return true;
      } };
      streams.open(FULL_GRANT, new Filter([topic]), { form, control, chunked: false, lastChunk: false }, outlet, { at: tail.position, gap: undefined });
    }
    publish('a', SECRET);
    publish('a', '2');
    await settle();
    for (const name of Object.keys(frames)) frames[name] = '';
    await erase(1);
    const [one, two] = [at(1), at(2)].map(({ epoch, seq }) => `${epoch}-${seq}`);
    const told = `event: $erased\ndata: {"id":"${one}"}\nid: ${two}\n\n`;
    t.same(frames, { data: told, unnamed: told, object: told.replace('"}', '","topic":"a"}'), bare: '', other: '' });

    for (const name of Object.keys(frames)) frames[name] = '';
    await store.erasures.eraseTopic({ topic: 'a', after: 0, through: at(2), rows: 10 });
    await tail.look();
    const all = `event: $erased\ndata: {"topic":"a","through":"${two}"}\nid: ${two}\n\n`;
    t.same(frames, { data: all, unnamed: all, object: all, bare: '', other: '' });
    const late = open(['a'], at(0)).outlet;
    await settle();
    t.same(late.seen.slice(1), [`$erased ${one}`, `$erased ${two}`]);
  });

  t.test('a tombstone is left out where no control events are wanted, and the stream goes on after it', async (t) => {
    const { publish, erase, at, streams, tail } = await setUp(t);
    for (const data of ['1', SECRET, '3']) publish('a', data);
    await erase(2);
    let text = '';
    const outlet = { writableLength: 0, writableNeedDrain: false, destroySoon: () => undefined, destroy: () => undefined, write: (bytes: Uint8Array) => {
      text += Buffer.from(bytes).toString();
      return true;
    } };
    const reader = streams.open(FULL_GRANT, new Filter(['a']), { form: 'data', control: false, chunked: false, lastChunk: false }, outlet, { at: at(0), gap: undefined });
    await settle();
    t.same(text.match(/^(data|event): .*/gm), ['data: 1', 'data: 3']);
    t.equal(reader.position().seq, tail.last);
  });

  t.test('a slow one whose socket still holds the message is ended, so that its client comes back for the tombstone; another one is not', async (t) => {
    const { publish, erase, open, drain } = await setUp(t);
    const [holding, past, slow] = [open(['a']), open(['a']), open(['a'])];
    await settle();
    publish('a', SECRET);
    holding.outlet.isStuck = true;
    past.outlet.isStuck = false;
    await settle();
    holding.outlet.isStuck = false;
    past.outlet.isStuck = true;
    slow.outlet.isStuck = true;
    publish('a', '2');
    await settle();
    t.same([past.reader.state, slow.reader.state], ['blocked', 'blocked']);
    await erase(2);
    t.same([past.outlet.ended, slow.outlet.ended], ['now', 'now'], 'the second message lies in their sockets');
    t.equal(holding.outlet.ended, undefined);
    drain(holding.outlet, holding.reader);

    const more = open(['a']);
    await settle();
    more.outlet.isStuck = true;
    publish('a', '3');
    await settle();
    await erase(1);
    t.equal(more.outlet.ended, undefined, 'the first one does not');
    t.equal(more.outlet.seen.at(-1), '3=3', 'and nothing more is written to it');
  });
});

t.test('pages', async (t) => {
  const request = { grant: FULL_GRANT, filter: new Filter(['a']), limit: 100, signal: new AbortController().signal, hold: new Hold(new Budget(Infinity)), hasLeft: () => false };

  t.test('of which a part was read before', async (t) => {
    const { publish, store, history, tail, at } = await setUp(t);
    publish('a', SECRET);
    const release = store.hold();
    const page = history.findInLog({ at: at(0), gap: undefined }, { filter: new Filter(['a']), limit: 10, hold: new Hold(new Budget(Infinity)), ofHeld: true, readTo: 0 });
    const one = history.message(FULL_GRANT, at(1));
    await settle();
    await store.erasures.eraseMessage(at(1));
    await tail.look();
    release();
    t.same((await page).messages.map(shown), ['1 erased']);
    t.equal((await one)!.isErased, true);
  });

  t.test('of several reads, of which the first was before', async (t) => {
    const { publish, store, history, tail, at } = await setUp(t);
    publish('a', SECRET);
    publish('b', '2');
    publish('a', '3');
    const read = store.read.bind(store);
    let reads = 0;
    store.read = async (query) => {
      // Each looks at one message, as a large log is looked at in parts.
      const page = await read({ ...query, filter: undefined, limit: 1 });
      if (query.filter !== undefined && ++reads === 2) {
        await store.erasures.eraseMessage(at(1));
        await tail.look();
      }
      return { ...page, messages: page.messages.filter(({ topic }) => query.filter?.matches(topic) ?? true) };
    };
    const { messages } = await history.findInLog({ at: at(0), gap: undefined }, { filter: new Filter(['a']), limit: 10, hold: new Hold(new Budget(Infinity)), ofHeld: true, readTo: 3 });
    t.ok(reads > 2);
    t.same(messages.map(shown), ['1 erased', '3 3']);
  });

  t.test('that waited for their first message', async (t) => {
    const { store, longPolls, tail, commit, at, clock } = await setUp(t);
    const poll = longPolls.page({ ...request, start: { kind: 'after', position: at(0) }, wait: 10_000 });
    await settle();
    const message = commit();
    await store.erasures.eraseMessage(at(1));
    tail.offer([message]);
    // It has woken; whichever comes first, the look or its answer.
    await tail.look();
    await clock.advance(1);
    const found = (await poll).messages;
    t.ok(found.length === 1 && found[0]!.isErased);
  });
});
