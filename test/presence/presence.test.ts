import { t } from 'tap';
import { Filter } from '../../src/model/topic.ts';
import { PlaceAway, type MemberPage, type PresenceChanges, type PresenceCount, type PresencePage, type PresencePlace } from '../../src/presence/place.ts';
import { Presence } from '../../src/presence/presence.ts';
import { Counters } from '../../src/runtime/counters.ts';
import type { Holder } from '../../src/runtime/sharing/fair-shares.ts';
import { presenceContract, shown } from '../contract/presence.ts';
import { settle, TestClock } from '../support/clock.ts';

const GRACE_MS = 5_000;

let clock = new TestClock();

function alone(mayHaveOthers = false, counters = new Counters()): Presence {
  clock = new TestClock();
  return new Presence({ place: undefined, mayHaveOthers, clock, now: () => Date.now(), graceMs: GRACE_MS, counters, frameOf: (json) => Buffer.from(json) });
}

presenceContract('in one process', {
  graceMs: GRACE_MS,
  open: (_t, count) => {
    const one = alone();
    return Promise.resolve(Array.from({ length: count }, () => one));
  },
  pass: (milliseconds) => clock.advance(milliseconds),
});

t.test('nothing is kept of what has gone', async (t) => {
  const presence = alone();
  const filter = new Filter(['a', 'b.*']);
  for (let index = 0; index < 100; index++) presence.enter(filter, index % 2 === 0 ? undefined : { id: `member ${index}`, meta: undefined });
  t.equal(presence.topics, 2);
  for (let index = 0; index < 100; index++) presence.leave(filter, index % 2 === 0 ? undefined : `member ${index}`);
  t.equal(presence.topics, 2, 'members are waited for');
  await clock.advance(GRACE_MS);
  t.equal(presence.topics, 0);
});

t.test('however many members come and go under new names, few are waited for', async (t) => {
  const presence = alone();
  for (let index = 0; index < 30_000; index++) {
    presence.enter(new Filter(['a']), { id: `${index}`, meta: undefined });
    presence.leave(new Filter(['a']), `${index}`);
  }
  t.equal((await presence.counts(['a'])).answer[0]!.members, 20_000);
  await clock.advance(GRACE_MS);
  t.equal(presence.topics, 0);
});

t.test('where there may be other instances that cannot be heard of, the answer is partial, and is counted', async (t) => {
  const counters = new Counters();
  const presence = alone(true, counters);
  presence.enter(new Filter(['a']), { id: 'alice', meta: undefined });
  t.match(await presence.page('a', '', 10), { isPartial: true, answer: { streams: 1, members: [{ id: 'alice' }] } });
  t.match(await presence.topicsOf('alice', '', 10, () => true), { isPartial: true, answer: { topics: [{ topic: 'a' }] } });
  t.equal(presence.isWhole, false);
  t.equal(counters.presencePartial, 2);
  await t.rejects(shown(presence, 'a'), /partial/);
});

/** A place that has other instances, and answers a question when a test says so. */
class SlowPlace implements PresencePlace {
  readonly isUp = true;
  readonly isAlone = false;
  readonly telling = { everyMs: 100, maxEntries: 100, maxRequests: 1 };
  /** Questions without an answer, by their topics. */
  readonly asked: { readonly topic: string; readonly answer: () => void }[] = [];

  join(): void {
    // Nobody tells it anything here.
  }

  write(): Promise<void> {
    return Promise.resolve();
  }

  activate(): Promise<void> {
    return Promise.resolve();
  }

  page(topic: string): Promise<PresencePage> {
    return this.#later(topic, { streams: 7, members: [], next: undefined });
  }

  counts(topics: readonly string[]): Promise<readonly PresenceCount[]> {
    return this.#later(topics[0]!, topics.map((topic) => ({ topic, streams: 7, members: 0 })));
  }

  topicsOf(member: string): Promise<MemberPage> {
    return this.#later(member, { topics: [{ topic: 'a', streams: 7, since: 0, meta: undefined }], next: undefined });
  }

  changes(): Promise<PresenceChanges> {
    return Promise.reject(new PlaceAway('nothing is heard'));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #later<Answer>(topic: string, answer: Answer): Promise<Answer> {
    const { promise, resolve } = Promise.withResolvers<Answer>();
    this.asked.push({ topic, answer: () => resolve(answer) });
    return promise;
  }
}

