import { t } from 'tap';
import { HeavyHitters } from '../../src/log/retention/heavy-hitters.ts';
import { Quota, type QuotaSender } from '../../src/log/retention/quota.ts';
import type { Draft } from '../../src/model/message.ts';
import type { Problem } from '../../src/model/problem.ts';
import { TOPIC_FACTOR } from '../../src/store/row-bytes.ts';
import { USAGE_PAGE_ENTRIES } from '../../src/store/contracts/usage-store.ts';
import { settle, TestClock } from '../support/clock.ts';
import { quietLogger } from '../support/logger.ts';
import { MemoryStore } from '../support/memory-store.ts';
import type { Scope } from '../support/temp.ts';

const MAX_BYTES = 1_000_000;
/** A tenth of it. */
const SHARE = 10;
/** How much a count may be too small: what the smallest of 129 names has, of all. */
const ERROR_BYTES = MAX_BYTES / 129;

const draft = (topic: string, bytes: number): Draft => ({ topic, event: undefined, json: false, ttl: 0, data: Buffer.alloc(bytes - TOPIC_FACTOR * topic.length) });
const bob: QuotaSender = { scope: 'key bob', name: 'bob' };
const eve: QuotaSender = { scope: 'key eve', name: 'eve' };
const nobody: QuotaSender = { scope: '', name: undefined };

async function begin(t: Scope, { topicShare = SHARE, senderShare = 0 } = {}) {
  const store = new MemoryStore();
  await store.open();
  const clock = new TestClock();
  const said: string[] = [];
  const logger = { ...quietLogger, info: (_facts: object | string, text?: string) => void said.push(text ?? ''), warn: (_facts: object, text: string) => void said.push(text) };
  const start = async () => {
    const quota = new Quota({ store, clock, logger, maxBytes: MAX_BYTES, topicShare, senderShare, oldest: () => store.log().oldest });
    t.teardown(() => quota.stop());
    await quota.open();
    /** As the publisher does it. */
    const publish = (drafts: readonly Draft[], sender?: QuotaSender): Problem | undefined => {
      const problem = quota.take(drafts, sender);
      if (problem !== undefined) return problem;
      const [first] = drafts.map((one) => store.commit(one).seq);
      quota.stored(drafts, sender, first!);
      quota.giveBack(drafts, sender);
      return undefined;
    };
    /** Publishes messages of 1,000 bytes until it is refused, and answers with how many were stored. */
    const fill = (topic: string, sender?: QuotaSender): number => {
      for (let count = 0; count <= MAX_BYTES / 1_000; count++) if (publish([draft(topic, 1_000)], sender) !== undefined) return count;
      throw new Error(`${topic} is never refused`);
    };
    return { quota, publish, fill };
  };
  const trim = (bytes: number) => store.trim({ maxAge: 0, maxBytes: bytes, rows: 1_000_000 });
  return { store, clock, said, start, trim };
}

t.test('a topic may hold its share, and the others theirs', async (t) => {
  const { clock, said, start } = await begin(t);
  const { publish, fill } = await start();
  for (let count = 0; count < 5; count++) publish([draft('loud', 1_000)]);
  await clock.advance(10_000);
  t.equal(fill('loud'), 95, 'what was told to the store counts once');
  t.match(publish([draft('loud', 1_000)]), { code: 'topic-quota', status: 429, field: 'topic', retrySeconds: 60, message: /The topic loud holds 100000 of the 100000 bytes/ });
  t.equal(publish([draft('quiet', 1_000)]), undefined);
  t.equal(said.length, 1, 'it is logged once');
});

t.test('what retention deletes makes room', async (t) => {
  const { clock, start, trim } = await begin(t);
  const { publish, fill } = await start();
  fill('loud');
  for (let count = 0; count < 20; count++) publish([draft('quiet', 1_000)]);
  await clock.advance(5_000);
  await trim(70_000);
  t.equal(fill('loud'), 0, 'it is not heard yet');
  await clock.advance(5_000);
  const room = fill('loud');
  t.ok(Math.abs(room - 50) <= ERROR_BYTES / 1_000 + 1, `${room} of the 50 that were deleted`);
});

t.test('a batch is taken whole or not at all, and the element is named', async (t) => {
  const { store, start } = await begin(t);
  const { publish } = await start();
  const batch = [draft('quiet', 1_000), ...Array.from({ length: 101 }, () => draft('loud', 1_000)), draft('quiet', 1_000)];
  t.match(publish(batch), { code: 'topic-quota', field: '[101].topic' });
  t.equal(store.head, 0);
  t.equal(publish(batch.slice(0, 101)), undefined, 'nothing of it was counted');
});

t.test('messages that wait for their commit count, and do not once it has failed', async (t) => {
  const { start } = await begin(t);
  const { quota, publish } = await start();
  const large = [draft('loud', 60_000)];
  t.equal(quota.take(large, undefined), undefined);
  t.equal(quota.take(large, undefined)?.code, 'topic-quota');
  quota.giveBack(large, undefined);
  t.equal(publish(large), undefined);
});

