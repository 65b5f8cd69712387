import { t } from 'tap';
import { Budget, Hold } from '../../src/runtime/sharing/budget.ts';
import { Counters } from '../../src/runtime/counters.ts';
import type { Holder } from '../../src/runtime/sharing/fair-shares.ts';
import { TestClock } from '../support/clock.ts';

function begin(maxBytes: number) {
  const counters = new Counters();
  const clock = new TestClock();
  const budget = new Budget(maxBytes, { gate: 'bodies', counters, clock });
  const lost: string[] = [];
  const loose = (name: string, holder: Holder, waitsForUs = false): Hold => {
    const hold = new Hold(budget, holder);
    hold.loosen({ waitsForUs, takeBack: () => void lost.push(`${name} ${hold.bytes}`) });
    return hold;
  };
  return { budget, counters, clock, lost, loose };
}

t.test('past the bound the largest holder loses its newest hold, which counts for nothing before its holder is told', (t) => {
  const { budget, counters, lost, loose } = begin(100);
  const connection = {};
  const [first, second] = [loose('first', ['a', connection]), loose('second', ['a', connection])];
  t.ok(first.grow(40) && second.grow(60));
  const small = loose('small', ['b', {}]);
  t.ok(small.grow(10));
  t.same([lost, budget.heldBytes, counters.evicted.bodies], [['second 0'], 50, 1]);
  t.same([second.isTakenBack, second.grow(1)], [true, false], 'it gets no room again');
  second.release();
  t.equal(budget.heldBytes, 50);
  t.notOk(loose('as large', ['c', {}]).grow(60), 'nobody makes room for who would hold as much');
  first.release();
  small.release();
  t.equal(budget.heldBytes, 0);
  t.end();
});

t.test('pinned bytes are not taken back, from the start or from then on, and loosened ones are', (t) => {
  const { budget, lost, loose } = begin(100);
  const pinned = new Hold(budget, ['a', {}]);
  const whole = loose('whole', ['b', {}]);
  t.ok(pinned.grow(50) && whole.grow(50));
  whole.pin();
  t.notOk(loose('newcomer', ['c', {}]).grow(1));
  pinned.loosen({ takeBack: () => void lost.push('waits') });
  t.ok(loose('newcomer', ['c', {}]).grow(1));
  t.same([lost, whole.bytes, budget.heldBytes], [['waits'], 50, 51]);
  t.end();
});

t.test('bytes that a hold gives back are free for others, and it competes with the rest', (t) => {
  const { budget, lost, loose } = begin(100);
  const [large, other] = [loose('large', ['a', {}]), loose('other', ['b', {}])];
  t.ok(large.grow(70) && other.grow(30));
  large.shrinkTo(4);
  t.ok(large.grow(0) && loose('third', ['c', {}]).grow(60));
  t.same([lost, budget.heldBytes], [[], 94]);
  t.ok(loose('fourth', ['d', {}]).grow(10));
  t.same(lost, ['third 0'], 'the one that holds most now');
  t.end();
});

t.test('nobody loses anything to a newcomer that is refused in any case', (t) => {
  const { budget, counters, lost, loose } = begin(100);
  new Hold(budget, ['pinned', {}]).grow(60);
  const connection = {};
  const parts = [loose('older', ['a', connection]), loose('newer', ['a', connection])];
  for (const part of parts) t.ok(part.grow(20));
  t.notOk(loose('newcomer', ['b', {}]).grow(25), 'without its newest, a has less than the newcomer would');
  t.same([lost, counters.evicted.bodies, budget.heldBytes], [[], 0, 100]);
  t.ok(loose('smaller', ['b', {}]).grow(15));
  t.same(lost, ['newer 0'], 'its newest is still its newest');
  const over = new Hold(budget, ['c', {}]);
  over.mustGrow(50);
  t.notOk(budget.isWithinBound(['d', {}]));
  t.same(lost, ['newer 0'], 'it is the same where the bound is exceeded by more than can be taken back');
  t.end();
});

t.test('what stands still stays if it is not enough, and makes room for less', (t) => {
  const { budget, clock, lost, loose } = begin(100);
  new Hold(budget, ['pinned', {}]).grow(70);
  t.ok(loose('stands', ['a', {}]).grow(30));
  clock.spend(1_000);
  t.notOk(loose('newcomer', ['c', {}]).grow(50));
  t.same(lost, []);
  t.ok(loose('newcomer', ['c', {}]).grow(30));
  t.same(lost, ['stands 0']);
  t.end();
});

t.test('what stands still makes room for as much, unless it is the service that it waits for', (t) => {
  const { clock, lost, loose } = begin(100);
  t.ok(loose('waits for us', ['a', {}], true).grow(50) && loose('stands', ['b', {}]).grow(50));
  const newcomer = loose('newcomer', ['c', {}]);
  t.notOk(newcomer.grow(50));
  clock.spend(1_000);
  t.ok(newcomer.grow(50));
  newcomer.pin();
  clock.spend(1_000);
  t.notOk(loose('another', ['d', {}]).grow(50));
  t.same(lost, ['stands 0']);
  t.end();
});

t.test('bytes that cannot be refused may exceed the bound: then the largest holders make room, and nothing else may grow', (t) => {
  const { budget, lost, loose } = begin(100);
  const [kept, answer] = [loose('kept', ['a', {}]), loose('answer', ['b', {}])];
  t.ok(kept.grow(40));
  answer.mustGrow(90);
  t.equal(budget.heldBytes, 130);
  t.ok(kept.grow(0));
  t.ok(budget.isWithinBound(['c', {}]));
  t.same([lost, budget.heldBytes], [['answer 0'], 40]);
  const pinned = new Hold(budget, ['d', {}]);
  pinned.mustGrow(200);
  t.notOk(budget.isWithinBound(['c', {}]), 'what is pinned makes none');
  t.end();
});
