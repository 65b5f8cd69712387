import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { makeApiKey } from '../../src/access/credentials/api-key.ts';
import { openStream } from '../support/client.ts';
import { Http, type Answer } from '../support/http.ts';
import { startInstance, type Instance } from '../support/instance.ts';
import { bearer } from '../support/keys-command.ts';
import { tempFolder } from '../support/temp.ts';
import { until } from '../support/until.ts';

/** What an erasure looks like to clients. */

const ROOT = makeApiKey();
const ERASER = makeApiKey();
const READER = makeApiKey();

interface Setting {
  readonly instance: Instance;
  readonly http: Http;
  readonly as: (key: typeof ROOT, method: string, path: string, body?: string, headers?: Record<string, string>) => Promise<Answer>;
  /** Publishes, and answers the id. */
  readonly publish: (topic: string, data: string, headers?: Record<string, string>) => Promise<string>;
}

async function setUp(t: Test, env: Record<string, string> = {}): Promise<Setting> {
  const file = join(tempFolder(t), 'access.json');
  const entry = ({ id, digest }: typeof ROOT, more: object): object => ({ id, sha256: digest.toString('hex'), ...more });
  writeFileSync(file, JSON.stringify({ keys: [
    entry(ROOT, { name: 'root', admin: true, publish: ['>'], subscribe: ['>'] }), entry(ERASER, { name: 'moderator', erase: ['a', 'b.>'] }), entry(READER, { name: 'reader', subscribe: ['>'], publish: ['>'] }),
  ] }));
  const instance = await startInstance(t, { ACCESS_FILE: file, LOG_LEVEL: 'info', ...env });
  const http = new Http(t, instance.url);
  const as: Setting['as'] = (key, method, path, body = '', headers = {}) => http.send(method, path, { ...bearer(key.text), ...headers }, body);
  const publish: Setting['publish'] = async (topic, data, headers = {}) => {
    const { status, body } = await as(ROOT, 'POST', `/topics/${topic}`, data, { 'content-type': 'application/json', ...headers });
    if (status !== 201) throw new Error(`${status} ${body}`);
    return (JSON.parse(body) as { id: string }).id;
  };
  return { instance, http, as, publish };
}

const problem = ({ status, body }: Answer): unknown => ({ status, ...(body.startsWith('{"type"') ? { code: (JSON.parse(body) as { code: string }).code, field: (JSON.parse(body) as { field?: string }).field } : {}) });

t.test('one message: gone by every way of reading; its number stays; its key answers as before; the audit line tells who and which', async (t) => {
  const { instance, as, publish } = await setUp(t);
  const key = { 'idempotency-key': 'once', 'tidings-event': 'leak' };
  const id = await publish('a', '"secret"', key);
  const next = await publish('a', '"kept"');
  const live = await openStream(t, `${instance.url}/topics/a/events?after=start`, { headers: bearer(READER.text) });
  await live.next(({ data }) => data === '"kept"');
  t.equal((await as(ERASER, 'DELETE', `/messages/${id}`)).status, 204);
  t.match(await live.next(({ event }) => event === '$erased'), { data: `{"id":"${id}"}`, id: next }, 'a live stream is told');

  const { messages } = JSON.parse((await as(READER, 'GET', '/topics/a/messages')).body) as { messages: Record<string, unknown>[] };
  t.same(messages[0], { id, topic: 'a', time: messages[0]!['time'], erased: true });
  t.match(messages[1], { id: next, data: 'kept' });
  t.same(problem(await as(READER, 'GET', `/messages/${id}`)), { status: 410, code: 'message-erased', field: undefined });
  const many = await openStream(t, `${instance.url}/events?topic=a&after=start`, { headers: bearer(READER.text) });
  t.match(await many.next(({ event }) => event !== '$open'), { event: '$erased', id, data: `{"id":"${id}","topic":"a"}` });
  const bare = await openStream(t, `${instance.url}/topics/a/events?after=start&control=0`, { headers: bearer(READER.text) });
  t.match(await bare.next(), { id: next });

  t.equal((await as(ERASER, 'DELETE', `/messages/${id}`)).status, 204, 'again');
  t.match(await as(ROOT, 'POST', '/topics/a', '"secret"', { 'content-type': 'application/json', ...key }), { status: 201, headers: { 'idempotency-replayed': 'true' } });
  await until('it is wiped', async () => /^tidings_erasures_unwiped 0$/m.test((await as(ROOT, 'GET', '/metrics')).body));
  t.match((await as(ROOT, 'GET', '/metrics')).body, /^tidings_messages_erased_total 1$/m);
  const lines = (): string[] => instance.output.split('\n').filter((line) => line.includes('"audit":"message-erased"'));
  await until('both are written down', () => lines().length >= 2);
  t.match(lines().map((line) => JSON.parse(line) as object), ['erased', 'before'].map((outcome) => ({ id, topic: 'a', outcome, by: `key ${ERASER.id}`, client: '127.0.0.1' })));
  t.notMatch(instance.output, /secret|leak/);
});

