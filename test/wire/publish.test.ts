import t from 'tap';
import { openStream } from '../support/client.ts';
import { Http, seqOf } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { exchange, requestBytes } from '../support/raw.ts';
import { until } from '../support/until.ts';

/** Messages go in: what is answered, what is taken, and up to which bounds. */

const MESSAGE_BYTES = 1024 * 1024;
const JSON_TYPE = { 'content-type': 'application/json' };

const instance = await startInstance(t, { LOG_LEVEL: 'warn' });
const http = new Http(t, instance.url);

interface Stored {
  readonly id: string;
  readonly topic: string;
  readonly event: string;
  readonly time: string;
  readonly data?: unknown;
}

const stored = (body: string): Stored => JSON.parse(body) as Stored;
const history = async (topic: string): Promise<Stored[]> => (await http.json<{ messages: Stored[] }>(`/topics/${encodeURIComponent(topic)}/messages`)).messages;

void t.test('a message is answered with what the log made of it, and where it is', async (t) => {
  const before = Date.now();
  const { status, headers, body } = await http.send('POST', '/topics/answer?event=greeting', { 'content-type': 'text/plain' }, 'Hello');
  const message = stored(body);
  t.equal(status, 201);
  t.match(headers['content-type'], /^application\/json/);
  t.strictSame(Object.keys(message), ['id', 'topic', 'event', 'time'], 'without its data');
  t.match(message.id, /^[a-z0-9]{8,}-[1-9][0-9]*$/);
  t.match(message, { topic: 'answer', event: 'greeting', time: /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$/ });
  t.ok(Date.parse(message.time) >= before && Date.parse(message.time) <= Date.now());
  t.equal(headers.location, `/messages/${message.id}`);
  t.strictSame(await http.json(headers.location!), { ...message, data: 'Hello' });
  t.equal(headers['idempotency-replayed'], undefined);
});

void t.test('without a content type, and as curl sends it, a body is text as it is', async (t) => {
  const TEXT = 'a=1&b=%20 {"x":+}';
  for (const type of [undefined, 'application/x-www-form-urlencoded', 'text/plain', 'TEXT/PLAIN; charset=UTF-8', 'application/octet-stream', 'application/json-seq', 'application/jsonl', 'text/csv;charset="utf8"']) {
    const topic = `text.${Buffer.from(type ?? 'none').toString('hex')}`;
    t.equal((await http.send('POST', `/topics/${topic}`, type === undefined ? {} : { 'content-type': type }, TEXT)).status, 201, type ?? 'none');
    t.match(await history(topic), [{ data: TEXT }], type ?? 'none');
  }
});

void t.test('JSON is JSON under every JSON type, and under no other', async (t) => {
  const TYPES = [
    'application/json', 'Application/JSON', 'application/json; charset=utf-8', 'application/json;profile=x', 'application/cloudevents+json', 'application/vnd.api+json; charset=utf-8',
    'application/problem+json', 'Application/LD+JSON', 'application/vnd.github.v3+json', 'text/json',
  ];
  for (const type of TYPES) {
    await http.send('POST', '/topics/typed', { 'content-type': type }, '{"version":42}');
  }
  await http.send('POST', '/topics/typed', { 'content-type': 'text/plain' }, '{"version":42}');
  t.strictSame((await history('typed')).map(({ data }) => data), [...Array<object>(TYPES.length).fill({ version: 42 }), '{"version":42}']);
});

