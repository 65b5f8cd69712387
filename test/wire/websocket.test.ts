import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import t from 'tap';
import { makeApiKey } from '../../src/access/credentials/api-key.ts';
import type { StreamsPage } from '../../src/fleet/stream-list.ts';
import { Child } from '../support/child.ts';
import { openStream } from '../support/client.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { bearer } from '../support/keys-command.ts';
import { need } from '../support/programs.ts';
import { RawConnection } from '../support/raw.ts';
import { tempFolder } from '../support/temp.ts';
import { hs256, SECRET } from '../support/tokens.ts';
import { until } from '../support/until.ts';
import { openSocket, refusedSocket, type Frame } from '../support/web-socket.ts';

/** The same streams as WebSockets: what is sent, what may be asked, what is refused, how they end. */

const instance = await startInstance(t, { CORS_ORIGINS: 'https://app.example', MESSAGE_BYTES: '64KiB', TOPICS_PER_STREAM: '3' });
const http = new Http(t, instance.url);
/** Without the fast path, and with the shortest heartbeats. */
const quick = await startInstance(t, { HTTP_FAST_PATH: 'off', HEARTBEAT_SECONDS: '1', STALL_SECONDS: '4' });

const problemOf = ({ event, data }: Frame): string => {
  const { status, code, field } = data as { status?: number; code?: string; field?: string };
  return `${event} ${status} ${code} ${field}`;
};

void t.test('a WebSocket is sent what an event stream of many topics is, from any place of the log', async (t) => {
  const first = await http.publish('wire.a', 'text\r\nof two lines');
  await http.publish('wire.b', '{"n":12345678901234567890, "x":1}', { 'content-type': 'application/json', 'tidings-event': 'named' });
  const events = await openStream(t, `${instance.url}/events?topic=wire.*&after=start`);
  const sockets = [
    await openSocket(t, `${instance.url}/events?topic=wire.*&after=start`), await openSocket(t, `${instance.url}/topics/wire.*/events?since=1h`), await openSocket(t, `${instance.url}/topics/wire.*/events?last=2&names=0`),
    await openSocket(t, `${instance.url}/topics/wire.*/events?lastEventId=${first}`),
  ];
  await http.publish('wire.c', 'live');
  await events.next(({ data }) => data.includes('live'));
  for (const [index, socket] of sockets.entries()) {
    await socket.next(({ data }) => data === 'live');
    const sent = events.events.filter(({ event }) => event?.startsWith('$') !== true).map(({ data }) => data);
    t.same(socket.texts.filter((text) => !text.includes('"event":"$')), index === 3 ? sent.slice(1) : sent, 'byte for byte');
  }
  const lost = await openSocket(t, `${instance.url}/topics/wire.*/events?after=otherlog-7`);
  t.match(lost.frames[0], { event: '$open', data: { cursor: null } });
  t.match(await lost.next(({ event }) => event === '$gap'), { id: /-\d+$/, data: { reason: 'unknown-log', requested: 'otherlog-7' } });
  const silent = await openSocket(t, `${instance.url}/topics/wire.*/events?after=start&control=0`);
  await silent.next(({ data }) => data === 'live');
  t.equal(silent.frames.length, 3, 'without control events there is nothing but messages');
});

void t.test('topics are changed, and messages published, by frames that are answered', async (t) => {
  const socket = await openSocket(t, `${instance.url}/topics/own.a/events`);
  const changed = await socket.ask({ add: ['own.b', 'own.c'], remove: ['own.a'] });
  t.match(changed, { event: '$answer', data: { topics: ['own.b', 'own.c'] } });
  const told = socket.frames.find(({ event }) => event === '$topics')!;
  t.same([told.id, told.data], [(changed.data as { cursor: string }).cursor, changed.data], 'the stream says it at the place itself');
  t.equal(problemOf(await socket.ask({ add: ['one.more', 'and.more'] })), '$error 400 invalid-topic add');

  const answer = await socket.ask({ publish: 'own.b', data: { n: 1 }, event: 'named', ttl: 600, idempotencyKey: 'once', report: true });
  t.match(answer, { event: '$answer', data: { topic: 'own.b', event: 'named', report: { streams: 1 } } });
  const again = await socket.ask({ publish: 'own.b', data: { n: 1 }, event: 'named', ttl: 600, idempotencyKey: 'once' });
  t.match(again, { replayed: true, data: { id: (answer.data as { id: string }).id } });
  const byHttp = await http.post('own.b', '{"n":1}', { 'content-type': 'application/json', 'tidings-event': 'named', ttl: '600', 'idempotency-key': 'once' });
  t.equal(byHttp.headers['idempotency-replayed'], 'true', 'it is the same request by HTTP');
  t.equal(problemOf(await socket.ask({ publish: 'own.b', data: { n: 2 }, idempotencyKey: 'once' })), '$error 422 key-reused idempotencyKey');
  socket.send('{"publish":"own.c","data":[1.10,  12345678901234567890]}');
  await socket.next(({ topic }) => topic === 'own.c');
  t.match(socket.texts.find((text) => text.includes('"topic":"own.c"') && text.includes('"data":[')), /"data":\[1\.10, {2}12345678901234567890\]\}$/, 'JSON stays as it was written');
  socket.send({ publish: 'own.c', text: 'plain' });
  t.equal((await socket.next(({ topic }) => topic === 'own.c')).data, 'plain');
  const literal = await openSocket(t, `${instance.url}/topics/own.a/events?pattern=0`);
  t.equal(problemOf(await literal.ask({ add: ['own.*'] })), '$error 400 invalid-topic add[0]');
});

