import t from 'tap';
import { openStream, type SseStream } from '../support/client.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { RawConnection, requestBytes } from '../support/raw.ts';
import { until } from '../support/until.ts';

/** Streams: their first words, what reaches them, how it is written, and how one is refused. */

const ID = /^[a-z0-9]{8,}-[0-9]+$/;
const RETRY_MIN_MS = 1000;
const RETRY_MAX_MS = 4000;

const instance = await startInstance(t, { LOG_LEVEL: 'warn' });
const http = new Http(t, instance.url);

const isMessage = ({ event }: { event?: string | undefined }): boolean => event?.startsWith('$') !== true;

async function open(path: string, headers: Readonly<Record<string, string>> = {}): Promise<SseStream> {
  return openStream(t, instance.url + path, { headers });
}

/** The data of the next messages, up to and without the one whose data is `end`. */
async function dataUntil(stream: SseStream, end: string): Promise<string[]> {
  const data: string[] = [];
  for (;;) {
    const event = await stream.next(isMessage);
    if (event.data === end) return data;
    data.push(event.data);
  }
}

await t.test('a stream begins with $open: its reconnection time and the place from which it reads', async (t) => {
  for (const path of ['/topics/begin/events', '/events?topic=begin', '/topics/begin/events?after=start', '/topics/begin/events?control=1']) {
    const stream = await open(path);
    const { event, data, id } = await stream.next();
    t.equal(event, '$open', path);
    t.match(id, ID);
    const { cursor, stream: handle, ...rest } = JSON.parse(data) as { readonly cursor: string; readonly stream: { readonly id: string; readonly secret: string } };
    t.strictSame([cursor, rest], [id, {}]);
    t.match(handle, { id: /^[a-z0-9]{10}-[0-9a-z]+$/, secret: /^[A-Za-z0-9_-]{22}$/ });
    t.ok(stream.retry! >= RETRY_MIN_MS && stream.retry! <= RETRY_MAX_MS);
    stream.destroy();
  }
});

await t.test('each stream is told a time of its own to come back, so that all do not come back at once', async (t) => {
  const streams = await Promise.all(Array.from({ length: 40 }, () => open('/topics/jitter/events')));
  for (const stream of streams) await stream.next();
  const times = streams.map(({ retry }) => retry!);
  t.ok(times.every((time) => Number.isInteger(time) && time >= RETRY_MIN_MS && time <= RETRY_MAX_MS));
  t.ok(new Set(times).size > 30, 'they differ');
  t.ok(Math.max(...times) - Math.min(...times) > (RETRY_MAX_MS - RETRY_MIN_MS) / 2, 'over the whole range');
  for (const stream of streams) stream.destroy();
});

await t.test('a frame is the event name, the data, and the id last', async (t) => {
  const connection = await RawConnection.open(t, instance);
  connection.send(requestBytes('GET', '/topics/frames/events'));
  await connection.until('$open', () => connection.text.endsWith('\n\n\r\n'));
  const plain = await http.publish('frames', 'plain');
  const named = JSON.parse((await http.send('POST', '/topics/frames?event=na%20med%C3%A9', {}, 'a\nb')).body) as { id: string };
  const [json] = await http.batch([{ topic: 'frames', data: { x: 1 }, event: 'message' }]);
  await connection.until('the last frame', () => connection.text.includes(`id: ${json}\n\n`));
  const { body } = connection.answers('GET')[0]!;
  t.match(body, /^event: \$open\nretry: [0-9]+\ndata: \{"cursor":"[a-z0-9]+-[0-9]+","stream":\{[^\n]*\}\}\nid: [a-z0-9]+-[0-9]+\n\n/);
  t.equal(body.slice(body.indexOf('\n\n') + 2), `data: plain\nid: ${plain}\n\nevent: na medé\ndata: a\ndata: b\nid: ${named.id}\n\ndata: {"x":1}\nid: ${json}\n\n`);
  connection.destroy();
});

