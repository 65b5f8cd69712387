import { t, type Test } from 'tap';
import { Starts, type StartOptions } from '../../src/log/history/start-position.ts';
import { StoreClock } from '../../src/log/tail/store-clock.ts';
import { Tail } from '../../src/log/tail/tail.ts';
import { WalkTurns } from '../../src/log/history/walk-turns.ts';
import { Problem } from '../../src/model/problem.ts';
import { Filter } from '../../src/model/topic.ts';
import { CallLimiter } from '../../src/runtime/sharing/call-limiter.ts';
import { Counters } from '../../src/runtime/counters.ts';
import { tooManyWait } from '../../src/store/change-problem.ts';
import { settle, TestClock } from '../support/clock.ts';
import { quietLogger } from '../support/logger.ts';
import { MemoryStore } from '../support/memory-store.ts';

const EVERYTHING: StartOptions = { filter: new Filter(['>']), hasLeft: () => false };

/** A log of five messages as an instance sees it, with one place for reads. */
async function begin(t: Test): Promise<{ readonly store: MemoryStore; readonly tail: Tail; readonly starts: Starts; readonly started: Promise<void> }> {
  const store = new MemoryStore();
  await store.open();
  for (let count = 0; count < 5; count++) store.commit();
  const clock = new TestClock();
  const storeClock = new StoreClock(clock);
  const tail = new Tail({ store, clock, storeClock, counters: new Counters(), logger: quietLogger, maxBytes: 1_000_000, pollMs: 1000 });
  t.teardown(() => tail.stop());
  const starts = new Starts({ store, tail, storeClock, reads: new CallLimiter({ places: 1, maxWaiting: 3, refusal: tooManyWait, gate: 'reads', counters: new Counters() }), walks: new WalkTurns({ clock, counters: new Counters() }) });
  const started = tail.open(store.log(), { append: () => undefined, moveEnd: (change) => change(), epochAdded: () => undefined, erased: () => undefined });
  return { store, tail, starts, started };
}

t.test('now is the head of the log, also while a new instance still fills its tail', async (t) => {
  const { store, tail, starts, started } = await begin(t);
  t.ok(starts.isReady);
  t.equal(tail.length, 0, 'nothing has been read yet');
  t.equal((await starts.resolve({ kind: 'now' }, EVERYTHING)).at.seq, 5);
  await started;
  tail.offer([store.commit()]);
  t.equal((await starts.resolve({ kind: 'now' }, EVERYTHING)).at.seq, 6);
});

t.test('who asks for a place by its time waits for a few such questions of others, and beyond a bound who asks most is refused', async (t) => {
  const { store, starts, started } = await begin(t);
  await started;
  const answers: (() => void)[] = [];
  const seek = store.seek.bind(store);
  store.seek = async (time) => {
    await new Promise<void>((answer) => void answers.push(answer));
    return seek(time);
  };
  const order: string[] = [];
  const ask = (name: string): Promise<unknown> => starts.resolve({ kind: 'since', time: 0 }, { ...EVERYTHING, holder: () => [name] }).then(() => order.push(name), (error: unknown) => order.push(`${name}: ${error instanceof Problem ? error.code : String(error)}`));
  const all = [...Array.from({ length: 4 }, () => ask('greedy')), ask('other')];
  await settle();
  t.equal(answers.length, 1, 'one at a time');
  for (let count = 0; count < 4; count++) {
    answers[count]!();
    await settle();
  }
  await Promise.all(all);
  t.equal(answers.length, 4);
  t.same(order.slice(0, 2), ['greedy: overloaded', 'greedy']);
  t.ok(order.indexOf('other') < order.lastIndexOf('greedy'), 'clients take turns');
});
