import t from 'tap';
import { StreamHandles } from '../../src/access/leases/stream-handles.ts';
import type { StreamClient } from '../../src/delivery/reader/stream-client.ts';
import { LACKING_MAX_STREAMS, MessageDelivery } from '../../src/fleet/message-delivery.ts';
import { OpenStreams, wants } from '../../src/fleet/open-streams.ts';
import { StreamList } from '../../src/fleet/stream-list.ts';
import { FULL_GRANT } from '../../src/model/grant.ts';
import { Filter } from '../../src/model/topic.ts';
import { UNNAMED } from '../../src/runtime/sharing/fair-shares.ts';
import { SharedTexts } from '../../src/runtime/shared-texts.ts';
import { settle } from '../support/clock.ts';
import { rounds } from '../support/rounds.ts';
import { begin, TestOutlet } from '../support/spine.ts';
import type { Scope } from '../support/temp.ts';

/** The list of streams: of one instance, and put together from those of several. */

const CONTROL = { form: 'data', control: true, chunked: true, lastChunk: false } as const;

/** An instance with streams. @param topicsOf Of a stream, by its number. */
async function instance(t: Scope, count: number, topicsOf: (number: number) => string[] = () => ['a']) {
  const spine = await begin(t, { heartbeatMs: 1_000 });
  const handles = new StreamHandles();
  const { streams, tail, clock } = spine;
  const outlets: TestOutlet[] = [];
  // Among heartbeats, streams stand in no order.
  for (let index = 0; index < count; index++) {
    const number = handles.next();
    const outlet = new TestOutlet();
    outlets.push(outlet);
    const client: StreamClient = { number, member: number % 2 === 0 ? 'even' : undefined, credential: `subject ${number % 3}`, address: '192.0.2.1', agent: 'Test/1', ownIdentity: undefined, holder: () => UNNAMED };
    streams.open(FULL_GRANT, new Filter(topicsOf(number)), CONTROL, outlet, { at: tail.position, gap: undefined }, { client });
  }
  const local = new OpenStreams({ readers: () => streams.readers, tail, handles, clock });
  return { ...spine, handles, local, outlets };
}

t.test('a page has the smallest numbers after a place, in order, as many as fit', async (t) => {
  const { local, handles } = await instance(t, 250);
  const numbers = (rows: readonly { readonly id: string }[]): number[] => rows.map(({ id }) => Number.parseInt(id.split('-')[1]!, 36));
  const seen: number[] = [];
  for (let after = 0, more = true; more;) {
    const page = await local.page({}, { after, limit: 40, maxBytes: Infinity });
    seen.push(...numbers(page.streams));
    ({ more } = page);
    after = seen.at(-1)!;
  }
  t.same(seen, Array.from({ length: 250 }, (_, index) => index + 1));
  t.match((await local.page({}, { after: 249, limit: 1, maxBytes: Infinity })), { streams: { length: 1 }, more: false });
  const { streams: [row] } = await local.page({}, { after: 0, limit: 1, maxBytes: 1 });
  t.match(row, { id: handles.idOf(1), topics: ['a'], instance: handles.instance, address: '192.0.2.1', client: 'Test/1', behind: 0 });
  const bytes = Buffer.byteLength(JSON.stringify(row));
  const cut = await local.page({}, { after: 0, limit: 100, maxBytes: 5.5 * (bytes + 2) });
  t.match(cut, { streams: { length: 5 }, more: true });
  t.equal(await local.count({ member: 'even' }, 100), 75);
  t.equal(await local.count({ credential: 'subject 0' }, 100), 50);
  t.equal(await local.count({ member: 'even', credential: 'subject 0' }, 100), 25);
  t.equal(await local.count({ member: 'subject 0' }, 0), 0, 'a credential is no member');
  t.match((await local.page({}, { after: 1, limit: 1, maxBytes: 1 })).streams, [{ member: 'even', credential: 'subject 2' }]);
});

