import fc from 'fast-check';
import { t } from 'tap';
import { Audience } from '../../src/delivery/audience.ts';
import type { Group } from '../../src/delivery/reader/reader-group.ts';
import { PatternTree } from '../../src/model/pattern-tree.ts';
import { checkPattern, checkTopic, checkWish, Filter, isPattern, matches, PATTERN_MAX_SEGMENTS, WILDCARD_MAX_SEGMENTS } from '../../src/model/topic.ts';
import { Counters } from '../../src/runtime/counters.ts';
import { heldBytes } from '../support/garbage.ts';

/** The rules once more, written as plainly as they are said. */
function naive(pattern: string, topic: string): boolean {
  if (pattern === topic) return true;
  if (topic.startsWith('$')) return false;
  const [first, ...rest] = pattern.split('.');
  const [head, ...tail] = topic.split('.');
  if (first === '>') return true;
  if (first !== '*' && first !== head) return false;
  if (rest.length === 0 || tail.length === 0) return rest.length === tail.length;
  return naive(rest.join('.'), `${tail.join('.')}`);
}

const segment = fc.constantFrom('a', 'b', 'c', 'é', '$x', 'a/b');
const topic = fc.array(segment, { minLength: 1, maxLength: 4 }).map((segments) => segments.join('.'));
const pattern = fc.tuple(fc.array(fc.oneof(segment, fc.constant('*')), { maxLength: 4 }), fc.boolean())
  .map(([segments, rest]) => (rest || segments.length === 0 ? [...segments, '>'] : segments).join('.'));

t.test('a pattern matches what the rules say', (t) => {
  fc.assert(fc.property(pattern, topic, (name, candidate) => {
    // In the naive form only the first segment can make a topic a reserved one.
    const expected = isPattern(name) ? !candidate.startsWith('$') && naive(name.replaceAll('$', '%'), candidate.replaceAll('$', '%')) : name === candidate;
    t.equal(isPattern(name) ? matches(name, candidate) : name === candidate, expected, `${name} ~ ${candidate}`);
    t.equal(new Filter([name]).matches(candidate), expected);
  }), { numRuns: 2000 });
  t.end();
});

/** The second makes names deep. */
for (const before of ['', 'a.*.c.d.e.f.g.h.i.j.']) {
  t.test(`the index finds the same groups as asking each filter; names begin with '${before}'`, (t) => {
    fc.assert(fc.property(fc.array(fc.array(fc.oneof(topic, pattern), { minLength: 1, maxLength: 4 }), { maxLength: 20 }), fc.array(topic, { maxLength: 10 }), (wishes, rest) => {
      const topics = rest.map((name) => before.replace('*', 'b') + name);
      const audience = new Audience({ maxFilterBytes: Infinity, counters: new Counters() });
      const groups = new Set(wishes.map((names) => audience.join(new Filter(names.map((name) => before + name)))));
      for (const candidate of topics) {
        const found: Group[] = [];
        audience.match(candidate, (group) => found.push(group));
        t.equal(new Set(found).size, found.length, 'each group once');
        const expected = [...groups].filter(({ filter }) => filter.matches(candidate));
        t.same(new Set(found.map(({ filter }) => filter.key)), new Set(expected.map(({ filter }) => filter.key)));
      }
      for (const group of groups) audience.leave(group);
      t.equal(audience.size, 0);
      const left: Group[] = [];
      for (const candidate of topics) audience.match(candidate, (group) => left.push(group));
      t.equal(left.length, 0, 'nothing stays in the index');
    }), { numRuns: 300 });
    t.end();
  });
}

t.test('what a stream takes in the index is bounded, however many segments its patterns have', (t) => {
  const audience = new Audience({ maxFilterBytes: Infinity, counters: new Counters() });
  const before = heldBytes('heapUsed');
  const streams = 20;
  for (let stream = 0; stream < streams; stream++) {
    // Each two part only at their ends, and so take a node for each segment.
    const names = Array.from({ length: 100 }, (_, index) => checkWish(`s${stream}p${index >> 1}.*.${'a.'.repeat(PATTERN_MAX_SEGMENTS - 3)}x${index}`));
    audience.join(new Filter(names)).waiters.add(() => undefined);
  }
  const each = (heldBytes('heapUsed') - before) / streams;
  t.ok(each < 512 * 1024, `${Math.round(each / 1024)} KiB for each`);
  t.equal(audience.size, streams);
  t.end();
});

/** All ways to write `*` for some of the first segments of `a.a.a…`, each with an end of its own. */
function starred(ends: readonly string[]): string[] {
  const stars = (number: number): string => Array.from({ length: WILDCARD_MAX_SEGMENTS }, (_, bit) => (number >> bit) % 2 === 1 ? '*' : 'a').join('.');
  return Array.from({ length: 2 ** WILDCARD_MAX_SEGMENTS }, (_, number) => stars(number)).flatMap((begin) => ends.map((end) => checkWish(`${begin}.${end}`)));
}

const ENDS = Array.from({ length: PATTERN_MAX_SEGMENTS - WILDCARD_MAX_SEGMENTS - 1 }, (_, length) => 'a.'.repeat(length + 1));

