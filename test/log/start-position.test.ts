import { t } from 'tap';
import { CallLimiter } from '../../src/log/call-limiter.ts';
import { Starts, type StartOptions } from '../../src/log/start-position.ts';
import { StoreClock } from '../../src/log/store-clock.ts';
import { Tail } from '../../src/log/tail.ts';
import { Filter } from '../../src/model/topic.ts';
import { Counters } from '../../src/runtime/counters.ts';
import { TestClock } from '../support/clock.ts';
import { quietLogger } from '../support/logger.ts';
import { MemoryStore } from '../support/memory-store.ts';

const EVERYTHING: StartOptions = { filter: new Filter(['>']), hasLeft: () => false };

t.test('now is the head of the log, also while a new instance still fills its tail', async (t) => {
  const store = new MemoryStore();
  await store.open();
  for (let count = 0; count < 5; count++) store.commit();
  const clock = new TestClock();
  const storeClock = new StoreClock(clock);
  const tail = new Tail({ store, clock, storeClock, counters: new Counters(), logger: quietLogger, maxBytes: 1_000_000, pollMs: 1000 });
  t.teardown(() => tail.stop());
  const starts = new Starts({ store, tail, storeClock, reads: new CallLimiter({ places: 1, maxWaiting: 1, gate: 'reads', counters: new Counters() }) });
  const started = tail.open(store.log(), { append: () => undefined, moveEnd: (change) => change(), epochAdded: () => undefined, erased: () => undefined });
  t.ok(starts.isReady);
  t.equal(tail.length, 0, 'nothing has been read yet');
  t.equal((await starts.resolve({ kind: 'now' }, EVERYTHING)).at.seq, 5);
  await started;
  tail.offer([store.commit()]);
  t.equal((await starts.resolve({ kind: 'now' }, EVERYTHING)).at.seq, 6);
});