t.test('a topic: before a message, a time, or all that there are', async (t) => {
  const { instance, as, publish } = await setUp(t);
  const ids: string[] = [];
  for (const n of [1, 2, 3, 4]) ids.push(await publish('b.c', String(n)));
  await publish('b', '"other"');
  const erase = async (before: string): Promise<unknown> => JSON.parse((await as(ERASER, 'DELETE', `/topics/b.c/messages?before=${encodeURIComponent(before)}`)).body);
  const left = async (): Promise<unknown[]> => (JSON.parse((await as(READER, 'GET', '/messages?topic=b.c&topic=b')).body) as { messages: { data?: unknown; erased?: true }[] }).messages.map(({ data, erased }) => erased ?? data);
  t.same(await erase(ids[2]!), { erased: 2, more: false });
  t.same(await left(), [true, true, 3, 4, 'other']);
  t.same(await erase(ids[2]!), { erased: 0, more: false }, 'again');
  t.same(await erase('1h'), { erased: 0, more: false });
  t.same(await erase('2001-01-01T00:00:00Z'), { erased: 0, more: false });
  t.same(await erase('2101-01-01T00:00:00+01:00'), { erased: 2, more: false });
  t.same(await left(), [true, true, true, true, 'other']);
  await instance.says(/"audit":"topic-erased","topic":"b\.c","through":"[^"]*","messages":2/);
});

t.test('more than one step takes, and publishers go on meanwhile', async (t) => {
  const { as } = await setUp(t);
  const batch = JSON.stringify(Array.from({ length: 700 }, (_, data) => ({ topic: data % 100 === 0 ? 'b' : 'a', data })));
  for (let round = 0; round < 2; round++) t.equal((await as(ROOT, 'POST', '/messages', batch, { 'content-type': 'application/json' })).status, 201);
  const erasing = as(ERASER, 'DELETE', '/topics/a/messages?before=0s');
  t.equal((await as(ROOT, 'POST', '/topics/b', 'meanwhile')).status, 201);
  t.same(JSON.parse((await erasing).body), { erased: 1386, more: false });
});

t.test('permissions, and refusals', async (t) => {
  const { instance, http, as, publish } = await setUp(t, { JWT_SECRET: 'x'.repeat(64), AUTH_COOKIE: 'tidings' });
  const [id, other] = [await publish('a', '1'), await publish('c', '1')];
  const bad: readonly (readonly [key: typeof ROOT, path: string, status: number, code: string, field: string | undefined])[] = [
    [ERASER, `/messages/${other}`, 404, 'message-not-found', 'id'],
    [READER, `/messages/${id}`, 403, 'forbidden', 'Authorization'],
    [ERASER, '/topics/c/messages?before=0s', 403, 'forbidden', 'topic'],
    // The head decides it, before anything else is looked at.
    [ERASER, '/topics/c/messages?before=nonsense', 403, 'forbidden', 'topic'],
    [ERASER, '/topics/b/messages?before=0s', 403, 'forbidden', 'topic'],
    [READER, '/topics/a/messages?before=0s', 403, 'forbidden', 'topic'],
    [ROOT, '/messages/x', 404, 'message-not-found', 'id'],
    [ROOT, `/messages/${id.replace(/-.*/, '-99')}`, 404, 'message-not-found', 'id'],
    [ROOT, `/messages/${id.replace(/-.*/, '-0')}`, 404, 'message-not-found', 'id'],
    [ROOT, '/messages/abcdefgh1234-1', 404, 'message-not-found', 'id'],
    [ROOT, '/topics/a/messages', 400, 'invalid-cursor', 'before'],
    [ROOT, '/topics/a/messages?before=', 400, 'invalid-cursor', 'before'],
    [ROOT, '/topics/a/messages?before=start', 400, 'invalid-cursor', 'before'],
    [ROOT, '/topics/a/messages?before=-1h', 400, 'invalid-cursor', 'before'],
    [ROOT, '/topics/a/messages?before=2026-02-30T00:00:00Z', 400, 'invalid-cursor', 'before'],
    [ROOT, '/topics/a/messages?before=abcdefgh1234-1', 404, 'message-not-found', 'before'],
    [ROOT, `/topics/a/messages?before=${id.replace(/-.*/, '-99')}`, 404, 'message-not-found', 'before'],
    [ROOT, '/topics/a/messages?before=1h&before=2h', 400, 'invalid-request', 'before'],
    [ROOT, '/topics/a/messages?befor=1h', 400, 'invalid-request', 'befor'],
    [ROOT, '/topics/a.*/messages?before=0s', 400, 'invalid-topic', 'topic'],
    [ROOT, '/topics/%3E/messages?before=0s', 400, 'invalid-topic', 'topic'],
    [ROOT, '/topics/a%20b/messages?before=0s', 400, 'invalid-topic', 'topic'],
  ];
  for (const [key, path, status, code, field] of bad) t.same(problem(await as(key, 'DELETE', path)), { status, code, field }, `DELETE ${path}`);
  t.same(problem(await http.send('DELETE', `/messages/${id}`)), { status: 401, code: 'unauthorized', field: 'Authorization' });
  for (const path of [`/messages/${id}`, '/topics/a/messages?before=0s']) {
    t.same(problem(await http.send('DELETE', path, { cookie: `tidings=${ERASER.text}`, origin: instance.url })), { status: 401, code: 'unauthorized', field: 'Authorization' }, `DELETE ${path} with a cookie`);
  }
  t.same(problem(await as(ROOT, 'DELETE', `/messages/${id}`, '', { origin: 'https://elsewhere.example' })), { status: 403, code: 'cross-origin', field: 'Origin' });
  t.notMatch((await as(READER, 'GET', '/messages?topic=%3E')).body, /erased/, 'nothing was erased by any of these');
});

t.test('it takes a credential also where nothing else does', async (t) => {
  const { http, as } = await setUp(t, { AUTH: 'off' });
  const { id } = JSON.parse((await http.post('a', 'x')).body) as { id: string };
  t.equal((await http.send('DELETE', `/messages/${id}`)).status, 401);
  t.equal((await http.send('DELETE', '/topics/a/messages?before=0s')).status, 401);
  t.equal((await http.get(`/messages/${id}`)).status, 200);
  t.equal((await as(ERASER, 'DELETE', `/messages/${id}`)).status, 204);
});
