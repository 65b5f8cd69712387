import { t } from 'tap';
import { MergedAppends } from '../../../src/bus/hub/merged-appends.ts';
import type { Appended, AppendRequest } from '../../../src/store/store.ts';
import { settle, TestClock } from '../../support/clock.ts';
import { MemoryStore } from '../../support/memory-store.ts';

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
    answers.push(merged.append(Array.from({ length: count }, (): AppendRequest => ({ drafts: [{ topic: 'a', event: undefined, json: false, data: Buffer.from('x'), ttl: 0 }], key: undefined }))));
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
