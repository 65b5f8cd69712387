import t from 'tap';
import { InTurns } from '../../src/runtime/in-turns.ts';
import { settle, TestClock } from '../support/clock.ts';

const NUMBERS = Array.from({ length: 100 }, (_, index) => index);

t.test('work that takes no time is done at once', async (t) => {
  const done: number[] = [];
  new InTurns(new TestClock()).forEach(NUMBERS, (number) => void done.push(number));
  t.same(done, NUMBERS);
});

t.test('work that takes time leaves turns to others; rounds come one after the other, and nothing is left out', async (t) => {
  const clock = new TestClock();
  const turns = new InTurns(clock);
  const done: number[] = [];
  const act = (number: number): void => {
    clock.spend(1);
    done.push(number);
  };
  turns.forEach(NUMBERS.slice(0, 10), act);
  turns.forEach(NUMBERS.slice(10, 20), act);
  t.same(done, NUMBERS.slice(0, 4), 'the first turn');
  await settle();
  t.same(done, NUMBERS.slice(0, 20));
  turns.forEach(NUMBERS.slice(20), act);
  turns.finish();
  t.same(done, NUMBERS, 'all of it, now');
  await settle();
  t.same(done, NUMBERS);
});