/** Frames that ask for nothing that could be done, with the code and the field of the answer. */
const BAD: readonly (readonly [frame: string | Buffer, answer: string])[] = [
  ['', 'invalid-request frame'], ['{', 'invalid-request frame'], ['[]', 'invalid-request frame'], ['null', 'invalid-request frame'], ['"text"', 'invalid-request frame'], [Buffer.from('{}'), 'invalid-request frame'],
  ['{}', 'invalid-request publish'], ['{"request":{}}', 'invalid-request request'], [`{"request":"${'x'.repeat(65)}"}`, 'invalid-request request'],
  ['{"add":"a"}', 'invalid-request add'], ['{"add":["a b"]}', 'invalid-topic add[0]'], ['{"remove":[1]}', 'invalid-request remove[0]'], ['{"add":["x"],"remove":["x"]}', 'invalid-request remove[0]'], ['{"add":["x"],"secret":"s"}', 'invalid-request secret'],
  ['{"publish":1,"data":1}', 'invalid-topic publish'], ['{"publish":"a.*","data":1}', 'invalid-topic publish'], ['{"publish":"a"}', 'invalid-data data'], ['{"publish":"a","data":1,"text":"t"}', 'invalid-data data'], ['{"publish":"a","text":1}', 'invalid-data text'],
  ['{"publish":"a","data":1,"event":"$open"}', 'invalid-event event'], ['{"publish":"a","data":1,"event":1}', 'invalid-event event'], ['{"publish":"a","data":1,"ttl":-1}', 'invalid-ttl ttl'], ['{"publish":"a","data":1,"ttl":"9"}', 'invalid-ttl ttl'],
  ['{"publish":"a","data":1,"idempotencyKey":""}', 'invalid-key idempotencyKey'], ['{"publish":"a","data":1,"report":1}', 'invalid-request report'], ['{"publish":"a","data":1,"data":2}', 'invalid-request data'], ['{"publish":"a","data":1,"more":2}', 'invalid-request more'],
  [`{"publish":"a","data":"${'x'.repeat(64 * 1024)}"}`, 'too-large data'],
];

void t.test('a malformed frame gets an error that names the field, and many in a row end the WebSocket', async (t) => {
  const socket = await openSocket(t, `${instance.url}/topics/bad/events`);
  for (const [frame, expected] of BAD) {
    socket.webSocket.send(frame, { binary: typeof frame !== 'string' });
    const { event, data } = await socket.next();
    const { code, field } = data as { code: string; field?: string };
    t.equal(`${event} ${code} ${field}`, `$error ${expected}`, frame.toString().slice(0, 60));
    t.equal((await socket.ask({ publish: 'good', data: 1 })).event, '$answer', 'the next one is carried out');
  }
  for (let count = 0; count < 20; count++) socket.send('{}');
  t.match(await socket.end(), { code: 1008, reason: /malformed/ });
  const larger = await openSocket(t, `${instance.url}/topics/bad/events`);
  larger.send(`{"publish":"a","data":"${'x'.repeat(128 * 1024)}"}`);
  t.equal((await larger.end()).code, 1009, 'what is larger than a message may be is not read');
  const greedy = await openSocket(t, `${instance.url}/topics/bad/events`);
  for (let count = 0; greedy.closed === undefined; count++) {
    greedy.send({ publish: 'good', data: count });
    if (count % 100 === 0) await nextTurn();
  }
  t.match(await greedy.end(), { code: 1008, reason: /without an answer/ }, 'nor are requests queued');
});

