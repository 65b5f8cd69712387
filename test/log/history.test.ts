import { t } from 'tap';
import { Audience } from '../../src/delivery/audience.ts';
import { Catchup } from '../../src/delivery/catchup.ts';
import { Fanout } from '../../src/delivery/fanout.ts';
import { History } from '../../src/log/history.ts';
import { Starts, type StartRequest } from '../../src/log/start.ts';
import { StoreClock } from '../../src/log/store-clock.ts';
import { Tail } from '../../src/log/tail.ts';
import { Filter } from '../../src/model/topic.ts';
import { Counters } from '../../src/runtime/counters.ts';
import { settle, TestClock } from '../support/clock.ts';
import { quietLogger } from '../support/logger.ts';
import { MemoryStore } from '../support/memory-store.ts';
import type { Scope } from '../support/temp.ts';

async function begin(t: Scope) {
  const store = new MemoryStore();
  await store.open();
  const clock = new TestClock();
  const storeClock = new StoreClock(clock);
  const counters = new Counters();
  const tail = new Tail({ store, clock, storeClock, counters, logger: quietLogger, maxBytes: 1_000_000, pollMs: 60_000 });
  const audience = new Audience();
  const catchup = new Catchup({ store, tail, clock, storeClock, counters, logger: quietLogger });
  await tail.start(store.log(), new Fanout({ tail, audience, catchup, clock, storeClock, counters }));
  t.teardown(() => {
    tail.stop();
    catchup.stop();
  });
  const starts = new Starts({ store, tail, storeClock });
  const history = new History({ store, tail, audience, starts, clock, storeClock, maxWaiting: 10 });
  const page = (wait = 0, start: StartRequest = { kind: 'start' }) => history.page({ filter: new Filter(['a']), start, limit: 100, wait, signal: new AbortController().signal });
  return { store, tail, history, audience, page };
}

t.test('a page shows what another instance has committed, before this one has heard of it', async (t) => {
  const { store, tail, page } = await begin(t);
  tail.offer([store.commit({ topic: 'a' })]);
  store.commit({ topic: 'a' });
  t.equal(tail.last, 1);
  const { messages, more, cursor } = await page(0, { kind: 'after', position: tail.position });
  t.same(messages.map(({ seq }) => seq), [2]);
  t.equal(more, false);
  t.match(cursor, /-2$/);
  t.same((await page()).messages.map(({ seq }) => seq), [1, 2]);
});

t.test('many long polls are answered from memory, without a read each', async (t) => {
  const { store, tail, history, audience, page } = await begin(t);
  tail.offer([store.commit({ topic: 'b' })]);
  const polls = Array.from({ length: 10 }, () => page(30_000));
  await settle();
  t.equal(history.waiting, 10);
  const reads = store.reads.length;
  tail.offer([store.commit({ topic: 'b' }), store.commit({ topic: 'a' })]);
  for (const { messages } of await Promise.all(polls)) t.same(messages.map(({ seq }) => seq), [3]);
  t.equal(store.reads.length, reads);
  t.equal(history.waiting, 0);
  t.equal(audience.size, 0, 'nothing stays in the index');
});
