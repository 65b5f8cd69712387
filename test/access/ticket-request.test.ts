import t from 'tap';
import { readTicketRequest } from '../../src/access/tickets/ticket-request.ts';
import type { ProblemCode } from '../../src/model/problem.ts';

const MOST = 3;

/** What is no request for a ticket: the member that is wrong, and the code. */
const BAD: readonly (readonly [body: string, field: string | undefined, code: ProblemCode])[] = [
  ['null', undefined, 'invalid-request'], ['"a"', undefined, 'invalid-request'], ['["a"]', undefined, 'invalid-request'], ['5', undefined, 'invalid-request'],
  ['{}', 'topics', 'invalid-request'], ['{"topics":[]}', 'topics', 'invalid-request'], ['{"topics":"a"}', 'topics', 'invalid-request'], ['{"topics":{"0":"a"}}', 'topics', 'invalid-request'], ['{"topics":null}', 'topics', 'invalid-request'],
  ['{"topics":[1]}', 'topics[0]', 'invalid-request'], ['{"topics":["a",null]}', 'topics[1]', 'invalid-request'], ['{"topics":["a",["b"]]}', 'topics[1]', 'invalid-request'],
  ['{"topics":["a"],"topic":"b"}', 'topic', 'invalid-request'], ['{"topics":["a"],"ttl":1}', 'ttl', 'invalid-request'], ['{"topics":["a"],"\\u0000":1}', 'a member', 'invalid-request'],
  ['{"topics":["a","b","c","d"]}', 'topics', 'invalid-request'],
  ...['', ' ', 'a..b', '.a', 'a b', 'a\nb', 'a.*b', '>.a', '\u0000', 'x'.repeat(256), '\ud800', `${'a.'.repeat(16)}>`].map((topic) => [JSON.stringify({ topics: ['a', topic] }), 'topics[1]', 'invalid-topic'] as const),
];

t.test('a request for a ticket names topics and patterns, as many as a stream may have', async (t) => {
  const { topics, patterns } = readTicketRequest({ topics: ['b', 'a.*', 'b'] }, MOST);
  t.same([topics, patterns], [['b'], ['a.*']]);
  for (const [body, field, code] of BAD) {
    t.throws(() => readTicketRequest(JSON.parse(body), MOST), { name: 'Problem', code, field }, body);
  }
});
