import t from 'tap';
import { DelayedClose } from '../../src/delivery/delayed-close.ts';
import { settle, TestClock } from '../support/clock.ts';

/** What a closed connection leaves behind is done in the same turn of the event loop, and takes longer than telling it to close. */
t.test('a connection is closed a tick or two after its last frame; of many, few in each turn, unless there is no other turn', async (t) => {
  const clock = new TestClock();
  const delayed = new DelayedClose(clock);
  let closed = 0;
  const add = (count: number): void => {
    for (let connection = 0; connection < count; connection++) {
      delayed.add({ destroySoon: () => {
        closed++;
        clock.spend(0.1);
      } });
    }
  };
  add(100);
  delayed.tick();
  t.equal(closed, 0);
  delayed.tick();
  t.ok(closed > 0 && closed <= 10, `${closed} in one turn`);
  while (closed < 100) await settle();
  add(100);
  delayed.finish();
  t.equal(closed, 200);
});