t.test('the topics of a stream are shown as far as they fit, and the others counted', async (t) => {
  const many = Array.from({ length: 500 }, (_, index) => `${'x'.repeat(200)}.${index}`);
  const { local } = await instance(t, 1, () => many);
  const { streams: [row] } = await local.page({}, { after: 0, limit: 1, maxBytes: 1 });
  t.ok(row!.topics.length >= 10 && row!.topics.length <= 20, `${row!.topics.length}`);
  t.equal(row!.topics.length + row!.moreTopics!, 500);
});

t.test('a topic is asked for by its name, and by the patterns that it belongs to; a pattern as it is', async (t) => {
  for (const [names, topic, expected] of [
    [['a'], 'a', true], [['a'], 'b', false], [['a.*'], 'a.b', true], [['a.*'], 'a.b.c', false], [['a.>'], 'a.b.c', true], [['a.*'], 'a.*', true], [['a.>'], 'a.*', false], [['>'], 'a', true], [['>'], '$a', false],
  ] as const) t.equal(wants(new Filter([...names]), topic), expected, `${names.join()} ${topic}`);
});

t.test('streams that are behind say by how much, and streams that were sent away are not listed', async (t) => {
  const { local, streams, publish, outlets } = await instance(t, 3);
  outlets[1]!.isStuck = true;
  for (let count = 0; count < 4; count++) publish('a');
  await settle();
  for (let count = 0; count < 3; count++) publish('a');
  await settle();
  const page = await local.page({ isBehind: true }, { after: 0, limit: 10, maxBytes: Infinity });
  t.match(page.streams.map(({ behind }) => behind > 0), [true]);
  streams.end(local.find(1)!, 'dismissed', 5_000);
  t.equal(local.find(1), undefined);
  t.equal(await local.count({}, 0), 2);
});

t.test('streams of a topic have passed a message or lack numbers up to it; the ones that lack most come first', async (t) => {
  const { local, handles, publish, outlets } = await instance(t, 5, (number) => number === 5 ? ['b'] : number === 4 ? ['>'] : ['a']);
  const passing = (seq: number, { limit = 10, maxBytes = Infinity } = {}) => local.passing('a', seq, { limit, maxBytes });
  t.strictSame(await passing(1), { streams: 4, passed: 0, lacking: [1, 2, 3, 4].map((number) => ({ id: handles.idOf(number), instance: handles.instance, member: number % 2 === 0 ? 'even' : undefined, credential: `subject ${number % 3}`, lacks: 1 })) }, 'nothing was published yet');
  publish('a');
  await settle();
  t.match(await passing(1), { streams: 4, passed: 4, lacking: [] });
  outlets[0]!.isStuck = true;
  publish('a');
  await settle();
  outlets[2]!.isStuck = true;
  for (let count = 0; count < 3; count++) publish('a');
  await settle();
  for (let count = 0; count < 3; count++) publish('a');
  await settle();
  const { passed, lacking } = await passing(8);
  t.equal(passed, 2);
  t.same(lacking.map(({ id }) => id), [handles.idOf(1), handles.idOf(3)]);
  t.ok(lacking[0]!.lacks > lacking[1]!.lacks && lacking[1]!.lacks > 0, JSON.stringify(lacking));
  t.match(await passing(8, { limit: 1 }), { streams: 4, passed: 2, lacking: [{ id: handles.idOf(1) }] });
  t.match(await passing(8, { maxBytes: 10 }), { streams: 4, passed: 2, lacking: [] });
  t.equal((await passing(2)).passed, 4 - (await passing(2)).lacking.length);
});

