import t from 'tap';
import { ENDPOINTS, type Endpoint } from '../../src/http/admission/endpoints.ts';
import { PROBLEMS } from '../../src/model/problem.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { exchange } from '../support/raw.ts';
import { BAD_INPUT } from './bad-input-cases.ts';

/** What would tell a client of the inside: files, folders, libraries, statements, stacks. */
const INSIDE = /node:|node_modules|\.ts\b|\.js\b|\/src\/|\/tmp\/|fastify|FST_|HPE_|typebox|sqlite|select |insert |\bat .*:[0-9]+|\[object/i;

/** Endpoints whose invalid requests need more than the table has: test/hooks/hooks.test.ts, test/http/renewals.test.ts, test/http/tickets.test.ts and test/wire/erase.test.ts make them. */
const ELSEWHERE: readonly Endpoint[] = [ENDPOINTS.hook, ENDPOINTS.secretHook, ENDPOINTS.createTicket, ENDPOINTS.renewStream, ENDPOINTS.eraseTopic];

const instance = await startInstance(t, { LOG_LEVEL: 'warn' });
const http = new Http(t, instance.url);

await t.test('every invalid request is refused, and the fault is named', async (t) => {
  for (const { name, request, status, code, field, allow } of BAD_INPUT) {
    const answer = await exchange(t, instance, request);
    const { detail, ...said } = JSON.parse(answer.body) as Record<string, unknown>;
    t.strictSame(
      { status: answer.status, type: answer.headers['content-type'], allow: answer.headers['allow'], said },
      {
        status,
        type: 'application/problem+json',
        allow,
        said: { type: `urn:tidings:problem:${code}`, title: PROBLEMS[code][1], status, code, ...(field === undefined ? {} : { field }) },
      },
      name,
    );
    t.match(detail, /^[^\r\n]+\.$/, `${name}: one sentence or more`);
    t.notMatch(answer.body, INSIDE, `${name}: nothing of the inside`);
  }
});

await t.test('each endpoint that takes a parameter or a body has rows in the table', async (t) => {
  const rows = BAD_INPUT.map(({ request, status }) => ({ line: request.toString('latin1', 0, 200).split(' ', 2).join(' '), status }));
  const lacking = Object.values<Endpoint>(ENDPOINTS).filter((endpoint) => {
    const { url, methods, once, many, body } = endpoint;
    if (ELSEWHERE.includes(endpoint) || (once.length === 0 && many === undefined && body === undefined)) return false;
    const head = new RegExp(`^${methods[0]} ${url.replaceAll('.', '\\.').replaceAll(/:\w+/g, '[^/?]+')}(\\?|$)`);
    // A 401 says nothing of the input. This instance has no key, so it answers nothing else to administrators' requests.
    return !rows.some(({ line, status }) => head.test(line) && (status !== 401 || endpoint.access === 'administration'));
  });
  t.same(lacking.map(({ methods, url }) => `${methods[0]} ${url}`), [], 'add to test/wire/bad-input-cases.ts what each must refuse');
});

await t.test('where there are only a few things to say, or to ask for, the answer says which', async (t) => {
  const detail = async (path: string): Promise<string> => (JSON.parse((await http.get(path)).body) as { detail: string }).detail;
  t.equal(await detail('/topics/a/events?control=yes'), 'control must be one of 0, 1.');
  t.equal(await detail('/topics/a/events?sicne=10m'), 'The parameter "sicne" is unknown here; use since.');
  t.equal(await detail('/events?topic[]=a'), 'The parameter "topic[]" is unknown here; use topic.');
  t.match(await detail('/topic/a'), '/openapi.json');
  for (const [path, meant] of [
    ['//topics/a/events', '/topics/a/events'], ['/topics/a/events/', '/topics/a/events'], ['/topics//a///messages//', '/topics/a/messages'], ['/Topics/A/events', '/topics/A/events'], ['/healthz/', '/healthz'],
    ['/topics/a/b/events', '/topics/a%2Fb/events'], ['/topics/a/b//c/messages?limit=1', '/topics/a%2Fb%2Fc/messages'], ['/events/?topic=a', '/events'], ['//', '/'],
  ] as const) {
    t.equal(await detail(path), `There is nothing at this path; ${meant} may be meant.`);
  }
  for (const path of ['/nothing', '/topics/a/b', '/admin/', `/topics/a/b/${'c'.repeat(300)}/events`]) t.match(await detail(path), '/openapi.json', path);
  const post = async (path: string, type: string, body: string | Buffer): Promise<string> => (JSON.parse((await http.send('POST', path, { 'content-type': type }, body)).body) as { detail: string }).detail;
  t.match(await post('/topics//a/', 'text/plain', 'x'), '/topics/a may be meant');
  t.match(await post('/topics/a/b', 'text/plain', 'x'), '/topics/a%2Fb may be meant');
  t.match(await post('/topics/a', 'application/cloudevents+json', 'version 42'), /^The Content-Type says that the body is JSON, and it is not: .*v.*\.$/);
  for (const type of ['application/json', 'application/problem+json']) t.match(await post('/topics/a', type, '\u{feff}{"a":1}'), 'byte order mark (the bytes EF BB BF)');
  t.match(await post('/messages', 'application/json', '\u{feff}[{"topic":"a","data":1}]'), 'byte order mark');
  t.match(await post('/messages', 'application/x-ndjson', '\u{feff}{"topic":"a","data":1}'), 'byte order mark');
  for (const [first, second] of [[0xff, 0xfe], [0xfe, 0xff]] as const) t.match(await post('/topics/a', 'text/plain', Buffer.from([first, second, 0x61, 0])), 'byte order mark of UTF-16');
  const large = 'x'.repeat(1024 * 1024 + 1);
  t.match(await post('/topics/a', 'text/plain', large), '1048576 bytes, which is what MESSAGE_BYTES allows.');
  t.match(await post('/messages', 'application/json', JSON.stringify([{ topic: 'a', data: large }])), '1048576 bytes, which is what MESSAGE_BYTES allows.');
  t.match(await post('/messages', 'application/json', ' '.repeat(16 * 1024 * 1024 + 1)), 'which is what BATCH_BYTES allows.');
  t.match(JSON.parse((await http.send('POST', '/topics/a', { 'transfer-encoding': 'chunked' }, large)).body), { status: 413, detail: /which is what MESSAGE_BYTES allows\.$/ });
  t.match(await detail('/events?topic=a+b'), 'write %2B for a +');
  t.match(await detail('/messages?topic=a&topic=c++'), 'write %2B for a +');
  t.equal((await http.send('POST', '/topics/a', { 'content-encoding': 'gzip' }, 'x')).headers['accept-encoding'], 'identity');
  t.equal((await http.send('POST', '/topics/a', { 'content-type': 'x' }, 'x')).headers['accept-encoding'], undefined);
  t.equal((await http.get('/openapi.json')).status, 200);
});

await t.test('nothing of it was stored, and nothing of it broke the service', async (t) => {
  t.equal(await http.metric('log_head'), 0, 'no number was given');
  t.strictSame((await http.json<{ messages: unknown[] }>('/topics/%3E/messages')).messages, []);
  t.strictSame(instance.output.split('\n').filter((line) => line.includes('"level":"error"')), [], 'nothing was an error of our own');
  t.equal((await http.post('a', 'x')).status, 201);
  t.equal(await http.metric('log_head'), 1);
});
