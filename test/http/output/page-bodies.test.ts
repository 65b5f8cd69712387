import { setImmediate as nextTurn } from 'node:timers/promises';
import t from 'tap';
import type { HistoryPage } from '../../../src/delivery/long-polls.ts';
import { PageBodies } from '../../../src/http/output/page-bodies.ts';
import { Message } from '../../../src/model/message.ts';
import { Budget, Hold } from '../../../src/runtime/sharing/budget.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import { Counters } from '../../../src/runtime/counters.ts';
import { Slices } from '../../../src/runtime/slices.ts';

const MIB = 1024 * 1024;

function pageOf(texts: readonly string[], clean: () => boolean = () => true): HistoryPage {
  const messages = texts.map((text, index) => new Message('abcdefgh', index + 1, 0, 0, { topic: 'a', event: undefined, json: false, data: Buffer.from(text) }));
  return { messages, cursor: 'abcdefgh-9', more: false, gap: undefined, clean };
}

function bodies() {
  const counters = new Counters();
  return { counters, pages: new PageBodies({ slices: new Slices(systemClock), counters }) };
}

const unbounded = (): Hold => new Hold(new Budget(Infinity));

const stays = (): boolean => false;

/** Of the processor, by this thread. Milliseconds. */
function taken(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

interface Read {
  readonly messages: readonly { readonly id: string; readonly data?: string; readonly erased?: boolean }[];
  readonly cursor: string;
}

t.test('a page of large texts takes a small part of each of many turns of the event loop', async (t) => {
  const { pages } = bodies();
  // Each character becomes six.
  const page = pageOf(Array.from({ length: 4 }, () => '\u0001'.repeat(8 * MIB)));
  const turns: number[] = [];
  let before = taken();
  const began = before;
  let body: Buffer | undefined;
  const assembled = pages.assemble(page, unbounded(), stays).then((whole) => void (body = whole));
  while (body === undefined) {
    await nextTurn();
    turns.push(taken() - before);
    before = taken();
  }
  await assembled;
  const all = taken() - began;
  t.ok(Math.max(...turns) < all / 4, `of ${all} ms of the processor's time the longest of ${turns.length} turns took ${Math.max(...turns)}`);
  t.equal(body.length > 6 * 32 * MIB, true);
});

t.test('a text in pieces reads unchanged, with all characters', async (t) => {
  const texts = ['€', '😀', 'a"\\\n\u0000', 'é\u2028'].map((text) => `x${text.repeat(60_000)}`);
  const { messages, cursor } = JSON.parse((await bodies().pages.assemble(pageOf(texts), unbounded(), stays)).toString()) as Read;
  t.ok(messages.every(({ data }, index) => data === texts[index]));
  t.equal(messages.length, texts.length);
  t.equal(cursor, 'abcdefgh-9');
});

t.test('a message that is erased while its page is put together is a tombstone there', async (t) => {
  const page = pageOf(['secret', '\u0001'.repeat(8 * MIB)]);
  const assembled = bodies().pages.assemble(page, unbounded(), stays);
  // The first message is in it by then, and the other takes many turns.
  await nextTurn();
  page.messages[0]!.erase();
  const body = await assembled;
  t.notMatch(body.subarray(0, 1_000).toString(), /secret/);
  t.match((JSON.parse(body.toString()) as Read).messages, [{ id: 'abcdefgh-1', erased: true }, { id: 'abcdefgh-2' }]);
});

t.test('a page of which too much was erased meanwhile is refused', async (t) => {
  await t.rejects(bodies().pages.assemble(pageOf(['a'], () => false), unbounded(), stays), { code: 'unavailable' });
});

t.test('a page that waits for its turn makes room for others, and one that is being put together does not', async (t) => {
  const { counters, pages } = bodies();
  const budget = new Budget(20 * MIB, { gate: 'answers', counters });
  const holdOf = (name: string): Hold => {
    const hold = new Hold(budget, [name]);
    hold.grow(8 * MIB);
    return hold;
  };
  const first = holdOf('greedy');
  const second = holdOf('greedy');
  const working = pages.assemble(pageOf(['x'.repeat(8 * MIB)]), first, stays);
  const waiting = pages.assemble(pageOf(['x'.repeat(8 * MIB)]), second, stays);
  const refused = t.rejects(waiting, { code: 'overloaded' });
  t.ok(new Hold(budget, ['other']).grow(5 * MIB));
  await refused;
  t.equal(counters.evicted.answers, 1);
  t.notOk(first.isTakenBack);
  t.ok((await working).length > 8 * MIB);
});

t.test('a page whose client has gone is not put together any further, and others have its turn', async (t) => {
  const { pages } = bodies();
  let hasLeft = false;
  const long = pageOf(['\u0001'.repeat(8 * MIB)]);
  const first = pages.assemble(long, unbounded(), () => hasLeft);
  const waiting = pageOf(['x'.repeat(8 * MIB)], () => t.fail('it is looked at no more'));
  const second = pages.assemble(waiting, unbounded(), () => hasLeft);
  const third = pages.assemble(pageOf(['x'.repeat(8 * MIB)]), unbounded(), stays);
  await nextTurn();
  hasLeft = true;
  t.strictSame([(await first).length, (await second).length], [0, 0]);
  t.ok((await third).length > 8 * MIB);
});