t.test('how far a message has come is put together from all instances, within a bound', async (t) => {
  const handlers: ((body: unknown) => unknown)[] = [];
  const rows = (instance: number, count: number) => Array.from({ length: count }, (_, index) => ({ id: `i${instance}-${index}`, instance: `i${instance}`, lacks: 1 + (index * 7 + instance) % 50 }));
  const states = [{ streams: 90, passed: 10, lacking: rows(0, 80) }, { streams: 300, passed: 270, lacking: rows(1, 30) }, { streams: 0, passed: 0, lacking: [] }];
  const limits: number[] = [];
  const delivery = (answers: readonly unknown[], missing: readonly string[] = []) => new MessageDelivery({
    local: { passing: (_topic, _seq, { limit }) => {
      limits.push(limit);
      return Promise.resolve(states[0]!);
    } },
    roster: { ask: () => Promise.resolve({ answers: new Map(answers.map((answer, index) => [`i${index + 1}`, JSON.parse(JSON.stringify(answer)) as unknown])), missing, isPartial: false }) },
    control: { answer: (_kind, handler) => void handlers.push(handler) },
  });
  const { lacking, ...rest } = await delivery(states.slice(1)).report({ topic: 'a', seq: 7 });
  t.strictSame(rest, { streams: 390, passed: 280, instances: 2, more: true });
  t.equal(lacking.length, LACKING_MAX_STREAMS);
  const order = lacking.map(({ lacks }) => lacks);
  t.same(order, order.toSorted((one, other) => other - one));
  t.match(await delivery([states[2]], ['i2']).report({ topic: 'a', seq: 7 }), { streams: 90, more: false, partial: true, missing: ['i2'] });
  for (const answer of [7, {}, { streams: 1, passed: 'x', lacking: [] }, { streams: 1, passed: 0, lacking: [{ id: 7 }] }]) t.match(await delivery([answer]).report({ topic: 'a', seq: 7 }), { streams: 90, partial: true }, JSON.stringify(answer));
  limits.length = 0;
  t.match(await handlers[0]!({ topic: 'a', seq: 7 }), { streams: 90 });
  t.same(limits, [20], 'another instance is told of fewer');
  for (const body of [undefined, 'x', {}, { topic: 7, seq: 7 }, { topic: 'a' }, { topic: 'a', seq: '7' }]) t.equal(handlers[0]!(body), undefined, JSON.stringify(body));
});

t.test('to ask for many streams takes many turns of the event loop, each of them short', async (t) => {
  const count = rounds(20_000, 50_000, 5_000);
  const readers = Array.from({ length: count }, (_, index) => ({
    client: { number: count - index, member: undefined, credential: undefined, address: undefined, agent: undefined, ownIdentity: undefined, holder: () => UNNAMED }, isGone: false, isLive: true, group: { filter: new Filter(['a']) }, outlet: {}, openedTenths: 0,
    position: () => ({ epoch: 'abcdefgh', seq: 1 }),
  }));
  let now = 0;
  let turns = 0;
  let visitedInTurn = 0;
  let most = 0;
  const clock = {
    // Each look at the clock takes the time that one stream does.
    monotonic: () => {
      most = Math.max(most, ++visitedInTurn);
      return now += 0.01;
    },
    after: () => ({ cancel: () => undefined }),
    soon: (task: () => void) => void setImmediate(() => {
      turns++;
      visitedInTurn = 0;
      task();
    }),
  };
  const local = new OpenStreams({ readers: () => readers as never, tail: { last: 1, position: { epoch: 'abcdefgh', seq: 1 } }, handles: new StreamHandles(), clock });
  const { streams, more } = await local.page({}, { after: 0, limit: 1_000, maxBytes: Infinity });
  t.same([streams.length, more], [1_000, true]);
  t.ok(turns >= count / 250, `${turns} turns`);
  // Where one walk ends, the next may begin in the same turn.
  t.ok(most <= 450, `${most} in one turn`);
});

