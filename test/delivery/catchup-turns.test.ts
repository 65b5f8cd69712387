import { t } from 'tap';
import type { Reader } from '../../src/delivery/reader/reader.ts';
import type { StreamClient } from '../../src/delivery/reader/stream-client.ts';
import { FULL_GRANT } from '../../src/model/grant.ts';
import { Filter } from '../../src/model/topic.ts';
import type { NamedHolder } from '../../src/runtime/sharing/fair-shares.ts';
import { settle } from '../support/clock.ts';
import { begin, TestOutlet } from '../support/spine.ts';
import type { Scope } from '../support/temp.ts';

/** One client with many streams far behind, and others beside it. Seen to fail where groups that wait are read for in the order in which they came. */

const MESSAGES = 6_000;
const GREEDY_GROUPS = 50;
/** Each topic has half of the messages, and a page has 512. */
const PAGES = 6;
/** Four reads are under way at a time. Between two pages of one client there are at most three times as many of another. */
const READS_MAX = 4 + PAGES * 3 * 4;

const CLIENT = { number: 1, member: undefined, credential: undefined, address: undefined, agent: undefined, ownIdentity: undefined } satisfies Partial<StreamClient>;

async function world(t: Scope) {
  const spine = await begin(t, { messages: MESSAGES, tailBytes: 10_000 });
  const { streams, tail, store, at } = spine;
  const open = (names: readonly string[], holder: NamedHolder): Reader => {
    const client: StreamClient = { ...CLIENT, holder: () => holder };
    return streams.open(FULL_GRANT, new Filter(names), { form: 'data', control: true, chunked: true, lastChunk: false }, new TestOutlet(), tail.locate(at(0), store.log()), { client });
  };
  const greed = (holderOf: (index: number) => NamedHolder): Reader[] => Array.from({ length: GREEDY_GROUPS }, (_, index) => open(['even', `other.${index}`], holderOf(index)));
  /** How many reads there were until the last one for a stream, by one of its topics. */
  const readsUntil = (topic: string): number => store.reads.findLastIndex(({ filter }) => filter?.matches(topic)) + 1;
  return { ...spine, open, greed, readsUntil };
}

async function allLive(readers: readonly Reader[]): Promise<void> {
  // Each settles some reads; a log that answers needs a known number.
  for (let turn = 0; turn < GREEDY_GROUPS * PAGES && !readers.every(({ isLive }) => isLive); turn++) await settle();
}

t.test('streams of one client that are far behind make another client wait for a few reads, not for one of each', async (t) => {
  const { open, greed, readsUntil, store } = await world(t);
  const greedy = greed(() => ['address:192.0.2.1']);
  const other = open(['odd'], ['address:192.0.2.2']);
  await allLive([...greedy, other]);
  t.ok(other.isLive);
  t.ok(greedy.every(({ isLive }) => isLive), 'nobody starves');
  t.ok(readsUntil('odd') <= READS_MAX, `${readsUntil('odd')} of ${store.reads.length} reads`);
  t.ok(store.reads.length > 2 * READS_MAX, 'there was something to wait for');
});

t.test('so do readers of one address that shares a credential with others', async (t) => {
  const { open, greed, readsUntil } = await world(t);
  greed(() => ['key:a', 'address:192.0.2.1']);
  const other = open(['odd'], ['key:a', 'address:192.0.2.2']);
  await allLive([other]);
  t.ok(other.isLive);
  t.ok(readsUntil('odd') <= READS_MAX, `${readsUntil('odd')} reads`);
});

t.test('streams of one credential gain nothing by many addresses', async (t) => {
  const { open, greed, readsUntil } = await world(t);
  greed((index) => ['key:a', `address:192.0.2.${index}`]);
  const other = open(['odd'], ['key:b', 'address:192.0.2.1']);
  await allLive([other]);
  t.ok(other.isLive);
  t.ok(readsUntil('odd') <= READS_MAX, `${readsUntil('odd')} reads`);
});

t.test('a client that reads the same topics as the one with many streams is served at its own turn', async (t) => {
  const { open, greed, readsUntil } = await world(t);
  const holder: NamedHolder = ['address:192.0.2.1'];
  greed(() => holder);
  for (let count = 0; count < 4; count++) open(['odd'], holder);
  const other = open(['odd'], ['address:192.0.2.2']);
  await allLive([other]);
  t.ok(other.isLive);
  t.ok(readsUntil('odd') <= READS_MAX, `${readsUntil('odd')} reads`);
});

t.test('a group whose readers have left waits for no read', async (t) => {
  const { streams, greed, store, open } = await world(t);
  const greedy = greed(() => ['address:192.0.2.1']);
  await new Promise((done) => setImmediate(done));
  for (const reader of greedy) streams.closed(reader);
  const other = open(['odd'], ['address:192.0.2.2']);
  await allLive([other]);
  t.ok(other.isLive);
  t.ok(store.reads.length <= READS_MAX, `${store.reads.length} reads`);
});

/** Streams of one client with so many topics each that a walk through the tail has room for 20 of them. */
const GREEDY_WALKERS = 300;
const walkers = (index: number): string[] => Array.from({ length: 100 }, (_, topic) => `${index}.${topic}`);

t.test('streams that are behind within the tail share walks by turns of their clients: 300 of one client stand before another client\'s one for a walk or two', async (t) => {
  const { tail, store, streams, at } = await begin(t, { messages: 3_000 });
  let walks = 0;
  const walk = tail.walk.bind(tail);
  tail.walk = (seq, visit) => {
    walks++;
    return walk(seq, visit);
  };
  const open = (names: readonly string[], holder: NamedHolder): Reader =>
    streams.open(FULL_GRANT, new Filter(names), { form: 'data', control: true, chunked: true, lastChunk: false }, new TestOutlet(), tail.locate(at(0), store.log()), { client: { ...CLIENT, holder: () => holder } });
  const greedy = Array.from({ length: GREEDY_WALKERS }, (_, index) => open(walkers(index), ['address:192.0.2.1']));
  let wrote = 0;
  const outlet = new TestOutlet(() => {
    if (wrote === 0) wrote = walks;
  });
  const other = streams.open(FULL_GRANT, new Filter(['odd']), { form: 'data', control: false, chunked: true, lastChunk: false }, outlet, tail.locate(at(0), store.log()), { client: { ...CLIENT, holder: () => ['address:192.0.2.2'] } });
  wrote = 0;
  await allLive([...greedy, other]);
  t.ok(other.isLive);
  t.ok(greedy.every(({ isLive }) => isLive), 'nobody starves');
  t.ok(wrote > 0 && wrote <= 2, `it was written in walk ${wrote} of ${walks}`);
  t.ok(walks >= 15, 'there was something to wait for');
});