await t.test('every text comes out as one event, with line breaks as LF', async (t) => {
  const TEXTS = [
    'a\rb', 'a\nb', 'a\r\nb', '\r', '\n', '\r\n', '\n\r', 'a\r\n\r\nb', 'ends\n', '\nbegins', ' space', ':', 'data: x', 'x\n\nid: abcdefgh-7\nevent: $gap\ndata: {}\n\n',
    'x\r\rretry: 1\r\r', ':comment\n', 'é\r😀', '\u2028x\u0085y\u000bz',
  ];
  const [data, object] = [await open('/topics/lines/events'), await open('/events?topic=lines')];
  for (const stream of [data, object]) await stream.next();
  for (const text of TEXTS) {
    const id = await http.publish('lines', text);
    t.match(await data.next(), { event: undefined, id, data: text.replace(/\r\n?/g, '\n') }, JSON.stringify(text).replace(/[^\x20-\x7e]|#/g, '?'));
    const event = await object.next();
    t.equal(event.id, id);
    t.match(JSON.parse(event.data), { id, topic: 'lines', event: 'message', data: text }, 'with the message around it, every character is kept');
  }
  t.strictSame([data.faults, object.faults], [[], []]);
  t.strictSame([data.events.length, object.events.length], [TEXTS.length + 1, TEXTS.length + 1], 'nothing else came');
});

await t.test('events have the names that they were given; a message without one has none', async (t) => {
  const [data, object] = [await open('/topics/names/events'), await open('/events?topic=names')];
  for (const stream of [data, object]) await stream.next();
  for (const event of ['deploy', 'a b', 'grüße', 'message', undefined, 'Error', '1', ':']) {
    await http.send('POST', `/topics/names${event === undefined ? '' : `?event=${encodeURIComponent(event)}`}`, {}, 'x');
    const expected = event === 'message' ? undefined : event;
    t.equal((await data.next()).event, expected);
    const one = await object.next();
    t.equal(one.event, expected);
    t.equal((JSON.parse(one.data) as { event: string }).event, event ?? 'message');
  }
});

await t.test('a pattern gets what matches it, once, in order', async (t) => {
  const TOPICS = ['p', 'p.a', 'p.b', 'p.a.x', 'p.a.y', 'p.b.x', 'q.a', 'p.a.x.1'];
  const WANTED: Readonly<Record<string, readonly string[]>> = {
    'topic=p': ['p'],
    'topic=p.a': ['p.a'],
    'topic=p.*': ['p.a', 'p.b'],
    'topic=p.%3E': ['p.a', 'p.b', 'p.a.x', 'p.a.y', 'p.b.x', 'p.a.x.1'],
    'topic=*.a': ['p.a', 'q.a'],
    'topic=p.*.x': ['p.a.x', 'p.b.x'],
    'topic=*.*.%3E': ['p.a.x', 'p.a.y', 'p.b.x', 'p.a.x.1'],
    'topic=%3E': TOPICS,
    'topic=p.a&topic=p.a': ['p.a'],
    'topic=p.a&topic=p.*&topic=p.%3E&topic=*.a&topic=p.a': ['p.a', 'p.b', 'p.a.x', 'p.a.y', 'p.b.x', 'q.a', 'p.a.x.1'],
    'topic=q.a&topic=p': ['p', 'q.a'],
    'topic=nothing.*&topic=p.b': ['p.b'],
  };
  const live = new Map<string, SseStream>();
  for (const query of Object.keys(WANTED)) live.set(query, await open(`/events?${query}&topic=end`));
  for (const stream of live.values()) await stream.next();
  const from = live.get('topic=p')!.events[0]!.id!;
  await http.batch(TOPICS.slice(0, 4).map((topic) => ({ topic, data: topic })));
  for (const topic of TOPICS.slice(4)) await http.publish(topic, topic);
  await http.publish('end', 'end');
  const came = async (stream: SseStream): Promise<string[]> => {
    const topics: string[] = [];
    for (;;) {
      const { topic } = JSON.parse((await stream.next(isMessage)).data) as { topic: string };
      if (topic === 'end') return topics;
      topics.push(topic);
    }
  };
  for (const [query, topics] of Object.entries(WANTED)) {
    t.strictSame(await came(live.get(query)!), topics, `live: ${query}`);
    t.strictSame(await came(await open(`/events?${query}&topic=end&after=${from}`)), topics, `replayed: ${query}`);
  }
  for (const stream of live.values()) stream.destroy();
});

await t.test('a pattern in the path too; a reserved topic may be read, and no wildcard matches it', async (t) => {
  const stream = await open('/topics/path.*.%3E/events');
  const reserved = await open('/topics/$reserved/events');
  t.equal((await reserved.next()).event, '$open');
  await stream.next();
  for (const topic of ['path.a', 'path.a.b', 'path.c.d.e', 'other.a.b']) await http.publish(topic, topic);
  t.strictSame([(await stream.next()).data, (await stream.next()).data], ['path.a.b', 'path.c.d.e']);
});

await t.test('a stream of a hundred topics', async (t) => {
  const topics = Array.from({ length: 100 }, (_, index) => `hundred.${index}.${'x'.repeat(200)}`);
  const stream = await open(`/events?${topics.map((topic) => `topic=${topic}`).join('&')}`);
  await stream.next();
  await http.batch([...topics.map((topic, index) => ({ topic, data: index })), { topic: 'hundred', data: 'not wanted' }]);
  for (const index of topics.keys()) t.equal((JSON.parse((await stream.next()).data) as { data: number }).data, index);
});

await t.test('nothing is lost, doubled, or out of order where replay becomes live', async (t) => {
  const COUNT = 400;
  const publishing = (async () => {
    for (let index = 0; index < COUNT; index++) await http.publish('seam', String(index));
    await http.publish('seam', 'end');
  })();
  const expected = Array.from({ length: COUNT }, (_, index) => String(index));
  for (let opened = 1; opened <= 10; opened++) {
    await until('some more are there', async () => await http.metric('log_head') >= opened * 10);
    const stream = await open('/topics/seam/events?after=start');
    t.strictSame(await dataUntil(stream, 'end'), expected, `stream ${opened}`);
  }
  await publishing;
});

await t.test('control=0 leaves out everything but messages', async (t) => {
  await http.publish('control', 'first');
  const stream = await open('/topics/control/events?control=0&after=start');
  await http.publish('control', 'second');
  t.strictSame([(await stream.next()).data, (await stream.next()).data], ['first', 'second'], 'the first event is a message');
  t.ok(stream.retry! >= RETRY_MIN_MS && stream.retry! <= RETRY_MAX_MS, 'it is told when to come back all the same');
  const gap = await open('/events?topic=control&control=0', { 'Last-Event-ID': 'anotherlog-7' });
  t.equal((JSON.parse((await gap.next()).data) as { data: string }).data, 'first');
  t.match(gap.comments, [/gap unknown-log/], 'a gap is a comment');
  t.strictSame([stream.comments, stream.faults, gap.faults], [[], [], []]);
});

await t.test('names=0 leaves the names of messages out, and nothing else', async (t) => {
  const data = '/topics/unnamed/events?names=0&after=start';
  const streams = [await open(data), await open(`${data}&control=0`), await open('/events?topic=unnamed&names=0'), await open('/events?topic=unnamed')];
  for (const stream of [streams[0]!, streams[2]!, streams[3]!]) t.equal((await stream.next()).event, '$open', 'control events keep theirs');
  await http.publish('unnamed', 'one');
  await http.send('POST', '/topics/unnamed?event=deployed', {}, 'two\nlines');
  const old = await RawConnection.open(t, instance);
  old.send('GET /topics/unnamed/events?names=0&after=start HTTP/1.0\r\n\r\n');
  for (const stream of streams.slice(0, 2)) t.match([await stream.next(), await stream.next()], [{ event: undefined, data: 'one' }, { event: undefined, data: 'two\nlines', id: ID }]);
  for (const [stream, event] of [[streams[2]!, undefined], [streams[3]!, 'deployed']] as const) {
    const [first, second] = [await stream.next(), await stream.next()];
    t.strictSame([first.event, second.event], [undefined, event]);
    t.match(JSON.parse(second.data), { event: 'deployed', data: 'two\nlines' }, 'the message still tells its name');
  }
  await old.until('both messages', () => old.text.includes('data: lines\nid: '));
  t.notMatch(old.text, 'event: deployed');
  old.destroy();
});

await t.test('with pattern=0 a topic is a topic', async (t) => {
  const stream = await open('/events?topic=literal.a&topic=literal.b&pattern=0');
  await stream.next();
  await http.publish('literal.b', 'x');
  t.equal((JSON.parse((await stream.next()).data) as { data: string }).data, 'x');
  for (const path of ['/topics/literal.%3E/events?pattern=0', '/events?topic=literal.a&topic=%3E&pattern=0', '/topics/%3E/messages?pattern=0', '/messages?topic=*&pattern=0']) t.equal((await http.get(path)).status, 400, path);
  t.equal((await http.get('/topics/literal.b/messages?pattern=0')).status, 200);
});

await t.test('an instance that is full answers 200, $busy, and an end that nobody takes for the end of it all', async (t) => {
  const small = await startInstance(t, { LOG_LEVEL: 'warn', MAX_STREAMS: '1' });
  const client = new Http(t, small.url);
  const only = await openStream(t, `${small.url}/topics/a/events`);
  await only.next();
  for (const path of ['/topics/a/events', '/events?topic=a', '/topics/a/events?after=start']) {
    const busy = await openStream(t, small.url + path, { headers: { 'Last-Event-ID': 'abcdefgh-7' } });
    t.strictSame([busy.status, busy.headers['content-type'], busy.headers['cache-control']], [200, 'text/event-stream; charset=utf-8', 'no-cache, no-transform']);
    t.strictSame(await busy.ended, { clean: false }, 'without the last chunk');
    t.equal(busy.events.length, 1);
    const [event] = busy.events;
    const { retryMs } = JSON.parse(event!.data) as { retryMs: number };
    t.match(event, { event: '$busy', id: undefined });
    t.equal(busy.retry, retryMs);
    t.ok(retryMs >= RETRY_MIN_MS && retryMs <= RETRY_MAX_MS);
  }
  for (const [accept, complete] of [['text/event-stream', false], ['*/*', true], ['text/html, text/event-stream;q=0.5', false], [undefined, true]] as const) {
    const connection = await RawConnection.open(t, small);
    connection.send(requestBytes('GET', '/topics/a/events', accept === undefined ? {} : { Accept: accept }));
    await connection.untilClosed();
    t.match(connection.answers('GET'), [{ complete, headers: { connection: complete ? 'close' : 'keep-alive' } }], `with the last chunk, or without: ${accept}`);
    t.equal(connection.reset, false);
  }
  const silent = await openStream(t, `${small.url}/topics/a/events?control=0`);
  await silent.ended;
  t.strictSame([silent.events, typeof silent.retry], [[], 'number']);
  const old = await RawConnection.open(t, small);
  old.send('GET /topics/a/events HTTP/1.0\r\n\r\n');
  await old.untilClosed();
  t.match(old.answers('GET')[0]!.body, /^event: \$busy\nretry: ([0-9]+)\ndata: \{"retryMs":\1,"reason":"full"\}\n\n$/);
  t.equal(await client.metric('streams_busy_total'), 9);
  t.equal(await client.metric('streams'), 1);
  t.equal((await client.get('/topics/a..b/events')).status, 400, 'what will not get better by itself is still said');
  t.equal((await client.send('HEAD', '/topics/a/events')).status, 200);
  await client.publish('a', 'x');
  t.equal((await only.next()).data, 'x', 'the one that is there is not disturbed');
  only.destroy();
  await until('it has left', async () => await client.metric('streams') === 0);
  t.equal((await (await openStream(t, `${small.url}/topics/a/events`)).next()).event, '$open');
});