t.test('a credential may hold its share over all topics; all who have none share one', async (t) => {
  const { start } = await begin(t, { topicShare: 0, senderShare: SHARE });
  const { publish, fill } = await start();
  for (let topic = 0; topic < 10; topic++) for (let count = 0; count < 10; count++) publish([draft(`topic.${topic}`, 1_000)], bob);
  t.match(publish([draft('another', 1_000)], bob), { code: 'topic-quota', field: 'Authorization', message: /The credential bob holds 100000/ });
  t.match(publish([draft('another', 1_000), draft('another', 1_000)], bob), { field: '[0]' });
  t.equal(fill('another', eve), 100);
  t.equal(fill('another', nobody), 100);
  t.match(publish([draft('another', 1_000)], nobody), { message: /All who publish without a credential hold/ });
  t.equal(publish([draft('another', 1_000)]), undefined, 'where there is no access control nobody is counted');
});

t.test('instances count together, and a new one reads the counts', async (t) => {
  const { clock, start } = await begin(t);
  const [one, other] = [await start(), await start()];
  for (let count = 0; count < 40; count++) {
    one.publish([draft('loud', 1_000)]);
    other.publish([draft('loud', 1_000)]);
  }
  await clock.advance(10_000);
  const third = await start();
  t.equal(third.fill('loud'), 20);
  await clock.advance(10_000);
  t.equal(one.fill('loud'), 0);
});

t.test('what an instance stored that stops is known, and of one that crashes all but a 128th of the bound', async (t) => {
  const { start } = await begin(t, { topicShare: 50 });
  const stopping = await start();
  for (let count = 0; count < 5; count++) stopping.publish([draft('loud', 1_000)]);
  stopping.quota.stop();
  await settle();
  const crashing = await start();
  for (let count = 0; count < 100; count++) {
    crashing.publish([draft('loud', 1_000)]);
    await settle();
  }
  const next = await start();
  const room = next.fill('loud');
  t.ok(room >= 395 && room <= 395 + MAX_BYTES / 128 / 1_000, `${room}`);
});

t.test('a log that was restored is counted anew', async (t) => {
  const { store, clock, start } = await begin(t);
  const one = await start();
  for (let count = 0; count < 30; count++) one.publish([draft('loud', 1_000)]);
  await clock.advance(10_000);
  const head = store.head;
  store.usage.backup();
  const other = await start();
  other.fill('loud');
  await clock.advance(10_000);
  t.equal(one.fill('loud'), 0);
  other.quota.stop();
  await settle();
  await store.restore(head);
  // Versions are given a second time.
  const third = await start();
  third.publish([draft('quiet', 1_000)]);
  await clock.advance(10_000);
  t.equal(third.fill('loud'), 70);
  await clock.advance(10_000);
  t.equal(one.fill('loud'), 0, 'and it hears of what came then');
});

t.test('a store that is away keeps nobody from publishing; the counts are reported when it is back', async (t) => {
  const { store, clock, said, start } = await begin(t, { topicShare: 20 });
  const { publish } = await start();
  store.failure = 'unavailable';
  for (let count = 0; count < 100; count++) {
    publish([draft('loud', 1_000)]);
    await settle();
  }
  await clock.advance(20_000);
  t.equal(said.length, 1, 'it is said once');
  store.failure = undefined;
  await clock.advance(10_000);
  const next = await start();
  t.equal(next.fill('loud'), 100);
});

t.test('counts, summaries and their number stay small, with any number of topics and deletions', async (t) => {
  const { store, clock, start, trim } = await begin(t);
  const one = await start();
  // Ten times the bound, of which the loud topic has less than its share.
  for (let round = 0; round < 100; round++) {
    for (let count = 0; count < 100; count++) {
      one.publish([draft(count % 25 < 2 ? 'loud' : `topic.${round}.${count}`, 1_000)]);
      if (count % 10 === 0) await settle();
    }
    await clock.advance(5_000);
    await trim(MAX_BYTES);
  }
  await clock.advance(10_000);
  const { alive } = await store.usage.changes(0);
  t.ok(alive.length <= 2 * 128, `${alive.length} summaries`);
  t.ok(alive.length > USAGE_PAGE_ENTRIES, 'more than one page of them');
  let names = 0;
  for (let after = 0; ;) {
    const { changed } = await store.usage.changes(after);
    if (changed.length === 0) break;
    for (const { topics } of changed) names += topics.length;
    after = changed.at(-1)!.version;
  }
  t.ok(names <= alive.length * 128);
  const next = await start();
  const room = next.fill('loud');
  t.ok(Math.abs(room - 20) <= (ERROR_BYTES + MAX_BYTES / 128) / 1_000 + 1, `${room} of 20`);
});

t.test('a summary of many names forgets small ones alone, and no more of a large one than is said', async (t) => {
  const summary = new HeavyHitters(10);
  let all = 0;
  for (let index = 0; index < 10_000; index++) {
    summary.add(index % 3 === 0 ? 'large' : `small ${index}`, 7);
    all += 7;
  }
  t.equal(summary.of('small 1'), 0);
  const found = summary.heaviest();
  t.ok(found.length <= 10);
  const large = 7 * Math.ceil(10_000 / 3);
  t.ok(summary.of('large') <= large && summary.of('large') >= large - all / 11);
});
