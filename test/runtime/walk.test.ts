import t from 'tap';
import { Walk } from '../../src/runtime/walk.ts';
import { settle, TestClock } from '../support/clock.ts';

const NUMBERS = Array.from({ length: 20 }, (_, index) => index);

t.test('all are visited, some in each turn; begun during a walk, one more follows it, however often that is', async (t) => {
  const clock = new TestClock();
  const visited: number[] = [];
  const walk = new Walk({ clock, items: () => NUMBERS, visit: (number) => {
    clock.spend(1);
    visited.push(number);
  } });
  walk.begin();
  t.ok(visited.length > 0 && visited.length < NUMBERS.length, `${visited.length} in the first turn`);
  for (let times = 0; times < 3; times++) walk.begin();
  await settle();
  t.same(visited, [...NUMBERS, ...NUMBERS]);
  walk.begin();
  await settle();
  t.equal(visited.length, 3 * NUMBERS.length);
});