function slow() {
  const counters = new Counters();
  const place = new SlowPlace();
  clock = new TestClock();
  return { counters, place, presence: new Presence({ place, mayHaveOthers: false, clock, now: () => Date.now(), graceMs: GRACE_MS, counters, frameOf: (json) => Buffer.from(json) }) };
}

const GREEDY: Holder = ['address:203.0.113.1', {}];

t.test('clients take turns with questions: one that asks thousands makes no other wait, and past the bound loses its newest', async (t) => {
  const { counters, place, presence } = slow();
  const partial: number[] = [];
  const greedy = Array.from({ length: 2_000 }, async (_, index) => {
    if ((await presence.page('greedy', '', 1, GREEDY)).isPartial) partial.push(index);
  });
  await settle();
  const atOnce = place.asked.length;
  t.ok(atOnce > 0 && atOnce < 100, 'the place has a few of them at a time');
  t.equal(partial.length + atOnce + 1_000, 2_000, 'so many wait');
  partial.length = 0;
  const others = ['page', 'counts', 'topicsOf'].map((kind, index) => {
    const asker: Holder = [`address:198.51.100.${index}`, {}];
    if (kind === 'page') return presence.page('other', '', 1, asker);
    return kind === 'counts' ? presence.counts(['other'], asker) : presence.topicsOf('other', '', 1, () => true, asker);
  });
  await settle();
  t.same([partial.length, counters.evicted.presence], [3, 3], 'the greedy client gets a part of the answer to its newest three');
  for (let answers = 0; answers < 6; answers++) {
    place.asked.shift()!.answer();
    await settle();
  }
  t.equal(place.asked.filter(({ topic }) => topic === 'other').length, 3, 'each of the others waits for two turns at most');
  while (place.asked.length > 0) {
    for (const { answer } of place.asked.splice(0)) answer();
    await settle();
  }
  t.same((await Promise.all(others)).map(({ isPartial }) => isPartial), [false, false, false]);
  await Promise.all(greedy);
  t.equal(counters.presencePartial, 2_000 - atOnce - 1_000 + 3);
});

t.test('a question whose turn comes too late is answered with a part, and asks nothing', async (t) => {
  const { place, presence } = slow();
  const early = Array.from({ length: 100 }, () => presence.page('early', '', 1, GREEDY));
  await settle();
  const late = presence.counts(['late'], ['address:198.51.100.1', {}]);
  await settle();
  await clock.advance(1_500);
  t.match(await late, { isPartial: true, answer: [{ topic: 'late', streams: 0 }] });
  await Promise.all(early);
  const asked = place.asked.length;
  for (const { answer } of place.asked.splice(0)) answer();
  await settle();
  t.equal(place.asked.length, 0, `nothing after the first ${asked}`);
  const next = presence.page('next', '', 1);
  await settle();
  place.asked.shift()!.answer();
  t.match(await next, { isPartial: false, answer: { streams: 7 } });
});

/** A stream that reads what it is told, as long as it is not full. */
class Ear {
  readonly told: { readonly topic: string; readonly number: number; readonly streams: number; readonly count?: number; readonly members?: { id: string }[]; readonly joined?: { id: string }[]; readonly changed?: { id: string; streams: number }[]; readonly left?: string[] }[] = [];
  isFull = false;

  tellPresence(frame: Buffer): boolean {
    if (!this.isFull) this.told.push(JSON.parse(frame.toString()) as (typeof this.told)[number]);
    return !this.isFull;
  }

  /** What came since the last call: `1 alice,bob`, then `2 +carol *alice -bob`. */
  get news(): string[] {
    const ids = (sign: string, list: readonly { readonly id: string }[] = []): string[] => list.map(({ id }) => ` ${sign}${id}`);
    return this.told.splice(0).map(({ number, members, joined, changed, left = [], count }) => `${number}${count === undefined ? '' : ` count ${count}`}${members === undefined ? '' : ` ${members.map(({ id }) => id).join()}`}${[...ids('+', joined), ...ids('*', changed), ...left.map((id) => ` -${id}`)].join('')}`);
  }
}

