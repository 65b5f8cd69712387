import t, { type Test } from 'tap';
import { openStream, type SseStream } from '../support/client.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';

/** JSON stays the text that was published, byte for byte, on every way out. */

const instance = await startInstance(t, { LOG_LEVEL: 'warn' });
const http = new Http(t, instance.url);

const SOURCES = [
  '12345678901234567890123', '-0', '1.0', '1E400', '0.1000000000000000055511151231257827', '3.14e+00',
  '{"b":1,"a":2,"10":3,"9":4}',
  '{"same":1,"same":{"same":2,"same":3}}',
  '{ "spaced" :\t[ 1 ,2,   3 ] }',
  '"\\u0041\\/\\n\\u000a\\"\\\\"',
  '"\\u0000"', '"\\ud800"', '"\\udc00 \\ud83d\\ude00"',
  '"raw: é 😀 \u2028\u2029 \u0085 \u007f \ufeff"',
  '{"__proto__":{"x":1},"constructor":null,"":""}',
  '{"]":"}","[":["{",",\\"]"]}',
  '"data: x\\nid: 7\\n\\n"',
  'null', 'true', '""', '[]', '{}',
  `${'['.repeat(400)}${']'.repeat(400)}`,
];
/** Line breaks between tokens: they are kept where JSON is shown, and are the ends of `data:` lines in a stream. */
const WITH_LINES = ['{\n  "a": 1\n}', '[1,\r\n2,\r3]'];

/** A text as the name of an assertion. */
const shown = (text: string): string => JSON.stringify(text.slice(0, 40)).replace(/[^\x20-\x7e]|#/g, '?');
const asLines = (source: string): string => source.replace(/\r\n?/g, '\n');

async function isNext(t: Test, stream: SseStream, expected: string | RegExp, name: string): Promise<void> {
  const { data } = await stream.next(({ event }) => event !== '$open');
  if (typeof expected === 'string') t.equal(data, expected, name);
  else t.match(data, expected, name);
}

/** Checks every way out of what was published on a topic: in order, one message for each source. */
async function everyWayOut(t: Test, topic: string, sources: readonly string[], streams: readonly [data: SseStream, object: SseStream]): Promise<void> {
  const { body } = await http.get(`/topics/${topic}/messages?limit=1000`);
  const many = await http.get(`/messages?topic=${topic}&limit=1000`);
  const { messages } = JSON.parse(body) as { messages: { id: string }[] };
  t.equal(messages.length, sources.length);
  t.equal(many.body, body);
  let at = 0;
  for (const [index, source] of sources.entries()) {
    const { id } = messages[index]!;
    const single = (await http.get(`/messages/${id}`)).body.replace(/\n$/, '');
    t.ok(single.endsWith(`,"data":${source}}`), `GET /messages/{id}: ${shown(source)}`);
    const found = body.indexOf(single, at);
    t.ok(found >= at, `history: ${shown(source)}`);
    at = found + single.length;
    await isNext(t, streams[0], asLines(source), `a stream of data: ${shown(source)}`);
    await isNext(t, streams[1], asLines(single), `a stream of messages: ${shown(source)}`);
  }
}

const open = (query: string, topic: string): Promise<[SseStream, SseStream]> => Promise.all([
  openStream(t, `${instance.url}/topics/${topic}/events?${query}`), openStream(t, `${instance.url}/events?topic=${topic}&${query}`),
]);

await t.test('one at a time', async (t) => {
  const sources = [...SOURCES, ...WITH_LINES, ' \t{"outside": "is kept too"}\n '];
  const live = await open('', 'single');
  for (const stream of live) await stream.next(({ event }) => event === '$open');
  for (const source of sources) {
    const { status, body } = await http.send('POST', '/topics/single', { 'content-type': 'application/json' }, source);
    t.equal(status, 201, body);
  }
  await everyWayOut(t, 'single', sources, live);
  await everyWayOut(t, 'single', sources, await open('after=start', 'single'));
  for (const stream of live) t.strictSame(stream.faults, []);
});

await t.test('in an array', async (t) => {
  const sources = [...SOURCES, ...WITH_LINES];
  const live = await open('', 'array');
  for (const stream of live) await stream.next(({ event }) => event === '$open');
  const forms = [(source: string) => `{"topic":"array","data":${source}}`, (source: string) => ` { "data" :\r\n ${source} , "event":"message","topic" : "array" } `, (source: string) => `{"\\u0064ata":${source},"topic":"array"}`];
  const body = `[${sources.map((source, index) => forms[index % forms.length]!(source)).join(',\n')}]`;
  t.equal((await http.send('POST', '/messages', { 'content-type': 'application/json' }, body)).status, 201);
  await everyWayOut(t, 'array', sources, live);
  await everyWayOut(t, 'array', sources, await open('after=start', 'array'));
});

await t.test('in lines', async (t) => {
  const live = await open('', 'lines');
  for (const stream of live) await stream.next(({ event }) => event === '$open');
  const body = SOURCES.map((source) => `{"topic":"lines", "data":${source} }\n`).join('');
  t.equal((await http.send('POST', '/messages', { 'content-type': 'application/x-ndjson' }, body)).status, 201);
  await everyWayOut(t, 'lines', SOURCES, live);
});

await t.test('after a restart, from the database', async (t) => {
  await instance.restart('SIGKILL');
  await everyWayOut(t, 'lines', SOURCES, await open('after=start', 'lines'));
  await everyWayOut(t, 'array', [...SOURCES, ...WITH_LINES], await open('after=start', 'array'));
});

await t.test('text is a JSON string in JSON, with any characters', async (t) => {
  const texts = ['', ' ', '\0', 'a\0b', '\u{feff}mark', '"quoted" \\ {"json":1}', 'tab\tbell\x07escape\x1b', '\u2028', '😀', 'null', 'id: 7'];
  for (const text of texts) await http.publish('text', text);
  const { messages } = await http.json<{ messages: { id: string; data: string }[] }>('/topics/text/messages');
  t.strictSame(messages.map(({ data }) => data), texts);
  for (const [index, { id }] of messages.entries()) t.equal((await http.json<{ data: string }>(`/messages/${id}`)).data, texts[index]);
  const [data, object] = await open('after=start', 'text');
  for (const text of texts) {
    await isNext(t, data, text, shown(text));
    t.equal((JSON.parse((await object.next(({ event }) => event !== '$open')).data) as { data: string }).data, text);
  }
});
