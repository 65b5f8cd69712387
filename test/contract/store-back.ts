import fc from 'fast-check';
import type { Test } from 'tap';
import { Filter } from '../../src/model/topic.ts';
import type { BackQuery, Store } from '../../src/store/store.ts';
import { rounds } from '../support/rounds.ts';
import { until } from '../support/until.ts';
import { draft, openStore, range, request, stored, type StoreFactory } from './store-kit.ts';

const TOPICS = ['a', 'b', 'a.b', 'a.c', 'a.b.c', 'b.a', 'ä.b', 'zz.top'] as const;
const MESSAGES = 600;
/** More than any number that a log has given. */
const BEYOND = Number.MAX_SAFE_INTEGER;

/** The log walked back from its end. */
export async function readingBack(t: Test, factory: StoreFactory): Promise<void> {
  const store = await openStore(t, await factory(t));
  // Long runs of one topic and rare others; every ninth expires.
  const topics = range(0, MESSAGES - 1).map((index) => (index % 10 < 7 ? TOPICS[Math.floor(index / 200)]! : TOPICS[(index * 7) % TOPICS.length]!));
  const isExpired = (seq: number): boolean => seq % 9 === 0;
  for (let at = 0; at < MESSAGES; at += 100) {
    await stored(store, topics.slice(at, at + 100).map((topic, index) => request(draft(topic, '', { ttl: isExpired(at + index + 1) ? 1 : 0 }))));
  }
  const { messages } = await store.read({ after: 0, filter: undefined, limit: MESSAGES, maxBytes: 1 << 20 });
  const last = Math.max(...messages.map(({ expires }) => expires));
  await until('some have expired', async () => (await store.state()).now > last);
  const matching = (filter: Filter, before: number): number[] =>
    range(1, Math.min(before - 1, MESSAGES)).filter((seq) => !isExpired(seq) && filter.matches(topics[seq - 1]!)).reverse();

  await t.test('it finds the newest first, and stops at the limit', async (t) => {
    const filter = new Filter(['a.*', 'zz.top']);
    const { seqs, from, log } = await store.findBack({ before: BEYOND, filter, limit: 3 });
    t.same(seqs, matching(filter, BEYOND).slice(0, 3));
    t.equal(from, seqs.at(-1));
    t.equal(log.head, MESSAGES);
  });

  await t.test('a step that finds nothing gets to the oldest', async (t) => {
    for (const wish of [['never'], ['never.*', 'x.y.z'], ['*.never.*.*.*'], []]) {
      t.match(await store.findBack({ before: BEYOND, filter: new Filter(wish), limit: 5 }), { seqs: [], from: 1 });
    }
    t.match(await store.findBack({ before: 1, filter: new Filter(['>']), limit: 5 }), { seqs: [], from: 1 });
  });

  await t.test('with any filter, step by step, it finds what a plain comparison finds', async () => {
    const segment = fc.constantFrom('a', 'b', 'c', 'ä', 'zz', 'top', '*', '*');
    const pattern = fc.tuple(fc.array(segment, { minLength: 1, maxLength: 3 }), fc.boolean()).map(([segments, rest]) => [...segments, ...(rest ? ['>'] : [])].join('.'));
    const wishes = fc.array(fc.oneof(fc.constantFrom(...TOPICS, '>', 'never'), pattern), { minLength: 1, maxLength: 5 });
    await fc.assert(fc.asyncProperty(wishes, fc.integer({ min: 1, max: MESSAGES + 2 }), fc.integer({ min: 1, max: 200 }), async (wish, before, limit) => {
      const filter = new Filter(wish);
      const found = await walkBack(store, { before, filter, limit });
      return found.join() === matching(filter, before).join();
    }), { numRuns: rounds(50, 150) });
  });

  await t.test('patterns may be long: what the server does not compare is left out here', async (t) => {
    const long = await openStore(t, await factory(t));
    const ends = range(1, 20).map((index) => [...range(1, 30), index].join('.'));
    await stored(long, ends.map((topic) => request(draft(topic))));
    t.same(await walkBack(long, { before: BEYOND, filter: new Filter([`${'*.'.repeat(30)}3`, `1.${'*.'.repeat(29)}7`]), limit: 2 }), [7, 3]);
  });

  await t.test('what retention has deleted is not found', async (t) => {
    const trimmed = await openStore(t, await factory(t));
    await stored(trimmed, range(1, 10).map(() => request(draft('a'))));
    await trimmed.trim({ maxAge: 0, maxBytes: 1, rows: 4 });
    t.match(await trimmed.findBack({ before: BEYOND, filter: new Filter(['a']), limit: 100 }), { seqs: [10, 9, 8, 7, 6, 5], from: 5, log: { oldest: 5 } });
    t.match((await trimmed.findBack({ before: 3, filter: new Filter(['a']), limit: 100 })).seqs, []);
  });
}

/** Every step of a walk to the oldest message. Throws where a step does not move on. */
export async function walkBack(store: Store, query: BackQuery): Promise<number[]> {
  const found: number[] = [];
  for (let { before } = query; ;) {
    const { seqs, from, log } = await store.findBack({ ...query, before });
    if (seqs.length > query.limit || (before > log.oldest && from >= before)) throw new Error(`a step before ${before} came to ${from} with ${seqs.length}`);
    found.push(...seqs);
    if (from <= log.oldest) return found;
    before = from;
  }
}
