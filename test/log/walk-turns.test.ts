import { t } from 'tap';
import { WalkTurns } from '../../src/log/history/walk-turns.ts';
import { Counters } from '../../src/runtime/counters.ts';
import type { Holder } from '../../src/runtime/sharing/fair-shares.ts';
import { settle, TestClock } from '../support/clock.ts';

/** Walks of many requests. Each takes a millisecond of the test's clock. */

const GREEDY: Holder = ['address:203.0.113.1'];
const OTHER: Holder = ['address:198.51.100.1'];
/** Four fit into a turn of the event loop. */
const TURN_WALKS = 4;

function begin() {
  const clock = new TestClock();
  const turns = new WalkTurns({ clock, counters: new Counters() });
  const taken: string[] = [];
  const walk = (name: string, holder: Holder): string | Promise<string> => turns.pass(() => {
    taken.push(name);
    clock.spend(1);
    return name;
  }, holder);
  return { clock, turns, taken, walk };
}

t.test('walks are taken at once while a turn has time for them, and the rest in the next turns', async (t) => {
  const { walk, taken } = begin();
  const all = Array.from({ length: 3 * TURN_WALKS }, (_, index) => walk(`${index}`, GREEDY));
  t.same(all.slice(0, TURN_WALKS), ['0', '1', '2', '3']);
  t.equal(taken.length, TURN_WALKS);
  await new Promise((done) => setImmediate(done));
  t.ok(taken.length <= 2 * TURN_WALKS, 'no turn takes more');
  t.same(await Promise.all(all.map(async (one) => one)), taken, 'each has its own answer, in the order of its client');
  t.equal(taken.length, 3 * TURN_WALKS);
});

t.test("300 walks of one client stand before another client's one for a few of them", async (t) => {
  const { walk, taken } = begin();
  const greedy = Array.from({ length: 300 }, (_, index) => walk(`greedy ${index}`, GREEDY));
  await walk('other', OTHER);
  t.ok(taken.indexOf('other') <= TURN_WALKS + 1, `${taken.indexOf('other')} walks came before it`);
  await Promise.all(greedy.map(async (one) => one));
  t.equal(taken.length, 301, 'and nobody starves');
});

t.test('a walk that fails is its own caller\'s alone', async (t) => {
  const { clock, turns, walk } = begin();
  const all = Array.from({ length: TURN_WALKS }, (_, index) => walk(`${index}`, GREEDY));
  const failed = turns.pass(() => {
    clock.spend(1);
    throw new Error('so it is');
  }, GREEDY);
  const next = walk('next', GREEDY);
  await t.rejects(Promise.resolve(failed), { message: 'so it is' });
  t.equal(await next, 'next');
  await Promise.all(all.map(async (one) => one));
  await settle();
  t.equal(walk('later', OTHER), 'later', 'nobody waits any more');
});
