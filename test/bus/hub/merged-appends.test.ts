import { t, type Test } from 'tap';
import { MergedAppends } from '../../../src/bus/hub/merged-appends.ts';
import { FULL_GRANT } from '../../../src/model/grant.ts';
import type { Draft } from '../../../src/model/message.ts';
import type { Appended, AppendRequest, Appends } from '../../../src/store/store.ts';
import { settle, TestClock } from '../../support/clock.ts';
import { MemoryStore } from '../../support/memory-store.ts';
import { buildSpine } from '../../support/spine.ts';

const DRAFT: Draft = { topic: 'a', event: undefined, json: false, data: Buffer.from('x'), ttl: 0 };

/** Appends whose commits end when the test ends them; how many requests each of them has. */
async function begin() {
  const store = new MemoryStore();
  await store.open();
  const clock = new TestClock();
  const sizes: number[] = [];
  const ended: (() => void)[] = [];
  const merged = new MergedAppends({
    clock, onCommit: () => () => undefined,
    store: {
      append: async (requests) => {
        const { promise, resolve } = Promise.withResolvers<void>();
        sizes.push(requests.length);
        ended.push(resolve);
        await promise;
        return store.append(requests);
      },
    },
  });
  const answers: Promise<Appended>[] = [];
  /** One worker appends this number of requests. */
  const append = async (count: number): Promise<void> => {
    answers.push(merged.append(Array.from({ length: count }, (): AppendRequest => ({ drafts: [DRAFT], key: undefined }))));
    await settle();
  };
  const end = async (tookMs: number): Promise<void> => {
    clock.spend(tookMs);
    ended[sizes.length - 1]!();
    await settle();
  };
  return { clock, sizes, ended, answers, append, end };
}

t.test('after a commit the store rests once for all workers: what they append meanwhile is one commit', async (t) => {
  const { clock, sizes, ended, answers, append, end } = await begin();
  await append(4);
  await end(1);
  for (let worker = 0; worker < 3; worker++) {
    await clock.advance(0.5);
    await append(1);
  }
  t.same(sizes, [4]);
  await clock.advance(1);
  t.same(sizes, [4, 3], 'when 2.5 ms are over');
  await end(1);
  await append(2);
  t.same(sizes, [4, 3]);
  await append(2);
  t.same(sizes, [4, 3, 4], 'as many as lately waited at once: nobody else may come');
  await append(3);
  t.same(sizes, [4, 3, 4], 'the store is busy');
  await append(1);
  t.same(sizes, [4, 3, 4, 4], 'it has its next when it is done');
  for (const resolve of ended) resolve();
  t.same((await Promise.all(answers)).map(({ outcomes }) => outcomes.length), [4, 1, 1, 1, 2, 2, 3, 1]);
});

t.test('a worker that is alone never waits', async (t) => {
  const { clock, sizes, append, end } = await begin();
  for (let commit = 1; commit <= 10; commit++) {
    await append(1);
    t.equal(sizes.length, commit);
    await end(1);
  }
  clock.spend(5);
  await append(1);
  t.equal(sizes.length, 11);
});

const COMMIT_MS = 1;
/** The way from a worker to the one that writes, and the way back. */
const WAY_MS = 0.2;
const MESSAGES = 200;

/** How many commits a service makes of messages that come to its workers by chance, at 1,000 a second. The store writes one commit after the other, as SQLite does. */
async function commitsOf(t: Test, workers: number): Promise<number> {
  const store = new MemoryStore();
  const state = await store.open();
  const clock = new TestClock();
  const pause = (milliseconds: number): Promise<void> => new Promise((done) => void clock.after(milliseconds, done));
  let commits = 0;
  let last: Promise<unknown> = Promise.resolve();
  const write = async (before: Promise<unknown>, requests: readonly AppendRequest[]): Promise<Appended> => {
    await before;
    commits++;
    await pause(COMMIT_MS);
    return store.append(requests);
  };
  const { rowOverheadBytes } = store;
  const single: Appends = { rowOverheadBytes, append: (requests) => {
    const written = write(last, requests);
    last = written;
    return written;
  } };
  const merged = new MergedAppends({ store: single, clock, onCommit: () => () => undefined });
  const writer: Appends = { rowOverheadBytes, isShared: true, append: (requests) => merged.append(requests) };
  const remote: Appends = { rowOverheadBytes, isShared: true, append: async (requests) => {
    await pause(WAY_MS);
    const appended = await merged.append(requests);
    await pause(WAY_MS);
    return appended;
  } };
  const logs = await Promise.all(Array.from({ length: workers }, async (_, worker) => {
    const { log } = buildSpine({ store, clock, appends: workers === 1 ? single : worker === 0 ? writer : remote });
    await log.open(state, { append: () => undefined, moveEnd: (change) => change(), epochAdded: () => undefined, erased: () => undefined });
    t.teardown(() => log.stop());
    return log;
  }));
  let seed = 7;
  const chance = (): number => (seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31) / 2 ** 31;
  const receipts: Promise<unknown>[] = [];
  let at = 0;
  for (let message = 0; message < MESSAGES; message++) {
    at -= Math.log(1 - chance());
    const { publisher } = logs[Math.floor(chance() * workers)]!;
    clock.after(at, () => receipts.push(publisher.publish(FULL_GRANT, [DRAFT], undefined)));
  }
  await clock.advance(at + 100);
  t.equal((await Promise.all(receipts)).length, MESSAGES);
  t.equal(store.head, MESSAGES);
  return commits;
}

t.test('several workers make about as many commits as one does', async (t) => {
  const one = await commitsOf(t, 1);
  for (const workers of [2, 4]) {
    const commits = await commitsOf(t, workers);
    t.ok(commits <= 1.2 * one, `${workers} workers: ${commits}, one: ${one}`);
  }
});
