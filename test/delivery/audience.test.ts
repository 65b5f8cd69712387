import { t } from 'tap';
import { Audience } from '../../src/delivery/audience.ts';
import type { Reader } from '../../src/delivery/reader/reader.ts';
import type { Group } from '../../src/delivery/reader/reader-group.ts';
import { indexedBytes } from '../../src/model/filter-index.ts';
import { FULL_GRANT } from '../../src/model/grant.ts';
import { Filter } from '../../src/model/topic.ts';
import { Budget, Hold } from '../../src/runtime/sharing/budget.ts';
import { Counters } from '../../src/runtime/counters.ts';
import type { NamedHolder } from '../../src/runtime/sharing/fair-shares.ts';
import { settle } from '../support/clock.ts';
import { heldBytes } from '../support/garbage.ts';
import { begin, TestOutlet } from '../support/spine.ts';
import { until } from '../support/until.ts';

const KIB = 1024;

/** Streams of which some are opened before it is measured: their lists have grown by then. */
const STREAMS = 16_000;
/** Of each: measured, and some more. A field of the reader is 8 bytes. */
const STREAM_HEAP_BYTES = 325;

/** A filter of a hundred topics, each as long as it may be. */
function long(index: number): Filter {
  return new Filter(Array.from({ length: 100 }, (_, topic) => `${index}.${topic}.`.padEnd(245, 'x')));
}