/** Instances whose questions reach each other as JSON, as over the bus. */
async function fleet(t: Scope, counts: readonly number[], topicsOf?: (number: number) => string[]) {
  const handlers: Map<string, (body: unknown) => unknown>[] = [];
  const silent = new Set<number>();
  /** Questions that nobody answers. */
  const lost = new Set<string>();
  const sizes: number[] = [];
  const members: { readonly list: StreamList; readonly id: string }[] = [];
  for (const [self, count] of counts.entries()) {
    const { local, handles, clock } = await instance(t, count, topicsOf);
    handlers[self] = new Map();
    const answersOf = async (kind: string, body: object): Promise<(readonly [string, unknown])[]> => {
      const text = JSON.stringify(body);
      const all = await Promise.all(members.map(async ({ id }, index) => [id, index === self || silent.has(index) || lost.has(kind) ? undefined : await handlers[index]!.get(kind)?.(JSON.parse(text))] as const));
      return all.filter(([, answer]) => answer !== undefined).map(([id, answer]) => {
        const json = JSON.stringify(answer);
        sizes.push(Buffer.byteLength(json));
        return [id, JSON.parse(json) as unknown] as const;
      });
    };
    const list = new StreamList({
      local, handles, clock,
      roster: { ask: async (kind, body) => {
        const answers = new Map(await answersOf(kind, body));
        return { answers, missing: members.filter(({ id }, index) => index !== self && !answers.has(id)).map(({ id }) => id), isPartial: false };
      } },
      control: { answer: (kind, handler) => void handlers[self]!.set(kind, handler), ask: async (kind, body) => (await answersOf(kind, body))[0]?.[1] },
    });
    members.push({ list, id: handles.instance });
  }
  return { members, silent, lost, sizes };
}

t.test('pages go through the streams of all instances once, though no answer is larger than a note', async (t) => {
  const { members, sizes } = await fleet(t, [300, 0, 200, 300], () => ['x'.repeat(200)]);
  for (const { list } of members.slice(0, 2)) {
    for (const limit of [7, 300, 1_000]) {
      const ids: string[] = [];
      let pages = 0;
      for (let after: string | undefined, more = true; more; pages++) {
        const [id, number] = after?.split('-') ?? [];
        const page = await list.page({ after: id === undefined ? undefined : { instance: id, number: Number.parseInt(number!, 36) }, limit });
        t.ok(page.streams.length <= limit);
        ids.push(...page.streams.map((row) => row.id));
        ({ more, cursor: after } = page);
      }
      t.equal(new Set(ids).size, 800);
      t.equal(ids.length, 800);
      t.same(ids.map((id) => id.split('-')[0]), ids.map((id) => id.split('-')[0]).toSorted());
      t.equal(pages, Math.ceil(800 / limit), `${limit}`);
    }
  }
  t.ok(Math.max(...sizes) > 40 * 1024 && Math.max(...sizes) < 60 * 1024, `${Math.max(...sizes)} bytes`);
});

t.test('an instance that does not answer is missing, and the pages go on after it', async (t) => {
  const { members, silent } = await fleet(t, [10, 10, 10]);
  silent.add(1);
  const page = await members[0]!.list.page({ limit: 100 });
  t.match(page, { streams: { length: 20 }, more: false, partial: true, missing: [members[1]!.id] });
  t.match(await members[0]!.list.page({ limit: 100, instance: members[1]!.id }), { streams: { length: 0 }, more: false, partial: true, missing: [members[1]!.id] });
  const alone = await members[0]!.list.page({ limit: 100, instance: members[2]!.id });
  t.match(alone, { streams: { length: 10 }, more: false });
  t.notOk('partial' in alone, 'nobody else was needed');
});

t.test('an instance that has counted its streams, and then does not answer, is missing; the next page does not ask for it again', async (t) => {
  const { members, lost } = await fleet(t, [10, 10]);
  const [here, there] = members as [(typeof members)[number], (typeof members)[number]];
  lost.add('streams-page');
  const page = await here.list.page({ limit: 100 });
  t.match(page, { streams: { length: 10 }, more: false, partial: true, missing: [there.id] });
  const alone = await here.list.page({ limit: 100, instance: there.id });
  t.match(alone, { streams: { length: 0 }, more: false, missing: [there.id] });
  t.ok(Number.parseInt(alone.cursor!.split('-')[1]!, 36) > 10, 'after all of its streams');
});

t.test('equal texts are kept once, cut, and not within the text they were cut from', async (t) => {
  const texts = new SharedTexts();
  t.equal(texts.shared(undefined), undefined);
  t.equal(texts.shared('Feed/1'), 'Feed/1');
  t.equal(texts.shared('\u00e9'.repeat(500)), '\u00e9'.repeat(80));
  for (let count = 0; count < 5_000; count++) if (texts.shared(`client ${count}`) !== `client ${count}`) t.fail(`client ${count}`);
});
