import t from 'tap';
import { Slices } from '../../src/runtime/slices.ts';
import { settle, TestClock } from '../support/clock.ts';

/** A piece of work of so many steps, each of which takes a millisecond. */
async function work(slices: Slices, clock: TestClock, steps: number, done: () => void): Promise<void> {
  await slices.enter();
  for (let step = 0; step < steps; step++) {
    clock.spend(1);
    if (slices.isOver) await slices.pause();
  }
  done();
  slices.leave();
}

t.test('many short pieces take no more of a turn of the event loop than one long piece does', async (t) => {
  const clock = new TestClock();
  const slices = new Slices(clock);
  const all = Promise.all(Array.from({ length: 40 }, () => work(slices, clock, 1, () => undefined)));
  const taken: number[] = [];
  for (let before = 0; clock.monotonic() < 40; before = clock.monotonic()) {
    await new Promise((done) => void setImmediate(done));
    taken.push(clock.monotonic() - before);
  }
  await all;
  // The first has what was done at once, too.
  t.ok(taken.slice(1).every((milliseconds) => milliseconds <= 4), `${taken.join(', ')} ms of each turn`);
  t.ok(taken.length <= 12, 'and no turn is wasted');
});

t.test('a short piece waits for a slice of each long one before it, and not for their ends', async (t) => {
  const clock = new TestClock();
  const slices = new Slices(clock);
  const ended: string[] = [];
  const all = [100, 100, 1, 100].map((steps, index) => work(slices, clock, steps, () => {
    ended.push(`${index} at ${clock.monotonic()} ms`);
  }));
  await Promise.all(all);
  t.match(ended, [/^2 at 9 ms$/, /^0 /, /^1 /, /^3 /]);
});

t.test('where nobody waits, a piece works at once, in any turn', async (t) => {
  const clock = new TestClock();
  const slices = new Slices(clock);
  for (let round = 0; round < 3; round++) {
    let isDone = false;
    void work(slices, clock, 3, () => {
      isDone = true;
    });
    await Promise.resolve();
    t.ok(isDone);
    await settle();
    clock.spend(10);
  }
});