t.test('filters of many topics have a bound, and a client with a topic or two is let in in spite of it', (t) => {
  const audience = new Audience({ maxFilterBytes: 402 * KIB, counters: new Counters() });
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
    const audience = new Audience({ maxFilterBytes: Infinity, counters: new Counters() });
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

/** The next filter with room for three of them. */
function crowded(holders: readonly NamedHolder[], maxFilterBytes = 402 * KIB) {
  const counters = new Counters();
  const audience = new Audience({ maxFilterBytes, counters });
  const lost: string[] = [];
  /** As a stream does: it leaves the group at once. */
  const join = (name: string, filter: Filter, holder: NamedHolder) => {
    const group = audience.join(filter);
    const waiter = (): void => undefined;
    group.waiters.add(waiter);
    const leave = (): void => {
      group.waiters.delete(waiter);
      audience.leave(group, waiter);
    };
    audience.enter(group, waiter, { holder, giveWay: () => {
      lost.push(name);
      leave();
    } });
    return leave;
  };
  const leaves = holders.map((holder, index) => join(`${index}`, long(index), holder));
  return { audience, counters, lost, join, leaves };
}

const GREEDY: NamedHolder = ['address:203.0.113.1'];
const OTHER: NamedHolder = ['address:198.51.100.1'];

t.test('who holds most of the memory for filters loses the newest to a newcomer, and nobody loses one to the largest holder', (t) => {
  const { audience, counters, lost, join } = crowded([GREEDY, GREEDY, GREEDY]);
  t.notOk(audience.hasRoomFor(long(3), () => GREEDY));
  t.notOk(audience.makeRoom(long(3), () => GREEDY));
  t.ok(audience.hasRoomFor(long(3), () => OTHER));
  t.same(lost, [], 'a question takes nothing');
  t.ok(audience.makeRoom(long(3), () => OTHER));
  join('other', long(3), OTHER);
  t.same([lost, counters.evicted.filters], [['2'], 1]);
  t.notOk(audience.makeRoom(long(4), () => OTHER), 'both have about as much now');
  t.ok(audience.filterBytes <= 402 * KIB);
  t.end();
});

t.test('nobody loses a filter where that would not make enough room', (t) => {
  const part = (index: number): Filter => new Filter(long(index).names.slice(0, 35));
  const held = [long(0), part(1), part(2), part(3)];
  // Others have as much that nobody can take back.
  const maxFilterBytes = held.reduce((sum, filter) => sum + indexedBytes(filter), indexedBytes(long(4)));
  const { audience, counters, lost, join } = crowded([], maxFilterBytes);
  audience.join(long(4));
  for (const [index, filter] of held.entries()) join(`${index}`, filter, GREEDY);
  t.equal(audience.filterBytes, maxFilterBytes);
  t.notOk(audience.hasRoomFor(long(5), () => OTHER));
  t.notOk(audience.makeRoom(long(5), () => OTHER), 'without its newest the greedy client has as much as the newcomer would');
  t.same([lost, counters.evicted.filters, audience.filterBytes], [[], 0, maxFilterBytes]);
  t.ok(audience.makeRoom(part(5), () => OTHER));
  t.same([lost, counters.evicted.filters], [['3'], 1], 'its newest is still its newest');
  t.end();
});

t.test('a filter that another client has too makes no room: it counts for that client then, and nobody loses it', (t) => {
  const { audience, lost, join, leaves } = crowded([GREEDY, GREEDY, GREEDY]);
  join('again', long(2), GREEDY);
  join('shared', long(2), ['address:192.0.2.1']);
  t.ok(audience.makeRoom(long(3), () => OTHER));
  t.same(lost, ['1'], 'the largest holder loses its newest that nobody else has');
  t.ok(audience.hasRoomFor(long(2)), 'it is still there');
  for (const leave of leaves) leave();
  t.ok(audience.filterBytes > 100 * KIB && audience.filterBytes < 200 * KIB, 'it counts once');
  t.end();
});

t.test('two clients that have the same filters do not keep the memory for themselves', (t) => {
  const { audience, counters, lost, join } = crowded([GREEDY, GREEDY, GREEDY]);
  for (const index of [0, 1, 2]) join(`accomplice ${index}`, long(index), ['address:203.0.113.2']);
  t.ok(audience.makeRoom(long(3), () => OTHER));
  t.same([lost, counters.evicted.filters], [['accomplice 1', '1'], 1], 'both lose one filter');
  t.ok(audience.filterBytes < 300 * KIB);
  t.end();
});

t.test('a filter counts for the next holder when the first has left, and for nobody at the end', (t) => {
  const { audience, lost, join, leaves } = crowded([OTHER, GREEDY, GREEDY]);
  const leave = join('joined', long(0), GREEDY);
  leaves[0]!();
  t.ok(audience.makeRoom(long(3), () => OTHER));
  t.same(lost, ['joined']);
  leave();
  for (const one of leaves) one();
  t.equal(audience.filterBytes, 0);
  t.end();
});

t.test('a long poll with many topics gives way to a client that holds less: its answer says where to go on', async (t) => {
  const { audience, longPolls } = await begin(t, { filterBytes: 402 * KIB });
  const page = (filter: Filter, holder: NamedHolder, signal: AbortSignal) => longPolls.page({ grant: FULL_GRANT, filter, start: { kind: 'now' }, limit: 1, wait: 1000, signal, hold: new Hold(new Budget(Infinity)), hasLeft: () => false, holder });
  const end = new AbortController();
  const greedy = [0, 1, 2].map((index) => page(long(index), GREEDY, end.signal));
  await until('they wait', () => longPolls.waiting === 3);
  const other = page(long(3), OTHER, end.signal);
  const { messages, cursor } = await greedy[2]!;
  t.same(messages, []);
  t.match(cursor, /-[0-9]+$/);
  await until('the other waits', () => longPolls.waiting === 3);
  end.abort();
  await Promise.all([...greedy, other]);
  t.equal(audience.filterBytes, 0);
});

t.test('a stream of one topic takes no more of the heap than its reader and its places in three lists', async (t) => {
  const { streams, tail } = await begin(t);
  const filter = new Filter(['a']);
  const outlet = new TestOutlet();
  const open = (): Reader => streams.open(FULL_GRANT, filter, { form: 'data', control: false, chunked: true, lastChunk: false }, outlet, { at: tail.position, gap: undefined });
  const readers = Array.from({ length: STREAMS }, open);
  await settle();
  const before = heldBytes('heapUsed');
  for (let count = 0; count < STREAMS; count++) readers.push(open());
  await settle();
  const taken = (heldBytes('heapUsed') - before) / STREAMS;
  t.ok(readers.every(({ isLive }) => isLive));
  t.ok(taken < STREAM_HEAP_BYTES, `${Math.round(taken)} bytes`);
});