const news = new Filter(['news']);

t.test('a watcher is told the state, and then who comes and goes, each with the next number', async (t) => {
  const presence = alone();
  const [ear, other] = [new Ear(), new Ear()];
  const enter = (id: string): void => presence.enter(news, { id, meta: undefined });
  enter('alice');
  presence.watch(news, ear);
  await clock.advance(0);
  t.same(ear.news, ['1 alice']);
  enter('bob');
  enter('bob');
  enter('carol');
  presence.leave(news, 'carol');
  await clock.advance(300);
  t.same(ear.news, ['2 +bob +carol'], 'together');
  presence.watch(news, other);
  await clock.advance(0);
  t.same(other.news, ['2 alice,bob,carol'], 'who comes later begins with the state');
  await clock.advance(GRACE_MS);
  t.same(ear.news, ['3 -carol']);
  presence.leave(news, 'bob');
  presence.enter(news, undefined);
  await clock.advance(300);
  t.same(ear.news, ['4 *bob']);
  t.same(other.news, ['3 -carol', '4 *bob']);
  presence.unwatch(news, ear);
  enter('dora');
  await clock.advance(300);
  t.same([ear.news, other.news], [[], ['5 +dora']]);
});

t.test('who leaves and is back within the grace period does not leave', async (t) => {
  const presence = alone();
  const ear = new Ear();
  presence.enter(news, { id: 'alice', meta: undefined });
  presence.watch(news, ear);
  await clock.advance(0);
  for (let round = 0; round < 5; round++) {
    presence.leave(news, 'alice');
    await clock.advance(GRACE_MS / 2);
    presence.enter(news, { id: 'alice', meta: undefined });
    await clock.advance(GRACE_MS / 2);
  }
  t.same(ear.told.flatMap(({ left = [], joined = [] }) => [...left, ...joined]), []);
});

t.test('however much happens, a topic is told of four times a second at most', async (t) => {
  const presence = alone();
  const ear = new Ear();
  presence.watch(news, ear);
  for (let index = 0; index < 1_000; index++) {
    presence.enter(news, undefined);
    // Each new watcher has a look at once.
    if (index % 10 === 0) presence.watch(new Filter(['news', `other ${index}`]), new Ear());
    await clock.advance(2);
  }
  await clock.advance(500);
  t.equal(ear.told.at(-1)!.streams, 1_000);
  t.ok(ear.told.length >= 8 && ear.told.length <= 11, `${ear.told.length}`);
});

t.test('what a full socket cannot take is not kept: it gets the state when it has room again', async (t) => {
  const presence = alone();
  const ear = new Ear();
  presence.watch(news, ear);
  await clock.advance(0);
  t.same(ear.news, ['1 ']);
  ear.isFull = true;
  for (const id of ['alice', 'bob', 'carol']) {
    presence.enter(news, { id, meta: undefined });
    await clock.advance(300);
  }
  ear.isFull = false;
  await clock.advance(300);
  t.same(ear.news, ['4 alice,bob,carol']);
  presence.enter(news, { id: 'dora', meta: undefined });
  await clock.advance(300);
  t.same(ear.news, ['5 +dora']);
});

t.test('of a crowd, or where the list would be long, counts are told', async (t) => {
  const presence = alone();
  const ear = new Ear();
  for (let index = 0; index < 500; index++) presence.enter(news, { id: `${1000 + index}`, meta: undefined });
  presence.watch(news, ear);
  await clock.advance(0);
  t.match(ear.news, [/^1 1000,1001,/]);
  presence.enter(news, { id: 'one more', meta: undefined });
  await clock.advance(300);
  t.same(ear.news, ['2 count 501']);
  presence.enter(news, { id: 'and another', meta: undefined });
  await clock.advance(300);
  t.same(ear.news, ['3 count 502']);
  for (const id of ['one more', 'and another']) presence.leave(news, id);
  await clock.advance(GRACE_MS + 300);
  t.match(ear.news.at(-1), /^\d+ 1000,1001,/, 'then the list again');
  for (let index = 0; index < 80; index++) presence.enter(news, { id: `${1000 + index}`, meta: `"${'x'.repeat(1000)}"` });
  await clock.advance(300);
  t.match(ear.news, [/ count 500$/]);
});