void t.test('a batch is stored in its order, in one piece, and answered in that order', async (t) => {
  const array = await http.send('POST', '/messages', JSON_TYPE, '[{"topic":"batch.a","data":1},{"topic":"batch.b","data":{"x":2},"event":"e"},\n {"data":null,"ttl":3600,"topic":"batch.a"}]');
  const lines = await http.send('POST', '/messages', { 'content-type': 'application/x-ndjson; charset=utf-8' }, '{"topic":"batch.a","data":"four"}\n\n \t\r\n{"topic":"batch.b","data":5}\r\n{"topic":"batch.b","data":[6]}');
  for (const { status, headers } of [array, lines]) t.match({ status, type: headers['content-type'] }, { status: 201, type: /^application\/json/ });
  const all = [array, lines].flatMap(({ body }) => (JSON.parse(body) as { messages: Stored[] }).messages);
  t.strictSame(all.map(({ topic, event }) => `${topic} ${event}`), ['batch.a message', 'batch.b e', 'batch.a message', 'batch.a message', 'batch.b message', 'batch.b message']);
  const first = seqOf(all[0]!.id);
  t.strictSame(all.map(({ id }) => seqOf(id)), [0, 1, 2, 3, 4, 5].map((index) => first + index));
  t.strictSame((await history('batch.*')).map(({ id, data }) => [id, data]), all.map(({ id }, index) => [id, [1, { x: 2 }, null, 'four', 5, [6]][index]]));
});

void t.test('a batch holds up to 1,000 messages, each of up to 1 MiB', async (t) => {
  const many = await http.batch(Array.from({ length: 1000 }, (_, index) => ({ topic: 'many', data: index })));
  t.equal(seqOf(many.at(-1)) - seqOf(many[0]), 999);
  const data = 'x'.repeat(MESSAGE_BYTES - 2);
  const large = await http.send('POST', '/messages', JSON_TYPE, JSON.stringify(Array(15).fill({ topic: 'large', data })));
  t.equal(large.status, 201);
  t.equal((await history('large'))[0]!.data, data);
});

void t.test('a message holds up to 1 MiB, however it is sent', async (t) => {
  const text = 'é'.repeat(MESSAGE_BYTES / 2);
  const json = `"${'x'.repeat(MESSAGE_BYTES - 2)}"`;
  for (const [name, type, body] of [['text', 'text/plain', text], ['json', 'application/json', json]] as const) {
    const length = await http.send('POST', `/topics/size.${name}`, { 'content-type': type }, body);
    const chunked = await http.send('POST', `/topics/size.${name}`, { 'content-type': type, 'transfer-encoding': 'chunked' }, body);
    const tooMuch = await http.send('POST', `/topics/size.${name}`, { 'content-type': type }, body.replace(/.$/, 'xxx'));
    t.strictSame([length.status, chunked.status, tooMuch.status], [201, 201, 413], name);
    const wanted = name === 'json' ? JSON.parse(json) as string : text;
    t.ok((await history(`size.${name}`)).every(({ data }) => data === wanted), `${name}: it came through whole`);
    const stream = await openStream(t, `${instance.url}/topics/size.${name}/events?after=start`);
    for (let count = 0; count < 2; count++) t.ok((await stream.next(({ event }) => event === undefined)).data === (name === 'json' ? json : text), `${name}: also on a stream`);
  }
});

void t.test('empty text is a message, and so is no body at all', async (t) => {
  const stream = await openStream(t, `${instance.url}/topics/empty/events?after=start`);
  const { status } = await exchange(t, instance, requestBytes('POST', '/topics/empty'));
  t.equal(status, 201);
  t.equal((await http.send('POST', '/topics/empty', { 'content-type': 'text/plain', 'content-length': '0' })).status, 201);
  t.match(await history('empty'), [{ data: '' }, { data: '' }]);
  for (let count = 0; count < 2; count++) t.match(await stream.next(({ event }) => event === undefined), { data: '' });
});

void t.test('topics: with a slash, with any letters, of up to 255 bytes', async (t) => {
  const stream = await openStream(t, `${instance.url}/events?topic=names.%3E`);
  await stream.next();
  for (const [encoded, topic] of [
    ['names.a%2Fb', 'names.a/b'], ['names.%2F', 'names./'], ['names.gr%C3%BC%C3%9Fe.%F0%9F%98%80', 'names.grüße.😀'], ['names.100%25', 'names.100%'], ['names.a%3Fb%23c%26d', 'names.a?b#c&d'],
    ['names.a+b', 'names.a+b'], ['names.x$y', 'names.x$y'], ['names.%22%5C', 'names."\\'], [`names.${'%C3%A9'.repeat(124)}y`, `names.${'é'.repeat(124)}y`],
  ] as const) {
    const answer = await http.send('POST', `/topics/${encoded}`, {}, topic);
    t.match([answer.status, stored(answer.body).topic], [201, topic], encoded);
    t.equal(answer.headers.location, `/messages/${stored(answer.body).id}`);
    t.match((await http.json<{ messages: Stored[] }>(`/topics/${encoded}/messages`)).messages, [{ topic, data: topic }], encoded);
    t.match(stored((await stream.next()).data), { topic, data: topic }, encoded);
  }
  t.equal(stream.faults.length, 0);
});

