import t from 'tap';
import { Counters } from '../../src/runtime/counters.ts';
import { type Charge, enough, type Evictable, FairShares, type Holder } from '../../src/runtime/sharing/fair-shares.ts';
import { TestClock } from '../support/clock.ts';
import { rounds } from '../support/rounds.ts';

function begin({ clock }: { readonly clock?: TestClock } = {}) {
  const counters = new Counters();
  const shares = new FairShares({ gate: 'bodies', counters, ...(clock === undefined ? {} : { clock }) });
  const lost: string[] = [];
  const hold = (name: string, holder: Holder, amount = 1, progress?: () => number): Charge => shares.charge(holder, amount, { takeBack: () => void lost.push(name), ...(progress === undefined ? {} : { progress }) });
  return { shares, counters, lost, hold };
}

t.test('the largest holder loses its newest part, and keeps no less than a newcomer gets', (t) => {
  const { shares, counters, lost, hold } = begin();
  const connection = {};
  for (let index = 0; index < 8; index++) hold(`large ${index}`, ['a', connection]);
  hold('small', ['b', {}]);
  const newcomer: Holder = ['c', {}];
  t.ok(shares.makeRoom(newcomer, 1));
  t.same([lost, shares.total, counters.evicted.bodies], [['large 7'], 8, 1]);
  hold('new 0', newcomer);
  for (let index = 1; shares.makeRoom(newcomer, 1); index++) hold(`new ${index}`, newcomer);
  t.same(lost, ['large 7', 'large 6', 'large 5'], 'until both have about as much');
  t.notOk(shares.makeRoom(['a', connection], 1), 'nor does the largest take anything from others');
  t.notOk(shares.makeRoom(['a', {}], 16), 'or a newcomer that wants as much as there is');
  t.end();
});

t.test('holders are compared level by level: many connections of one sender are one sender', (t) => {
  const { shares, lost, hold } = begin();
  for (let index = 0; index < 20; index++) hold('a', ['a', {}]);
  for (let index = 0; index < 4; index++) hold('b', ['b', 'one connection']);
  t.notOk(shares.makeRoom(['a', {}], 1), 'the sender with most gets nothing of a smaller one that has a larger connection');
  t.ok(shares.makeRoom(['c', {}], 1));
  t.same(lost, ['a']);
  // All come from one address, as behind a balancer: connections are compared.
  const behind = begin();
  for (let index = 0; index < 100; index++) behind.hold(`greedy ${index % 2}`, ['balancer', `connection ${index % 2}`]);
  t.ok(behind.shares.makeRoom(['balancer', {}], 1));
  t.match(behind.lost, [/greedy/]);
  t.notOk(behind.shares.makeRoom(['balancer', 'connection 0'], 1));
  t.end();
});

t.test('a shared credential is compared by address, then by connection', (t) => {
  const { shares, lost, hold } = begin();
  for (let index = 0; index < 9; index++) hold('greedy', ['key:k', 'address:1', {}]);
  hold('other', ['key:k', 'address:2', {}]);
  t.ok(shares.makeRoom(['key:k', 'address:2', {}], 1));
  t.ok(shares.makeRoom(['key:k', 'address:3', {}], 1));
  t.same(lost, ['greedy', 'greedy']);
  t.end();
});

t.test('a pinned part counts and is not taken back', (t) => {
  const { shares, lost, hold } = begin();
  const pinned = Array.from({ length: 8 }, () => hold('pinned', ['a', 'connection']));
  for (const share of pinned) share.pin();
  t.notOk(shares.makeRoom(['b', {}], 1));
  t.notOk(shares.makeRoom(['a', 'connection'], 1));
  for (let index = 0; index < 4; index++) hold('loose', ['c', {}]);
  t.ok(shares.makeRoom(['b', {}], 1));
  t.notOk(shares.makeRoom(['a', {}], 1), 'a holder of much that is pinned takes nothing from a smaller one');
  t.same([lost, shares.total], [['loose'], 11]);
  t.end();
});

