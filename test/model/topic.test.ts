import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { t } from 'tap';
import { Audience } from '../../src/delivery/audience.ts';
import type { Group } from '../../src/delivery/reader-group.ts';
import { checkPattern, checkTopic, Filter, isPattern, matches } from '../../src/model/topic.ts';

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

/** The second makes some names longer than the tree of patterns is deep, and others just as long. */
for (const before of ['', 'a.*.c.d.e.f.']) {
  t.test(`the index finds the same groups as asking each filter; names begin with '${before}'`, (t) => {
    fc.assert(fc.property(fc.array(fc.array(fc.oneof(topic, pattern), { minLength: 1, maxLength: 4 }), { maxLength: 20 }), fc.array(topic, { maxLength: 10 }), (wishes, rest) => {
      const topics = rest.map((name) => before.replace('*', 'b') + name);
      const audience = new Audience();
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
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const audience = new Audience();
  collect();
  const before = process.memoryUsage().heapUsed;
  const streams = 20;
  for (let stream = 0; stream < streams; stream++) {
    // As many as a URL has room for.
    const names = Array.from({ length: 100 }, (_, index) => checkPattern(`s${stream}p${index}.${'a.'.repeat(120)}*`));
    audience.join(new Filter(names)).waiters.add(() => undefined);
  }
  collect();
  const each = (process.memoryUsage().heapUsed - before) / streams;
  t.ok(each < 1024 * 1024, `${Math.round(each / 1024)} KiB for each`);
  t.equal(audience.size, streams);
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
