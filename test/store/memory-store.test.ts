import t from 'tap';
import { believedClock } from '../contract/store-clock.ts';
import { MemoryStore } from '../support/memory-store.ts';

// The simulation finds mistakes with clocks only if the log in memory believes them as the databases do.
t.test('memory: the believed clock', (t) => believedClock(t, async () => {
  const store = new MemoryStore();
  return {
    store: () => store,
    clockJumped: async (milliseconds) => void (store.now += milliseconds),
  };
}));
