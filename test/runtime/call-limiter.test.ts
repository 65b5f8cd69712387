import { t } from 'tap';
import { CallLimiter } from '../../src/runtime/sharing/call-limiter.ts';
import { Counters } from '../../src/runtime/counters.ts';
import { tooManyWait } from '../../src/store/change-problem.ts';
import { settle } from '../support/clock.ts';

t.test('a few are let in at once, the others in their order, and those beyond the bound are sent away', async (t) => {
  const limiter = new CallLimiter({ places: 2, maxWaiting: 3, refusal: tooManyWait, gate: 'reads', counters: new Counters() });
  const begun: number[] = [];
  const works = Array.from({ length: 6 }, () => Promise.withResolvers<number>());
  const passed = works.map(({ promise }, index) => limiter.pass(() => {
    begun.push(index);
    return promise;
  }));
  const sent = t.rejects(passed[5]!, { code: 'overloaded' });
  await settle();
  t.same(begun, [0, 1]);
  await sent;
  works[1]!.reject(new Error('it failed'));
  await t.rejects(passed[1]!, { message: 'it failed' });
  await settle();
  t.same(begun, [0, 1, 2], 'a place that failed is free again');
  works[0]!.resolve(10);
  t.equal(await passed[0], 10);
  works[2]!.resolve(12);
  await settle();
  t.same(begun, [0, 1, 2, 3, 4]);
  works[3]!.resolve(13);
  works[4]!.resolve(14);
  t.same(await Promise.all(passed.slice(2, 5)), [12, 13, 14]);
  t.equal(await limiter.pass(() => Promise.resolve(1)), 1);
});

t.test('clients take turns, and past the bound the one with most calls waiting loses its last', async (t) => {
  const counters = new Counters();
  const limiter = new CallLimiter({ places: 1, maxWaiting: 8, refusal: tooManyWait, gate: 'reads', counters });
  const works: PromiseWithResolvers<void>[] = [];
  const begun: string[] = [];
  const pass = (name: string, connection: object): Promise<string> => limiter.pass(() => {
    begun.push(name);
    const work = Promise.withResolvers<void>();
    works.push(work);
    return work.promise;
  }, ['address', connection]).then(() => 'done', ({ code }: { code: string }) => code);
  const greedy = {};
  const calls = Array.from({ length: 9 }, (_, index) => pass(`greedy ${index}`, greedy));
  t.equal(await pass('greedy', greedy), 'overloaded');
  const others = Array.from({ length: 2 }, (_, index) => pass(`other ${index}`, {}));
  t.same(await Promise.all(calls.slice(7)), ['overloaded', 'overloaded']);
  t.equal(counters.evicted.reads, 2);
  await settle();
  for (let ended = 0; ended < 9; ended++) {
    works[ended]!.resolve();
    await settle();
  }
  t.same(begun.slice(0, 5), ['greedy 0', 'greedy 1', 'other 0', 'other 1', 'greedy 2']);
  t.same(await Promise.all(others), ['done', 'done']);
  t.same(await Promise.all(calls.slice(0, 7)), Array(7).fill('done'));
  t.equal(await limiter.pass(() => Promise.resolve('free'), ['address', {}]), 'free');
});
