import t from 'tap';
import { Audience } from '../../src/delivery/audience.ts';
import type { Reader } from '../../src/delivery/reader/reader.ts';
import { NamedTopics } from '../../src/fleet/named-topics.ts';
import type { Collected } from '../../src/fleet/roster.ts';
import { TopicList, type TopicsPage, type TopicSort } from '../../src/fleet/topic-list.ts';
import { WantedTopics } from '../../src/fleet/wanted-topics.ts';
import { TopicReads } from '../../src/log/history/topic-reads.ts';
import { FULL_GRANT, ScopedGrant, type Grant } from '../../src/model/grant.ts';
import { Filter } from '../../src/model/topic.ts';
import { Counters } from '../../src/runtime/counters.ts';
import { type Holder, UNNAMED } from '../../src/runtime/sharing/fair-shares.ts';
import { settle, TestClock } from '../support/clock.ts';
import { MemoryStore } from '../support/memory-store.ts';

/** The list of topics, and reports, of several instances whose questions reach each other as JSON. */

/** @param streams Of each instance: the topics and patterns of each of its streams. */
async function fleet(streams: readonly (readonly (readonly string[])[])[]) {
  const store = new MemoryStore();
  await store.open();
  const clock = new TestClock();
  const silent = new Set<number>();
  const questions: { readonly kind: string; readonly body: { readonly topics?: readonly string[] }; readonly asker: Holder | undefined }[] = [];
  /** Whether a question waited for an instance that did not answer. */
  const waits: boolean[] = [];
  const handlers: Map<string, (body: unknown) => unknown>[] = [];
  const alone: { is: { readonly isPartial: boolean } | undefined } = { is: undefined };
  const reads = new TopicReads({ store, tail: { ask: (question) => question() }, reads: { pass: (call) => call() } });
  const instances = streams.map((own, self) => {
    handlers[self] = new Map();
    const audience = new Audience({ maxFilterBytes: 1e9, counters: new Counters() });
    const roster = {
      get alone() {
        return alone.is;
      },
      ask: async (kind: string, body: object, asker?: Holder, isEnough: (answers: ReadonlyMap<string, unknown>) => boolean = () => false): Promise<Collected> => {
        questions.push({ kind, body, asker });
        const text = JSON.stringify(body);
        const all = await Promise.all(handlers.map(async (some, index) => [`i${index}`, index === self || silent.has(index) ? undefined : await some.get(kind)?.(JSON.parse(text))] as const));
        const answers = new Map(all.filter(([, answer]) => answer !== undefined).map(([id, answer]) => [id, JSON.parse(JSON.stringify(answer)) as unknown]));
        const missing = [...silent].filter((index) => index !== self).map((index) => `i${index}`);
        waits.push(missing.length > 0 && !isEnough(answers));
        return { answers, missing, isPartial: false };
      },
    };
    const control = { answer: (kind: string, handler: (body: unknown) => unknown) => void handlers[self]!.set(kind, handler) };
    const listen = (names: readonly string[]): void => void audience.join(new Filter(names)).readers.add({} as Reader);
    const named = new Set<string>();
    for (const names of own) {
      listen(names);
      for (const name of names) named.add(name);
    }
    const wanted = new WantedTopics({ audience, roster, control, clock });
    return { listen, wanted, list: new TopicList({ reads, wanted, named: new NamedTopics({ named: () => named, roster, control, clock }) }) };
  });
  const page = (query: { sort?: TopicSort; prefix?: string; after?: string | undefined; limit?: number; grant?: Grant } = {}, at = 0): Promise<TopicsPage> => instances[at]!.list.page({
    sort: 'name', prefix: '', after: undefined, limit: 100, grant: FULL_GRANT, holder: UNNAMED, ...query,
  });
  return { store, clock, silent, questions, waits, instances, page, alone };
}

async function all(page: Awaited<ReturnType<typeof fleet>>['page'], query: Parameters<Awaited<ReturnType<typeof fleet>>['page']>[0]): Promise<TopicsPage[]> {
  const pages: TopicsPage[] = [];
  for (let after: string | undefined; ;) {
    const next = await page({ ...query, after });
    pages.push(next);
    if (!next.more) return pages;
    if (next.cursor === after) throw new Error(`no progress after ${after}`);
    after = next.cursor;
  }
}

