import t from 'tap';
import { check } from './checker.ts';
import { FOUND } from './found.ts';
import { report, scheduleOf, search } from './search.ts';
import { simulate } from './simulation.ts';

/** The seeds that are always tried: the same ones, so that a change is what makes a difference. */
const SEEDS = 2000;
const BATCH = 200;

for (let first = 1; first <= SEEDS; first += BATCH) {
  t.test(`every invariant holds, whatever goes wrong: seeds ${first} to ${first + BATCH - 1}`, async (t) => {
    const reports: string[] = [];
    for (let seed = first; seed < first + BATCH; seed++) {
      const failure = await search(seed);
      if (failure === undefined) continue;
      // One is enough to work on: the others would take long to shrink, and mostly show the same.
      reports.push(report(failure));
      break;
    }
    t.same(reports, []);
  });
}

t.test('a seed gives the same run again, to the last happening', async (t) => {
  for (const seed of [3, 5, 29]) {
    const [one, other] = [await simulate(scheduleOf(seed)), await simulate(scheduleOf(seed))];
    t.same([other.digest, other.happened, other.run], [one.digest, one.happened, one.run], `seed ${seed}`);
  }
});

for (const [what, schedule] of FOUND) {
  t.test(`found once, and mended: ${what}`, async (t) => {
    t.same(check((await simulate(schedule)).run), []);
  });
}
