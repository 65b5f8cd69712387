import { t } from 'tap';
import { parseQuery } from '../../../src/http/input/query-string.ts';
import { filterFromPath, filterFromQuery } from '../../../src/http/input/topic-filter.ts';

const INVALID = { name: 'Problem', code: 'invalid-topic', field: 'topic' };

t.test('topics and patterns of a request', (t) => {
  t.same(filterFromPath('a.*', {}).patterns, ['a.*']);
  t.same(filterFromQuery(parseQuery('topic=b&topic=a&topic=b&topic=%3E'), 4).key, '> a b');
  t.same(filterFromQuery(parseQuery('topic=a'), 1).topics, ['a']);
  t.throws(() => filterFromPath('a..b', {}), INVALID);
  for (const query of ['', 'topics=a', 'topic=a&topic=b', 'topic=', 'topic=a&topic=>.b']) {
    t.throws(() => filterFromQuery(parseQuery(query), query.includes('>') ? 2 : 1), INVALID, query);
  }
  t.end();
});

t.test('a pattern has a limit of segments, and a topic one of length', (t) => {
  const long = 'a.'.repeat(40);
  t.throws(() => filterFromPath(`${long}>`, {}), { ...INVALID, message: /at most 16 segments/ });
  t.throws(() => filterFromQuery(parseQuery(`topic=a&topic=${long}*`), 2), { ...INVALID, message: /at most 16 segments/ });
  t.throws(() => filterFromPath('a.a.a.a.a.a.a.a.*', {}), { ...INVALID, message: /first 8 segments/ });
  t.same(filterFromPath(`${long}a`, {}).topics, [`${long}a`]);
  t.end();
});

t.test('with pattern=0 only topics are taken, as they are', (t) => {
  const literal = parseQuery('pattern=0');
  t.same(filterFromPath('a.b', literal).topics, ['a.b']);
  t.same(filterFromQuery(parseQuery('topic=a&topic=b&pattern=0'), 2).topics, ['a', 'b']);
  for (const name of ['>', '*', 'a.>', 'users.*.news', 'a*']) {
    t.throws(() => filterFromPath(name, literal), { ...INVALID, message: /wildcard/ }, name);
    t.throws(() => filterFromQuery(parseQuery(`topic=a&topic=${name}&pattern=0`), 2), { ...INVALID, message: /wildcard/ }, name);
  }
  t.same(filterFromPath('>', parseQuery('pattern=1')).patterns, ['>']);
  t.end();
});
