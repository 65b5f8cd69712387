import t from 'tap';
import { Random } from '../support/fleet-random.ts';
import type { FaultKind } from './faults.ts';
import { EVERYTHING, schedule, type Step } from './schedule.ts';

const POSSIBLE = [
  { kind: 'instance killed', targets: ['instance 1', 'instance 2'], longest: 5_000 },
  { kind: 'instance frozen', targets: ['instance 1', 'instance 2'], longest: 20_000 },
  { kind: 'Redis restarted', targets: ['Redis'], longest: 10_000 },
  { kind: 'Redis paused', targets: ['Redis'], longest: 10_000 },
  { kind: 'network cut', targets: ['a link'], longest: 5_000 },
  { kind: 'database loses its newest epoch', targets: [EVERYTHING], longest: 4_000 },
] as const satisfies { readonly kind: FaultKind; readonly targets: readonly string[]; readonly longest: number }[];

function steps(seed: number, count: number): Step[] {
  const all = schedule({ random: new Random(seed), possible: POSSIBLE, longest: 8_000 });
  return Array.from({ length: count }, () => all.next().value);
}

t.test('a seed decides what goes wrong, where, and for how long', async (t) => {
  t.same(steps(1, 200), steps(1, 200));
  t.notSame(steps(1, 200), steps(2, 200));
});

t.test('a round has each kind once: one that had to wait for its target does not wait for the next round', async (t) => {
  for (let seed = 1; seed <= 200; seed++) {
    const faults = steps(seed, 20).flatMap((step) => step.faults).map(({ kind }) => kind);
    const round = new Set(faults.slice(0, POSSIBLE.length + 1));
    if (round.size !== POSSIBLE.length) t.fail(`seed ${seed}: ${faults.join(', ')}`);
  }
});

t.test('each kind comes as often as the others, none lasts too long, and two at once have two targets', async (t) => {
  const all = steps(3, 2_000);
  const faults = all.flatMap((step) => step.faults);
  for (const { kind, longest } of POSSIBLE) {
    const some = faults.filter((fault) => fault.kind === kind);
    t.ok(Math.abs(some.length - faults.length / POSSIBLE.length) <= 2, `${kind}: ${some.length} of ${faults.length}`);
    t.ok(some.every(({ milliseconds }) => milliseconds > 0 && milliseconds < Math.min(longest, 8_000)));
  }
  const doubles = all.filter((step) => step.faults.length === 2);
  t.ok(doubles.length > 0);
  t.same(doubles.filter(({ faults: [one, other] }) => one!.target === other!.target), []);
  t.same(doubles.filter(({ faults: both }) => both.some(({ target }) => target === EVERYTHING)), [], 'what happens to everything happens alone');
});
