import { randomInt } from 'node:crypto';
import { rounds } from '../support/rounds.ts';
import { check } from './checker.ts';
import { FOUND, MISJUDGED } from './found.ts';
import { report, scheduleOf, searchRange } from './search.ts';
import { simulate } from './simulation.ts';

/** The seeds that are always tried, from 1 on: the same ones, so that a change is what makes a difference. */
const SEEDS = rounds(400, 10_000, 200);
const BATCH = 200;
/** Seeds that nobody has tried: others in each run. The test's name says which, so that a failure can be repeated with `npm run simulate`. */
const FRESH_SEEDS = rounds(200, 3_000, 50);

const seeds = Array.from({ length: SEEDS / BATCH }, (_, index) => index * BATCH + 1).map((first) => [first, first + BATCH - 1] as const);
const fresh = randomInt(SEEDS + 1, 2 ** 31 - FRESH_SEEDS);

// They are played before tap is there. It follows every promise, and in a simulation that is as much work again as the simulation.
const played = new Map<string, string[]>();
for (const [first, last] of [...seeds, [fresh, fresh + FRESH_SEEDS - 1] as const]) {
  const failure = await searchRange(first, last);
  played.set(`seeds ${first} to ${last}`, failure === undefined ? [] : [report(failure)]);
}
const { default: t } = await import('tap');

for (const [which, reports] of played) {
  t.test(`every invariant holds under all faults: ${which}`, async (t) => {
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

for (const [what, schedule] of MISJUDGED) {
  t.test(`misjudged once, and held: ${what}`, async (t) => {
    t.same(check((await simulate(schedule)).run), []);
  });
}
