import fc from 'fast-check';
import { t } from 'tap';
import { malformedQuery, parseQuery } from '../../../src/http/input/query-string.ts';

t.test('a query string is read as browsers write it', (t) => {
  const name = fc.constantFrom('topic', 'a', 'ü', '', '__proto__', 'constructor', 'a b', '%');
  fc.assert(fc.property(fc.array(fc.tuple(name, fc.string({ unit: 'grapheme' }))), (pairs) => {
    const query = parseQuery(new URLSearchParams(pairs as [string, string][]).toString());
    const expected = Map.groupBy(pairs, ([key]) => key);
    t.same(Object.keys(query).sort(), [...expected.keys()].sort());
    for (const [key, values] of expected) {
      const texts = values.map(([, value]) => value);
      t.same(query[key], texts.length === 1 ? texts[0] : texts);
    }
    t.equal(malformedQuery(query), undefined);
  }));
  t.end();
});

t.test('what has no value is empty, and nothing between two & is nothing', (t) => {
  t.same({ ...parseQuery('a&b=&&c==&=d') }, { a: '', b: '', c: '=', '': 'd' });
  t.same({ ...parseQuery('') }, {});
  t.end();
});

t.test('text that is not percent-encoded UTF-8 is named, not guessed at', (t) => {
  for (const text of ['topic=%', 'topic=%zz', 'topic=a%2', 'topic=%ff', 'topic=%c3', 'topic=%ed%a0%80', 'topic=%c0%80', 'a=1&topic=ok&topic=%e4&b=%']) {
    t.equal(malformedQuery(parseQuery(text)), 'topic', text);
  }
  t.equal(malformedQuery(parseQuery('%ff=1')), '%ff');
  t.end();
});
