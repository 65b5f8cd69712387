import t from 'tap';
import { Batches } from '../../src/runtime/sharing/batches.ts';
import { Counters } from '../../src/runtime/counters.ts';
import { TestClock } from '../support/clock.ts';

t.test('when too many questions wait, the client that asks most loses its last, and others are answered', async (t) => {
  const counters = new Counters();
  const clock = new TestClock();
  const batches = new Batches<number, number>({
    clock, counters, gate: 'tickets', call: (questions) => Promise.resolve(questions), max: 5_000, keyOf: String, isShared: false, tooMany: () => new Error('too many'),
  });
  const outcome = (question: number, connection: object): Promise<number | string> => batches.ask(question, ['address', connection]).catch(({ message }: Error) => message);
  const greedy = {};
  const all = Array.from({ length: 10_001 }, (_, index) => outcome(index, greedy));
  const others = [outcome(20_000, {}), outcome(20_001, {})];
  t.equal(await all.at(-1), 'too many');
  await clock.advance(50);
  t.same(await Promise.all(others), [20_000, 20_001]);
  t.same(await Promise.all(all.slice(-3)), ['too many', 'too many', 'too many']);
  t.same(await Promise.all(all.slice(0, -3)), Array.from({ length: 9_998 }, (_, index) => index));
  t.equal(counters.evicted.tickets, 2);
});