void t.test('a page of another origin opens no WebSocket, without access control too', async (t) => {
  const url = `${instance.url}/topics/private/events`;
  t.same(await refusedSocket(url, { origin: 'https://evil.example' }), { status: 403, code: 'cross-origin', field: 'Origin' });
  t.same(await refusedSocket(url, { origin: 'null' }), { status: 403, code: 'cross-origin', field: 'Origin' });
  t.same(await refusedSocket(url, { headers: { 'sec-fetch-site': 'cross-site' } }), { status: 403, code: 'cross-origin', field: 'Sec-Fetch-Site' });
  for (const origin of [instance.url, 'https://app.example']) t.equal((await openSocket(t, url, { origin })).frames.length, 1);
  t.equal((await openStream(t, url, { headers: { origin: 'https://evil.example' } })).status, 200, 'an event stream of it changes nothing');
});

/** Handshakes that are not valid, as heads. */
const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const HANDSHAKES: readonly (readonly [headers: string, status: number, field?: string])[] = [
  ['Sec-WebSocket-Version: 12\r\nSec-WebSocket-Key: ' + KEY, 400, 'Sec-WebSocket-Version'], ['Sec-WebSocket-Key: ' + KEY, 400, 'Sec-WebSocket-Version'], ['Sec-WebSocket-Version: 13', 400, 'Sec-WebSocket-Key'],
  ['Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short', 400, 'Sec-WebSocket-Key'], [`Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${KEY}\r\nSec-WebSocket-Key: ${KEY}`, 400, 'Sec-WebSocket-Key'],
  [`Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${KEY}\r\nContent-Length: 2`, 400, 'Content-Length'], [`Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${KEY}`, 101],
];

for (const target of [instance, quick]) {
  void t.test(`a handshake that is not valid is answered, ${target === quick ? 'without' : 'with'} the fast path`, async (t) => {
    const ask = async (path: string, headers: string): Promise<string> => {
      const connection = await RawConnection.open(t, target);
      connection.send(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n${headers}\r\n\r\n`);
      await until('an answer', () => connection.text.includes('\r\n\r\n'));
      connection.destroy();
      return connection.text;
    };
    for (const [headers, status, field] of HANDSHAKES) {
      const answer = await ask('/topics/a/events', headers);
      t.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `));
      if (field !== undefined) t.match(answer, `"field":"${field}"`);
    }
    const good = HANDSHAKES.at(-1)![0];
    t.match(await ask('/healthz', good), /^HTTP\/1\.1 200 /, 'elsewhere the header means nothing');
    t.match(await ask('/topics/a/nothing', good), /^HTTP\/1\.1 404 /);
    t.match(await ask('/events', good), /^HTTP\/1\.1 400 [^]*"field":"topic"/);
  });
}

void t.test('an administrator sees which streams are WebSockets, and ends one', async (t) => {
  const socket = await openSocket(t, `${instance.url}/topics/listed/events`, { headers: { 'user-agent': 'a test' } });
  const { streams } = await http.json<StreamsPage>('/streams?topic=listed');
  t.match(streams, [{ transport: 'websocket', client: 'a test', topics: ['listed'], behind: 0 }]);
  t.equal((await http.send('DELETE', `/streams/${streams[0]!.id}`)).status, 204);
  t.match(await socket.next(), { event: '$busy', retryMs: /\d/, data: { reason: 'dismissed' } });
  t.match(await socket.end(), { code: 1013, reason: /^dismissed: come back after \d+ ms$/ });
  await until('it is gone', async () => (await http.json<StreamsPage>('/streams?topic=listed')).streams.length === 0);
});

void t.test('a WebSocket counts as present, and is told who listens', async (t) => {
  const watcher = await openSocket(t, `${instance.url}/events?topic=seen&presence=1`);
  t.match(await watcher.next(({ event }) => event === '$presence'), { data: { topic: 'seen', members: [] } });
  const alice = await openSocket(t, `${instance.url}/topics/seen/events?as=alice`);
  await watcher.next(({ event, data }) => event === '$presence' && JSON.stringify(data).includes('alice'));
  t.match(await http.json('/topics/seen/presence'), { members: [{ id: 'alice' }] });
  t.match((await alice.ask({ remove: ['seen'], add: ['unseen'] })).data, { topics: ['unseen'] });
  t.match(await watcher.next(({ event, data }) => event === '$presence' && JSON.stringify(data).includes('"left":["alice"]')), { data: { topic: 'seen' } });
});