const namesIn = (pages: readonly TopicsPage[]): string[] => pages.flatMap(({ topics }) => topics.map(({ topic }) => topic));

t.test('a page asks other instances for its client, and a report for no client', async (t) => {
  const { instances: [one], clock, questions, page } = await fleet([[['a']], [['b']]]);
  await page();
  t.same(questions.map(({ kind, asker }) => [kind, asker]), [['topics-named', UNNAMED], ['topics-wanted', UNNAMED]]);
  one!.wanted.report('a');
  await clock.advance(0);
  t.same(questions.slice(2).map(({ kind, asker }) => [kind, asker]), [['topics-wanted', undefined]]);
  one!.wanted.stop();
});

t.test('pages have the topics of the log and of all instances once, with the streams that get their messages', async (t) => {
  const many = Array.from({ length: 70 }, (_, index) => `n.${String(index).padStart(3, '0')}`);
  const { store, page } = await fleet([[['n.000'], ['n.*']], many.map((topic) => [topic, '>']), [['n.000', 'z', 'n.x.>']]]);
  const held = Array.from({ length: 40 }, (_, index) => `h.${index}`);
  for (const topic of held) store.commit({ topic });
  const expected = [...held.sort(), ...many, 'z'];
  for (const limit of [1, 7, 100]) t.same(namesIn(await all(page, { limit })), expected, `${limit} on each page`);
  t.match(await page({ prefix: 'n.000' }), { topics: [{ topic: 'n.000', streams: 2 + 70 + 1, messages: 0 }], more: false });
  t.match(await page({ prefix: 'z' }), { topics: [{ topic: 'z', streams: 70 + 1 }] });
});

t.test('an instance that does not answer is named, and waited for once', async (t) => {
  const { page, silent, waits } = await fleet([[['a']], [['b']], [['c']]]);
  silent.add(2);
  const { topics, ...rest } = await page();
  t.strictSame(rest, { cursor: 'b', more: false, partial: true, missing: ['i2'] });
  t.same(topics.map(({ topic }) => topic), ['a', 'b']);
  t.same(waits, [true, false]);
});

t.test('who may see few topics of many gets short pages of bounded reads, and all of them in the end', async (t) => {
  const { store, page } = await fleet([[], [['z.z.mine'], ['z.z.others']]]);
  for (let index = 0; index < 25_000; index++) store.commit({ topic: `t.${String(index).padStart(5, '0')}` });
  for (const topic of ['t.24000.mine', 'a.mine']) store.commit({ topic });
  const grant = new ScopedGrant({ publish: [], subscribe: [], presence: ['*.*.mine', 'a.mine'] });
  const first = await page({ grant });
  t.match(first, { topics: [{ topic: 'a.mine' }], more: true });
  t.ok(store.topics.answered.length <= 20 && store.topics.answered.every((count) => count <= 1_000), store.topics.answered.join());
  const pages = await all(page, { grant });
  t.same(namesIn(pages), ['a.mine', 't.24000.mine', 'z.z.mine']);
  t.equal(pages.length, 2, 'topics that are not shown fill no page');
  store.topics.answered.length = 0;
  t.same(namesIn([await page({ grant: new ScopedGrant({ publish: [], subscribe: [], presence: ['t.24000.>', 'a.*'] }) })]), ['a.mine', 't.24000.mine']);
  t.ok(store.topics.answered.reduce((sum, count) => sum + count, 0) < 10, 'only what can be seen is looked for');
  t.same(namesIn([await page({ grant: new ScopedGrant({ publish: [], subscribe: [] }) })]), []);
});