t.test('the work of a match has a bound, with any patterns', (t) => {
  // Patterns that match nothing, but are compared to their ends; those that match cost their groups' deliveries.
  const tree = new PatternTree<number>();
  for (const [index, name] of starred(ENDS.flatMap((end) => [`${end}b`, `${end}c`])).entries()) tree.add(name.split('.'), index);
  let looked = 0;
  const topic = new Proxy('a.'.repeat(127).concat('a').split('.'), { get: (target, key) => (looked++, Reflect.get(target, key)) });
  tree.match(topic, () => t.fail('none matches'));
  t.ok(looked > 100 && looked < 3 * 2 ** WILDCARD_MAX_SEGMENTS * PATTERN_MAX_SEGMENTS, `${looked} looks at the topic`);
  t.end();
});

t.test('a match takes no longer with a hundred times the patterns, however long these are', (t) => {
  const audience = (streams: number): Audience => {
    const audience = new Audience({ maxFilterBytes: Infinity, counters: new Counters() });
    for (let stream = 0; stream < streams; stream++) audience.join(new Filter(Array.from({ length: 100 }, (_, index) => `${'*.'.repeat(100)}s${stream}p${index}`)));
    return audience;
  };
  const [few, many] = [audience(1), audience(100)];
  const topic = 'a.'.repeat(100) + 'a';
  const cost = (one: Audience): number => Math.min(...Array.from({ length: 5 }, () => {
    const began = process.hrtime.bigint();
    for (let match = 0; match < 20; match++) one.match(topic, () => t.fail('none matches'));
    return Number(process.hrtime.bigint() - began);
  }));
  cost(few);
  const ratio = cost(many) / cost(few);
  t.ok(ratio < 20, `${ratio} times as long`);
  t.end();
});

const deepSegment = fc.constantFrom('a', 'b', '*');
const deepPattern = fc.tuple(fc.array(deepSegment, { minLength: 1, maxLength: 12 }), fc.boolean()).map(([segments, rest]) => [...segments, ...(rest ? ['>'] : [])]);
const deepTopic = fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 13 });

t.test('the tree of patterns finds what comparing them one by one finds, while patterns come and go', (t) => {
  fc.assert(fc.property(fc.array(deepPattern, { maxLength: 40 }), fc.array(deepTopic, { minLength: 1, maxLength: 10 }), fc.nat(40), (patterns, topics, gone) => {
    const tree = new PatternTree<number>();
    for (const [index, one] of patterns.entries()) tree.add(one, index);
    const look = (from: number): void => {
      for (const one of topics) {
        const found = new Set<number>();
        tree.match(one, (index) => found.add(index));
        const expected = patterns.flatMap((pattern, index) => index >= from && matches(pattern.join('.'), one.join('.')) ? [index] : []);
        t.same([...found].sort((a, b) => a - b), expected);
        t.equal(tree.has(one), expected.length > 0);
      }
    };
    look(0);
    for (const [index, one] of patterns.entries()) if (index < gone) tree.remove(one, index);
    look(gone);
    for (const [index, one] of patterns.entries()) tree.remove(one, index);
    t.ok(tree.isEmpty, 'nothing stays in the tree');
  }), { numRuns: 300 });
  t.end();
});

t.test('a pattern that a client asks for has bounds, and names them', (t) => {
  const long = 'a.'.repeat(PATTERN_MAX_SEGMENTS - 1);
  for (const name of [`${long}>`, `${'*.'.repeat(WILDCARD_MAX_SEGMENTS)}>`, `*.${long.slice(2)}a`, 'a.'.repeat(127) + 'a', '*'.concat('.*'.repeat(WILDCARD_MAX_SEGMENTS - 1))]) t.equal(checkWish(name), name);
  t.throws(() => checkWish(`a.${long}>`, 'topics[3]'), { code: 'invalid-topic', field: 'topics[3]', message: /at most 16 segments, and this one has 17/ });
  t.throws(() => checkWish(`${'a.'.repeat(WILDCARD_MAX_SEGMENTS)}*`), { code: 'invalid-topic', field: 'topic', message: /among the first 8 segments/ });
  t.equal(checkPattern(`a.${long}>`), `a.${long}>`, 'what may be read has none');
  t.end();
});

t.test('filters that want the same have the same key', (t) => {
  t.equal(new Filter(['b', 'a', '>', 'a']).key, new Filter(['>', 'a', 'b']).key);
  t.not(new Filter(['a', 'b']).key, new Filter(['a.b']).key);
  t.end();
});

t.test('names that are no topics are refused', (t) => {
  for (const name of ['', '.', 'a.', '.a', 'a..b', 'a b', 'a\tb', 'a\u0000', 'a\u0085', 'a\u2028', 'a\u00a0b', 'a.*', '>', 'a>', '*a', '$a', 'a'.repeat(256), 'é'.repeat(128), '\ud800']) {
    t.throws(() => checkTopic(name), { code: 'invalid-topic', field: 'topic' }, Buffer.from(name, 'utf16le').toString('hex').slice(0, 40));
  }
  for (const name of ['a', 'a/b', 'é'.repeat(127), 'a'.repeat(255), '日本.語', 'a.$b', 'A-b_c:d@e']) t.equal(checkTopic(name), name);
  t.end();
});

t.test('patterns have whole segments as wildcards, and > only at the end', (t) => {
  for (const name of ['a*', '*a.b', '>.a', 'a.>.b', '**', 'a>', '>>', '', 'a..>', 'a b']) {
    t.throws(() => checkPattern(name, 'name'), { code: 'invalid-topic', field: 'name' }, JSON.stringify(name));
  }
  for (const name of ['*', '>', '*.*', 'a.*.b', '*.>', '$a']) t.equal(checkPattern(name), name);
  t.end();
});
