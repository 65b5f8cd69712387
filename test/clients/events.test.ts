import { createParser } from 'eventsource-parser';
import t from 'tap';
import { Child } from '../support/child.ts';
import { CuttingProxy } from '../support/cutting-proxy.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { until } from '../support/until.ts';
import { chromiumKinds } from './support/chromium.ts';
import { furtherPrograms, programs, type Kind, type Received } from './support/kinds.ts';

/** What clients that we did not write hand to their applications: every message as it was published, and nothing that looks like one. */

const instance = await startInstance(t, { HEARTBEAT_SECONDS: '1', RETRY_MIN_MS: '50', RETRY_MAX_MS: '100', CORS_ORIGINS: '*' });
const http = new Http(t, instance.url);
const inChromium = await chromiumKinds(t);
const kinds: readonly Kind[] = [...programs, ...inChromium.kinds];

const HEARTBEAT = '\r\n:\n';

function isControl({ event }: Received): boolean {
  return event.startsWith('$');
}

void t.test('control events have a name and data that is JSON, are no messages, and heartbeats are nothing at all', async (t) => {
  const all = await Promise.all(kinds.map(async (kind) => {
    const proxy = await CuttingProxy.start(t, instance.port);
    // An id of another log: so a `$gap` comes too.
    return { kind, proxy, client: kind.open(t, `${proxy.url}/topics/quiet/events?after=anotherlog-5`) };
  }));
  await until('everyone was told of the gap', () => all.every(({ client }) => client.received.some(({ event }) => event === '$gap')));
  const first = await http.publish('quiet', 'a message');
  const second = await http.publish('quiet', '{"a":1}', { 'tidings-event': 'note', 'content-type': 'application/json' });
  const heartbeats = ({ proxy }: (typeof all)[number]): number => proxy.passages[0]!.body.toString('latin1').split(HEARTBEAT).length - 1;
  const cursors = ({ client }: (typeof all)[number]): number => client.received.filter(({ event }) => event === '$cursor').length;
  await until('everyone got heartbeats of both kinds', () => all.every((one) => heartbeats(one) >= 2 && cursors(one) >= 2));
  const third = await http.publish('quiet', 'after heartbeats');
  await until('everyone has the last message', () => all.every(({ client }) => client.received.some(({ data }) => data === 'after heartbeats')));
  for (const { kind, client } of all) {
    t.strictSame(client.received.filter((one) => !isControl(one)).map(({ event, data, id }) => [event, data, id]), [
      ['message', 'a message', first], ['note', '{"a":1}', second], ['message', 'after heartbeats', third],
    ], `${kind.name}: messages, and nothing else`);
    const controls = client.received.filter(isControl);
    t.strictSame(controls.slice(0, 2).map(({ event }) => event), ['$open', '$gap'], `${kind.name}: control events by their names`);
    t.ok(controls.every(({ data }) => typeof JSON.parse(data) === 'object'), `${kind.name}: with data that is JSON`);
    t.ok(client.received.every(({ data }) => data !== ''), `${kind.name}: nothing empty`);
  }
  t.strictSame(inChromium.faults, []);
});

/** 200 KiB of lines, with characters of one to four bytes. */
const LINES = Array.from({ length: 2048 }, (_, index) => `${String(index).padStart(6, '0')} ${'äé→😀'.repeat(7)}`).join('\n');
const LARGE = LINES + 'x'.repeat(Math.max(0, 200 * 1024 - Buffer.byteLength(LINES)));
const JSON_LINES = '[\n  "two\\nlines",\r\n  9007199254740993,\r  "😀"\n]\n';
const ONE_LINE = JSON.stringify('ü😀'.repeat(200 * 1024 / 6));

void t.test('large messages, line breaks and all of Unicode, cut in the middle', async (t) => {
  const before = await http.publish('large.one', 'before');
  const all = await Promise.all(kinds.map(async (kind, index) => {
    // In the first large message or the second, at a place of its own for each.
    const proxy = await CuttingProxy.start(t, instance.port, [{ part: 'body', bytes: 60_001 * (index + 1) }]);
    const path = index % 2 === 0 ? '/topics/large.one/events?' : '/events?topic=large.*&topic=none&';
    return { kind, proxy, many: index % 2 === 1, client: kind.open(t, `${proxy.url}${path}after=${before}`) };
  }));
  await http.publish('large.one', LARGE);
  await http.publish('large.one', ONE_LINE, { 'content-type': 'application/json' });
  await http.publish('large.one', JSON_LINES, { 'content-type': 'application/json' });
  const messages = (one: (typeof all)[number]): string[] => one.client.received.filter((event) => !isControl(event)).map(({ data }) => data);
  await until('everyone has everything', () => all.every((one) => messages(one).length >= 3));
  for (const one of all) {
    // On many topics the data stands inside an object: text as a JSON string, JSON as it is.
    const got = one.many ? messages(one).map((text) => (JSON.parse(text) as { data: unknown }).data) : messages(one);
    const expected = one.many ? [LARGE, JSON.parse(ONE_LINE), JSON.parse(JSON_LINES)] : [LARGE, ONE_LINE, JSON_LINES.replaceAll(/\r\n?/g, '\n')];
    t.equal(got.length, 3, `${one.kind.name}: every message once`);
    got.forEach((data, index) => t.ok(JSON.stringify(data) === JSON.stringify(expected[index]), `${one.kind.name}: message ${index + 1} is what was published`));
    t.equal(one.proxy.passages.length, 2, `${one.kind.name}: it was cut and came back`);
  }
});

void t.test("Python's libraries take text for UTF-8", async (t) => {
  const all = furtherPrograms.filter(({ name }) => name.startsWith('Python')).map((kind) => ({ kind, client: kind.open(t, `${instance.url}/topics/letters/events?after=start`) }));
  await http.publish('letters', 'größer 😀');
  const texts = ({ client }: (typeof all)[number]): string[] => client.received.filter((event) => !isControl(event)).map(({ data }) => data);
  await until('each has it', () => all.every((one) => texts(one).length > 0));
  for (const one of all) t.strictSame(texts(one), ['größer 😀'], one.kind.name);
  t.equal(all.length, 2);
});

void t.test('curl -N with ?control=0 gives a shell script the data and nothing else to stumble over', async (t) => {
  const script = new Child(t, 'curl', ['-sN', `${instance.url}/topics/script/events?control=0&after=anotherlog-5`]);
  await script.says('\n: gap unknown-log');
  await http.publish('script', 'first');
  await http.publish('script', 'two\nlines', { 'tidings-event': 'note' });
  await script.says(/data: lines\nid: \S+\n\n(?:.*\n)*:\n(?:.*\n)*:\n/);
  await http.publish('script', 'last');
  await script.says(/data: last\nid: \S+\n\n/);
  const lines = script.output.split('\n');
  t.strictSame(lines.filter((line) => line.startsWith('data:')), ['data: first', 'data: two', 'data: lines', 'data: last']);
  t.strictSame(lines.filter((line) => !/^(data: .*|event: note|id: [a-z0-9]+-\d+|retry: \d+|: gap .*|:|)$/.test(line)), []);
  const events: string[] = [];
  createParser({ onEvent: ({ event, data }) => void events.push(`${event ?? 'message'} ${data}`) }).feed(`${script.output}\n\n`);
  t.strictSame(events, ['message first', 'note two\nlines', 'message last']);
});