void t.test('a client whose socket is full falls behind; nothing queues for it, and it gets everything later, once', async (t) => {
  const socket = await openSocket(t, `${instance.url}/topics/slow/events`);
  socket.webSocket.pause();
  const sent: string[] = [];
  const unread: number[] = [];
  const isBehind = async (): Promise<boolean> => (await http.json<StreamsPage>('/streams?topic=slow&behind=1')).streams.length === 1;
  // So much as the buffers of the two kernels take, and as much again.
  const publish = async (): Promise<void> => {
    for (let count = 0; count < 16; count++) sent.push(await http.publish('slow', `${sent.length} `.padEnd(60 * 1024, 'x')));
    unread.push(await http.metric('unread_bytes'));
  };
  while (!await isBehind()) await publish();
  const full = sent.length;
  while (sent.length < 2 * full) await publish();
  t.ok(Math.max(...unread) < 2 * 1024 * 1024, `the service held ${Math.max(...unread)} bytes for it at most, of ${sent.length * 60 * 1024}`);
  socket.webSocket.resume();
  await socket.until(() => socket.messages.length >= sent.length);
  t.same(socket.messages.map(({ id }) => id), sent);
});

void t.test('a client that answers no ping is gone after STALL_SECONDS', async (t) => {
  const alive = await openSocket(t, `${quick.url}/topics/a/events`);
  const gone = await openSocket(t, `${quick.url}/topics/a/events`, { autoPong: false });
  t.equal((await gone.end()).code, 1006, 'it is cut: there is nobody to say goodbye to');
  t.ok(gone.pings >= 2, `after ${gone.pings} pings`);
  await alive.until(() => alive.pings > 3);
  t.ok(alive.frames.some(({ event }) => event === '$cursor'), 'a page that sees no pings sees the cursor');
  t.equal(await new Http(t, quick.url).metric('streams_cut_total{reason="gone"}'), 1);

  await t.test('a drain says when to come back, and loses nothing', async (t) => {
    alive.webSocket.send('{"publish":"a","data":1}');
    await alive.next(({ topic }) => topic === 'a');
    quick.kill('SIGTERM');
    t.match(await alive.next(({ event }) => event === '$busy'), { data: { reason: 'draining' } });
    t.match(await alive.end(), { code: 1012, reason: /^draining: come back after \d+ ms$/ });
    t.equal((await quick.exited).code, 0);
  });
});

