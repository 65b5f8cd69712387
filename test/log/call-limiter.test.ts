import { t } from 'tap';
import { CallLimiter } from '../../src/log/call-limiter.ts';
import { settle } from '../support/clock.ts';

t.test('a few are let in at once, the others in their order, and those beyond the bound are sent away', async (t) => {
  const limiter = new CallLimiter({ places: 2, maxWaiting: 3 });
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