t.test('what stands still makes room where nobody holds more, and what moves does not', (t) => {
  const clock = new TestClock();
  const { shares, lost, hold } = begin({ clock });
  let taken = 0;
  const moving = hold('grows', ['a', {}], 8);
  hold('is taken', ['a', {}], 8, () => taken);
  hold('stands', ['a', {}], 8);
  t.notOk(shares.makeRoom(['a', {}], 8), 'nothing has stood for long');
  clock.spend(1_000);
  moving.grow(1);
  taken++;
  t.ok(shares.makeRoom(['a', {}], 8));
  t.same(lost, ['stands']);
  t.notOk(shares.makeRoom(['a', {}], 8));
  clock.spend(1_000);
  moving.grow(1);
  t.ok(shares.makeRoom(['a', {}], 8));
  t.same(lost, ['stands', 'is taken']);
  t.end();
});

t.test('holders take turns, regardless of size, and of each the oldest comes first', (t) => {
  const { shares, hold } = begin();
  const order: string[] = [];
  const held = new Map<Evictable, { readonly name: string; readonly share: Charge }>();
  const add = (name: string, holder: Holder): void => {
    const holding = { takeBack: () => undefined };
    held.set(holding, { name, share: shares.charge(holder, 1, holding) });
  };
  hold('runs', ['a', '2']).pin();
  for (let index = 0; index < 4; index++) add(`a${index}`, ['a', String(index % 2)]);
  add('b0', ['b', '1']);
  add('b1', ['b', '1']);
  for (let next = shares.next(); next !== undefined; next = shares.next()) {
    const { name, share } = held.get(next)!;
    order.push(name);
    share.release();
  }
  t.same(order, ['a0', 'b0', 'a1', 'b1', 'a2', 'a3']);
  t.end();
});

t.test('it agrees with a plain count, and released parts leave nothing', (t) => {
  let seed = 7;
  const random = (below: number): number => (seed = seed * 48_271 % 2_147_483_647) % below;
  const { shares } = begin();
  const held = new Map<Charge, { holder: Holder; amount: number; isPinned: boolean }>();
  for (let step = 0; step < rounds(3_000, 30_000, 1_000); step++) {
    const holder: Holder = random(2) === 0 ? [`sender ${random(3)}`, `connection ${random(4)}`] : [`key ${random(3)}`, `address ${random(2)}`, `connection ${random(4)}`];
    const [any] = [...held.keys()].slice(random(held.size + 1));
    switch (random(6)) {
      case 0: case 1: {
        const amount = 1 + random(1_000);
        const share = shares.charge(holder, amount, { takeBack: () => t.ok(held.delete(share)) });
        held.set(share, { holder, amount, isPinned: false });
        break;
      }
      case 2:
        any?.release();
        if (any !== undefined) held.delete(any);
        break;
      case 3:
        any?.pin();
        if (any !== undefined) held.get(any)!.isPinned = true;
        break;
      case 4: {
        const missing = 1 + random(4_000);
        const [before, parts] = [shares.total, held.size];
        const mayHave = shares.couldMakeRoom(holder, 1, enough(missing));
        if (shares.total !== before || held.size !== parts) t.fail('a question takes nothing');
        if (shares.makeRoom(holder, 1, enough(missing)) !== mayHave) t.fail('the answer was another one');
        if (mayHave ? before - shares.total < missing : shares.total !== before || held.size !== parts) t.fail('not enough, or in vain');
        break;
      }
      default: {
        const senderOf = (name: unknown, isPinned?: boolean): number => [...held.values()].filter((one) => one.holder[0] === name && (isPinned === undefined || one.isPinned === isPinned)).reduce((sum, one) => sum + one.amount, 0);
        const most = Math.max(0, ...[...held.values()].map((one) => senderOf(one.holder[0], false)));
        const wanted = senderOf(holder[0]) + 1;
        const isGranted = shares.makeRoom(holder, 1);
        if (2 * wanted < most && !isGranted) t.fail('the largest has twice as much, and makes no room');
      }
    }
    if (shares.total !== [...held.values()].reduce((sum, { amount }) => sum + amount, 0)) t.fail('the sum');
  }
  for (const share of held.keys()) share.release();
  t.equal(shares.total, 0);
  t.notOk(shares.makeRoom(['x'], 1));
  t.end();
});
