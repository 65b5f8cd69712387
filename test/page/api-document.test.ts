import t from 'tap';
import { curlOf, exampleOf, kindOf, prepared, type Endpoint } from '../../src/page/views/api/api-document.ts';
import { EVERYTHING, firstState, offeredTopic, withAllowed, withSent } from '../../src/page/views/publish/draft.ts';

/** What the page makes of the OpenAPI document, and of what somebody may publish. */

const PUBLISH: Endpoint = {
  method: 'POST', path: '/topics/{topic}',
  operation: {
    parameters: [
      { name: 'topic', in: 'path', required: true, schema: { type: 'string' } }, { name: 'event', in: 'query', schema: { type: 'string' } },
      { name: 'ttl', in: 'header', schema: { type: 'string' } }, { name: 'more', in: 'query', schema: { type: 'array', items: { type: 'string' } } },
    ],
    responses: {},
  },
};

void t.test('a request has each parameter in its place, and leaves empty ones out', async (t) => {
  const request = prepared(PUBLISH, { values: { 'path topic': 'a/b c', 'query event': '', 'header ttl': '60', 'query more': ' x  y&z ' }, type: 'text/plain', body: `it's` });
  t.strictSame(request, { method: 'POST', path: 'topics/a%2Fb%20c?more=x&more=y%26z', headers: { ttl: '60', 'content-type': 'text/plain' }, body: `it's` });
  t.ok(typeof request !== 'string' && curlOf(request, 'http://h/', '-u ":$KEY" ') === String.raw`curl -u ":$KEY" -H 'ttl: 60' -H 'content-type: text/plain' --data-binary 'it'\''s' 'http://h/topics/a%2Fb%20c?more=x&more=y%26z'`);
  t.match(prepared(PUBLISH, { values: { 'path topic': '..' } }), /^topic: a path cannot have \.\./, 'a browser would ask for another path');
  t.match(prepared(PUBLISH, { values: { 'path topic': '$&$1' } }), { path: 'topics/%24%26%241' });
  t.equal(curlOf({ method: 'DELETE', path: 'keys/x', headers: {} }, 'http://h/', ''), 'curl -X DELETE http://h/keys/x');
  t.equal(curlOf({ method: 'GET', path: 'events', headers: { accept: 'text/event-stream' } }, 'http://h/', ''), `curl -N -H 'accept: text/event-stream' http://h/events`);
});

void t.test('a schema is said in a few words, and has an example', async (t) => {
  t.equal(kindOf({ type: 'integer', minimum: 1, maximum: 500 }), 'integer, 1 to 500');
  t.equal(kindOf({ type: 'array', items: { type: 'string' }, maxItems: 9 }), 'array of string, at most 9');
  t.equal(kindOf({ enum: ['a', 'b'] }), '"a" or "b"');
  t.equal(kindOf({}), 'anything');
  t.strictSame(exampleOf({ type: 'array', items: { type: 'object', required: ['topic', 'data'], properties: { topic: { type: 'string' }, data: {}, event: { type: 'string' } } } }), [{ topic: '', data: 'hello, world' }]);
});

void t.test('the form offers a topic that may be published to, and leaves one that was typed', async (t) => {
  t.equal(firstState(EVERYTHING).draft.topic, 'hello');
  t.equal(firstState(undefined).draft.topic, '', 'nothing is known yet');
  t.strictSame([['*'], ['deploys.>', 'builds'], ['deploys.>', 'a.*.b'], []].map(offeredTopic), ['hello', 'builds', '', '']);
  const typed = { ...firstState(undefined), draft: { ...firstState(undefined).draft, topic: 'mine' } };
  t.match(withAllowed(typed, ['builds']), { allowed: ['builds'], draft: { topic: 'mine' } });
});

void t.test('sent requests are kept, the newest first, up to a limit', async (t) => {
  let state = firstState(EVERYTHING);
  for (let number = 0; number < 120; number++) state = withSent(state, { ...state.draft, id: `x-${number}`, time: '', isReplayed: false });
  t.equal(state.sent[0]!.id, 'x-119');
  t.equal(state.sent.length, 50);
});