t.test('by the newest messages, a page looks at a bounded part of the log, however many messages one topic has', async (t) => {
  const { store, page } = await fleet([[]]);
  for (let index = 0; index < 5; index++) store.commit({ topic: `old.${index}` });
  for (let index = 0; index < 25_000; index++) store.commit({ topic: 'hot' });
  store.reads.length = 0;
  const first = await page({ sort: 'newest' });
  t.match(first, { topics: [{ topic: 'hot', messages: 100, more: true }], more: true });
  t.ok(store.reads.length <= 10 && store.reads.every(({ limit, withoutData }) => limit <= 1_000 && withoutData === true), `${store.reads.length} reads`);
  const pages = await all(page, { sort: 'newest', limit: 2 });
  t.same(namesIn(pages), ['hot', 'old.4', 'old.3', 'old.2', 'old.1', 'old.0']);
  // A topic that gets a message between two pages has moved to the front.
  const { cursor } = await page({ sort: 'newest', prefix: 'old.', limit: 1, after: '8' });
  store.commit({ topic: 'old.1' });
  t.same(namesIn([await page({ sort: 'newest', prefix: 'old.', after: cursor })]), ['old.3', 'old.2', 'old.0']);
});

t.test('by the newest messages, a short page asks seldom, also where all of its topics have moved to the front', async (t) => {
  const { store, page } = await fleet([[]]);
  const topics = 1_500;
  for (let index = 0; index < 2 * topics; index++) store.commit({ topic: `t.${index % topics}` });
  t.match(await page({ sort: 'newest', limit: 1, after: String(topics + 1) }), { topics: [], more: false });
  t.ok(store.topics.asked.length <= topics / 100 + 10 && store.topics.asked.every((count) => count <= 100), `${store.topics.asked.length} questions`);
});

t.test('rates are of the last minute, or of the time that the newest messages reach back', async (t) => {
  const { store, page } = await fleet([[]]);
  store.commit({ topic: 'before' }, store.now - 60_001);
  for (let index = 0; index < 30; index++) store.commit({ topic: index % 3 === 0 ? 'one' : 'two' }, store.now - 1_000);
  t.match(await page({ sort: 'rate' }), { topics: [{ topic: 'two', rate: 0.333 }, { topic: 'one', rate: 0.167 }], windowMs: 60_000, more: false });
  store.reads.length = 0;
  for (let index = 0; index < 20_000; index++) store.commit({ topic: 'two' }, store.now - 500);
  t.match(await page({ sort: 'rate' }), { topics: [{ topic: 'two', rate: 20_000 }], windowMs: 500 });
  t.ok(store.reads.length <= 10, `${store.reads.length} reads`);
});

t.test('a report counts the own streams at once, and those of the others by their last report', async (t) => {
  const { instances: [one, other], clock, questions, silent, alone } = await fleet([[['a'], ['b']], [['>'], ['a'], ['a', '*']]]);
  const report = (topic = 'a') => one!.wanted.report(topic);
  t.strictSame(report(), { streams: 1, instances: 1, ageMs: 0, isPartial: true });
  t.strictSame(report('none'), { streams: 0, instances: 0, ageMs: 0, isPartial: true });
  await settle();
  t.strictSame(report(), { streams: 1 + 3, instances: 2, ageMs: 0, isPartial: false }, 'the others were asked in the background');
  await clock.advance(500);
  t.strictSame(report('none'), { streams: 2, instances: 1, ageMs: 300, isPartial: false }, 'asked after a pause');
  other!.listen(['a']);
  one!.listen(['*']);
  t.strictSame(report(), { streams: 2 + 3, instances: 2, ageMs: 500, isPartial: false });
  await clock.advance(700);
  t.match(report(), { streams: 2 + 3, ageMs: 1_200 });
  await settle();
  t.match(report(), { streams: 2 + 4, ageMs: 0 });
  silent.add(1);
  await clock.advance(50_000);
  t.match(report(), { streams: 2 + 4, ageMs: 50_000, isPartial: false }, 'what is known stays, with its age');
  await clock.advance(11_000);
  t.match(report(), { streams: 2, ageMs: 0, isPartial: true });
  silent.clear();
  await clock.advance(1_000);

  questions.length = 0;
  for (let index = 0; index < 5_000; index++) report(`many.${index}`);
  await clock.advance(10_000);
  t.ok(questions.length <= 11 && questions.every(({ body: { topics } }) => topics!.length <= 100), `${questions.length} questions`);
  t.match(report('many.1'), { streams: 1, ageMs: Number, isPartial: false });
  t.match(report('many.4000'), { isPartial: true }, 'it was one too many');
  alone.is = { isPartial: false };
  t.strictSame(report(), { streams: 2, instances: 1, ageMs: 0, isPartial: false });
});
