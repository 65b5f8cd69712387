import { t } from 'tap';
import { Audience } from '../../src/delivery/audience.ts';
import type { Group } from '../../src/delivery/reader-group.ts';
import { indexedBytes } from '../../src/model/filter-index.ts';
import { FULL_GRANT } from '../../src/model/grant.ts';
import { Filter } from '../../src/model/topic.ts';
import { Budget, Hold } from '../../src/runtime/budget.ts';
import { heldBytes } from '../support/garbage.ts';
import { begin } from '../support/spine.ts';
import { until } from '../support/until.ts';

const KIB = 1024;

/** A filter of a hundred topics, each as long as it may be. */
function long(index: number): Filter {
  return new Filter(Array.from({ length: 100 }, (_, topic) => `${index}.${topic}.`.padEnd(245, 'x')));
}

t.test('filters of many topics have a bound, and a client with a topic or two is let in in spite of it', (t) => {
  const audience = new Audience({ maxFilterBytes: 402 * KIB });
  const groups: Group[] = [];
  while (audience.hasRoomFor(long(groups.length))) groups.push(audience.join(long(groups.length)));
  t.equal(groups.length, 3);
  t.ok(audience.filterBytes <= 402 * KIB);
  t.ok(audience.hasRoomFor(long(1)), 'one that is there is held once');
  for (const names of [['a'], ['a'.repeat(255)], ['orders.*'], ['orders.>', 'users.7']]) t.ok(audience.hasRoomFor(new Filter(names)), names.join());
  t.notOk(audience.hasRoomFor(new Filter(['*.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p'])), 'a deep pattern may take as many nodes as it has segments');
  audience.leave(groups[0]!);
  t.ok(audience.hasRoomFor(long(4)));
  for (const group of groups) audience.leave(group);
  t.equal(audience.filterBytes, 0);
  t.end();
});

/** Kinds of names, from the longest to those that make the most nodes of the tree of patterns. */
const KINDS: Readonly<Record<string, (filter: number, name: number) => string>> = {
  'long topics': (filter, name) => `${filter}.${name}.`.padEnd(245, 'x'),
  'long topics beyond Latin-1': (filter, name) => `${filter}.${name}.`.padEnd(240, 'x') + '€',
  'short topics': (filter, name) => `t${filter}x${name}`,
  'long patterns': (filter, name) => `${filter}.${name}.${'y'.repeat(230)}.>`,
  'pairs of patterns that part at their ends': (filter, name) => `*.${filter}.${name >> 1}.d.e.f.g.h.i.j.k.l.m.n.${name}.z`,
  'the same with wildcards': (filter, name) => `${filter}.${name >> 1}.*.*.*.*.*.*.i.j.k.l.m.n.${name}.z`,
};

t.test('a filter counts at least its own size', (t) => {
  for (const [kind, nameOf] of Object.entries(KINDS)) {
    const audience = new Audience({ maxFilterBytes: Infinity });
    const groups: Group[] = [];
    let counted = 0;
    const before = heldBytes('heapUsed');
    for (let filter = 0; filter < 100; filter++) {
      const group = audience.join(new Filter(Array.from({ length: 100 }, (_, name) => Buffer.from(nameOf(filter, name)).toString())));
      // Catch-up asks the filter itself, which makes a tree of its own.
      group.filter.matches('a.b');
      groups.push(group);
      counted += indexedBytes(group.filter);
    }
    const taken = heldBytes('heapUsed') - before;
    t.ok(taken < counted, `${kind}: ${Math.round(taken / groups.length)} bytes, and ${Math.round(counted / groups.length)} count`);
    t.ok(counted < 4 * taken, `${kind}: it counts for no more than four times as much`);
  }
  t.end();
});

t.test('a long poll with many topics is refused where others have taken the room for them, and one with a topic waits', async (t) => {
  const { audience, longPolls } = await begin(t, { filterBytes: 200 * KIB });
  audience.join(long(1));
  const end = new AbortController();
  const page = (filter: Filter) => longPolls.page({ grant: FULL_GRANT, filter, start: { kind: 'now' }, limit: 1, wait: 1000, signal: end.signal, hold: new Hold(new Budget(Infinity)), hasLeft: () => false });
  await t.rejects(page(long(2)), { code: 'overloaded' });
  const waiting = page(new Filter(['a']));
  await until('it waits', () => longPolls.waiting === 1);
  end.abort();
  t.same((await waiting).messages, []);
});