void t.test('with access control, a WebSocket takes a credential, publishes what that allows, and ends with it', async (t) => {
  const [wide, narrow, root] = [makeApiKey(), makeApiKey(), makeApiKey()];
  const path = join(tempFolder(t), 'access.json');
  writeFileSync(path, JSON.stringify({ keys: [
    { id: wide.id, sha256: wide.digest.toString('hex'), name: 'wide', publish: ['out.>'], subscribe: ['>'] },
    { id: narrow.id, sha256: narrow.digest.toString('hex'), name: 'narrow', subscribe: ['a.>'] },
    { id: root.id, sha256: root.digest.toString('hex'), name: 'root', admin: true },
  ] }));
  const closed = await startInstance(t, { ACCESS_FILE: path, JWT_SECRET: SECRET, AUTH_COOKIE: 'session', AUTH_QUERY_TOKEN: 'on', PUBLISH_LIMIT: '1000/s' });
  const url = `${closed.url}/topics/a.x/events`;
  const seconds = Math.floor(Date.now() / 1000);
  const token = hs256({ sub: 'alice', jti: 'one', iat: seconds, exp: seconds + 600, tidings: { subscribe: ['a.>'], publish: ['out.alice'] } });

  t.same(await refusedSocket(url), { status: 401, code: 'unauthorized', field: 'Authorization' });
  t.same(await refusedSocket(`${closed.url}/topics/b/events`, { headers: bearer(narrow.text) }), { status: 403, code: 'forbidden', field: 'topic' });
  t.equal((await refusedSocket(url, { headers: { cookie: `session=${token}` } })).code, 'cross-origin', 'a cookie counts only with an Origin');
  const cookie = await openSocket(t, url, { headers: { cookie: `session=${token}`, origin: closed.url } });
  const query = await openSocket(t, `${url}?access_token=${token}`);
  const reader = await openSocket(t, url, { headers: bearer(narrow.text) });
  const writer = await openSocket(t, url, { headers: bearer(wide.text) });
  const byHttp = new Http(t, closed.url);
  const made = await byHttp.send('POST', '/tickets', { ...bearer(token), 'content-type': 'application/json' }, '{"topics":["a.x"]}');
  const { ticket } = JSON.parse(made.body) as { ticket: string };
  const ticketed = await openSocket(t, `${url}?ticket=${ticket}`);

  t.equal((await writer.ask({ publish: 'out.a', data: 1 })).event, '$answer');
  t.equal(problemOf(await writer.ask({ publish: 'a.x', data: 1 })), '$error 403 forbidden topic');
  for (const socket of [reader, ticketed]) t.match(problemOf(await socket.ask({ publish: 'out.a', data: 1 })), /^\$error 40[13] /);
  for (const socket of [cookie, query]) {
    t.equal((await socket.ask({ publish: 'out.alice', data: 1 })).event, '$answer');
    t.equal(problemOf(await socket.ask({ publish: 'out.bob', data: 1 })), '$error 403 forbidden topic');
  }
  t.equal(problemOf(await reader.ask({ add: ['b'] })), '$error 403 forbidden topic');
  t.match((await reader.ask({ add: ['a.y'] })).data, { topics: ['a.x', 'a.y'] });
  t.match((await reader.ask({ remove: ['a.x'] })).data, { topics: ['a.y'] });

  const renewed = await openSocket(t, url, { headers: bearer(token) });
  const { stream } = renewed.frames[0]!.data as { stream: { id: string; secret: string } };
  const other = hs256({ sub: 'alice', jti: 'two', iat: seconds, exp: seconds + 600, tidings: { subscribe: ['a.>'] } });
  t.equal((await byHttp.send('POST', `/streams/${stream.id}/credential`, { ...bearer(other), 'content-type': 'application/json' }, JSON.stringify({ secret: stream.secret }))).status, 200);
  t.equal(problemOf(await renewed.ask({ publish: 'out.alice', data: 1 })), '$error 401 invalid-credential Authorization', 'what the new credential may do, nobody has said here');

  t.equal((await byHttp.send('POST', '/revocations', { ...bearer(root.text), 'content-type': 'application/json' }, '{"jti":"one"}')).status, 201);
  for (const socket of [cookie, query, ticketed]) t.match(await socket.end(), { code: 4001, reason: /^credential: come back after \d+ ms$/ });
  t.same([reader.closed, renewed.closed], [undefined, undefined], 'others go on');
});

void t.test('a client that we did not write: the WebSocket of Node', async (t) => {
  const socket = new WebSocket(`${instance.url.replace('http', 'ws')}/topics/built.in/events`);
  t.teardown(() => socket.close());
  const texts: string[] = [];
  socket.addEventListener('message', ({ data }) => void texts.push(String(data)));
  await once(socket, 'open');
  socket.send('{"publish":"built.in","data":"hello","request":1}');
  await until('the message and its answer', () => texts.some((text) => text.includes('"request":1')) && texts.some((text) => text.endsWith('"data":"hello"}')));
  socket.close(1000, 'done');
  const [{ code, wasClean }] = await once(socket, 'close') as [{ code: number; wasClean: boolean }];
  t.same([code, wasClean], [1000, true]);
  await until('its stream is gone', async () => (await http.json<StreamsPage>('/streams?topic=built.in')).streams.length === 0);
});

void t.test("a client that we did not write: Python's websockets publishes, and comes back with its last id when its stream is ended", async (t) => {
  const client = new Child(t, need('python3'), [join(import.meta.dirname, '../clients/support/web_socket.py'), `${instance.url.replace('http', 'ws')}/topics/from.python/events`, 'from.python']);
  await client.says('"request":"one"');
  await client.says('"data":{"from": "Python"}}');
  const { streams } = await http.json<StreamsPage>('/streams?topic=from.python');
  t.equal((await http.send('DELETE', `/streams/${streams[0]!.id}`)).status, 204);
  await client.says('1013');
  await http.publish('from.python', 'while it was away');
  await client.says('while it was away');
  const messages = client.output.split('\n').filter((line) => line.startsWith('{"id":') && line.includes('"topic":"from.python","event"'));
  t.same(messages.map((line) => (JSON.parse(line) as { data: unknown }).data), [{ from: 'Python' }, 'while it was away'], 'each once');
});