void t.test('event names: from the query, from the header, from a batch, of up to 128 bytes', async (t) => {
  const long = 'é'.repeat(64);
  for (const [query, header, event] of [
    ['?event=deploy', undefined, 'deploy'], ['', 'deploy', 'deploy'], ['?event=deploy', 'deploy', 'deploy'], ['?event=a+b%3A%20c', undefined, 'a b: c'], [`?event=${encodeURIComponent(long)}`, undefined, long],
    ['?event=message', undefined, 'message'], ['', undefined, 'message'], ['?event=errors', undefined, 'errors'], ['?event=Open', undefined, 'Open'], ['?event=a%24', undefined, 'a$'],
  ] as const) {
    const answer = await http.send('POST', `/topics/named${query}`, header === undefined ? {} : { 'Tidings-Event': header }, 'x');
    t.match([answer.status, stored(answer.body).event], [201, event]);
  }
  await http.batch([{ topic: 'named', data: 1, event: long }]);
  t.equal((await history('named')).at(-1)!.event, long);
});

void t.test('a TTL of 0 is the shortest: the message reaches who listens, and is gone soon', async (t) => {
  const live = await openStream(t, `${instance.url}/topics/ttl.zero/events`);
  await live.next();
  await http.publish('ttl.zero', 'now', { TTL: '0' });
  await http.batch([{ topic: 'ttl.zero', data: 'or never', ttl: 0 }, { topic: 'ttl.zero', data: 'for ever' }]);
  await live.next(({ data }) => data === '"for ever"');
  await until('the TTL has passed', async () => (await history('ttl.zero')).length === 1);
  t.match(await history('ttl.zero'), [{ data: 'for ever' }]);
});

void t.test('a message whose TTL has passed is neither delivered nor replayed nor shown any more', async (t) => {
  let topic = '';
  let ids: string[] = [];
  let came: string[] = [];
  // Where the machine stands still for a second the message is over before it is delivered: then one that lasts longer is tried.
  for (let ttl = 1; ttl < 100 && came.length < 4; ttl *= 3) {
    topic = `ttl.${ttl}`;
    const live = await openStream(t, `${instance.url}/topics/${topic}/events`);
    await live.next();
    const answer = await http.post(topic, 'short', { TTL: String(ttl) });
    const [inBatch] = await http.batch([{ topic, data: 'short too', ttl }, { topic, data: 'long', ttl: 3600 }]);
    ids = [stored(answer.body).id, inBatch!];
    await http.publish(topic, 'for ever');
    await live.next(({ data }) => data === 'for ever');
    came = live.events.slice(1).map(({ data }) => data);
    live.destroy();
  }
  t.strictSame(came, ['short', '"short too"', '"long"', 'for ever'], 'while it lives it is delivered');
  await until('the TTL has passed', async () => (await history(topic)).length === 2);
  t.strictSame((await history(topic)).map(({ data }) => data), ['long', 'for ever']);
  for (const id of ids) t.equal((await http.get(`/messages/${id}`)).status, 404);
  const replay = await openStream(t, `${instance.url}/topics/${topic}/events?after=start`);
  t.strictSame([(await replay.next()).event, (await replay.next()).data, (await replay.next()).data], ['$open', '"long"', 'for ever']);
  const after = await openStream(t, `${instance.url}/topics/${topic}/events`, { headers: { 'Last-Event-ID': ids[0]! } });
  t.strictSame([(await after.next()).event, (await after.next()).data], ['$open', '"long"'], 'its id still says where a client was');
});
