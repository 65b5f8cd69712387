import t from 'tap';
import { openStream } from '../support/client.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';

/** From where a client reads: every way to say it, for streams and for history alike. */

const instance = await startInstance(t, { LOG_LEVEL: 'warn' });
const http = new Http(t, instance.url);

interface Stored {
  readonly id: string;
  readonly time: string;
}

/** Publishes, and again on a topic that nobody reads until the clock has moved on: so no two messages have one time. */
async function publish(data: string): Promise<Stored> {
  const stored = JSON.parse((await http.post('cursors', data)).body) as Stored;
  for (let time = stored.time; time === stored.time;) time = (JSON.parse((await http.post('tick', '')).body) as Stored).time;
  return stored;
}

const messages: Stored[] = [];
for (let number = 1; number <= 5; number++) messages.push(await publish(String(number)));
const ids = messages.map(({ id }) => id);
const [epoch] = ids[0]!.split('-');

/** A time as another time zone writes it: `+02:00` or `-05:30`. */
function zoned(time: string, sign: '+' | '-', hours: number, minutes: number): string {
  const shift = (hours * 60 + minutes) * 60_000 * (sign === '+' ? 1 : -1);
  return `${new Date(Date.parse(time) + shift).toISOString().slice(0, -1)}${sign}${String(hours).padStart(2, '0')}:${String(minutes).padStart(2, '0')}`;
}

interface Way {
  readonly name: string;
  readonly query?: string;
  readonly header?: string;
  /** The messages that come, by their data; live ones not counted. */
  readonly expected: string;
  /** What history answers, once there is a sixth message; that and what a stream gets where it is not said. */
  readonly page?: string;
}

const third = messages[2]!.time;
const WAYS: readonly Way[] = [
  { name: 'nothing: live from now', expected: '', page: '123456' },
  { name: 'the header', header: ids[1]!, expected: '345' },
  { name: 'the header, at the newest', header: ids[4]!, expected: '' },
  { name: 'lastEventId', query: `lastEventId=${ids[1]}`, expected: '345' },
  { name: 'lastEventID', query: `lastEventID=${ids[1]}`, expected: '345' },
  { name: 'Last-Event-ID in the query', query: `Last-Event-ID=${ids[1]}`, expected: '345' },
  { name: 'last_event_id', query: `last_event_id=${ids[1]}`, expected: '345' },
  { name: 'an id that a library appended to a URL that had one', query: `lastEventId=${ids[1]}&lastEventId=${ids[2]}`, expected: '45' },
  { name: 'an id that a library appended to a URL that had one under another name', query: `lastEventId=${ids[1]}&Last-Event-ID=${ids[2]}`, expected: '45' },
  { name: 'the header of a library after that of the page', header: `${ids[1]}, ${ids[2]}`, expected: '45' },
  { name: 'what is no id gives way to a time', query: 'lastEventId=null&since=10m', expected: '12345' },
  { name: 'a header that is no id gives way to the query', header: 'undefined', query: `lastEventId=${ids[2]}`, expected: '45' },
  { name: 'parameters of others', query: `_=1700000000&t=1&ts=2&v=3&cb=4&nocache=5&utm_source=x&utm_medium=y&gclid=z&after=${ids[1]}`, expected: '345' },
  { name: 'after', query: `after=${ids[1]}`, expected: '345' },
  { name: 'after a message of another topic', query: `after=${epoch}-${Number(ids[2]!.split('-')[1]) + 1}`, expected: '45' },
  { name: 'before the first message', query: `after=${epoch}-0`, expected: '12345' },
  { name: 'after=start', query: 'after=start', expected: '12345' },
  { name: 'lastEventId=start', query: 'lastEventId=start', expected: '12345' },
  { name: 'since a duration', query: 'since=10m', expected: '12345' },
  { name: 'since a duration of many parts', query: 'since=1d2h30m10s500ms', expected: '12345' },
  { name: 'since a duration longer than the log is old', query: 'since=3650d', expected: '12345' },
  { name: 'since a time, that of a message: it is included', query: `since=${third}`, expected: '345' },
  { name: 'since a time one millisecond later', query: `since=${new Date(Date.parse(third) + 1).toISOString()}`, expected: '45' },
  { name: 'since a time in small letters', query: `since=${third.toLowerCase()}`, expected: '345' },
  { name: 'since a time of another zone', query: `since=${zoned(third, '-', 5, 30)}`, expected: '345' },
  { name: 'since a time with an encoded +', query: `since=${zoned(third, '+', 2, 0).replace('+', '%2B')}`, expected: '345' },
  { name: 'since a time whose + arrives as a space', query: `since=${zoned(third, '+', 2, 0)}`, expected: '345' },
  { name: 'since a time whose + was made %20', query: `since=${zoned(third, '+', 2, 0).replace('+', '%20')}`, expected: '345' },
  { name: 'since long ago', query: 'since=1970-01-01T00:00:00Z', expected: '12345' },
  { name: 'since a time to come', query: 'since=2999-12-31T23:59:60Z', expected: '', page: '' },
  { name: 'the last two', query: 'last=2', expected: '45', page: '56' },
  { name: 'the last of more than there are', query: 'last=1000', expected: '12345' },
  { name: 'the last none: from now', query: 'last=0', expected: '', page: '' },
  { name: 'an id goes before the last', header: ids[2]!, query: 'last=1', expected: '45' },
  { name: 'an id in the query goes before the last', query: `last=1&Last-Event-ID=${ids[2]}`, expected: '45' },
  { name: 'what is no id gives way to the last', query: 'lastEventId=null&last=2', expected: '45', page: '56' },
  { name: 'an empty header is none', header: '', expected: '', page: '123456' },
  { name: 'an empty header gives way to the query', header: '', query: `after=${ids[3]}`, expected: '5' },
  { name: 'empty parameters are none', query: `lastEventId=&after=&since=10m`, expected: '12345' },
  { name: 'the header goes first', header: ids[3]!, query: `lastEventId=${ids[2]}&after=${ids[1]}&since=10m`, expected: '5' },
  { name: 'then lastEventId', query: `since=10m&after=${ids[1]}&lastEventId=${ids[2]}`, expected: '45' },
  { name: 'then after', query: `since=10m&after=${ids[1]}`, expected: '345' },
];

void t.test('a stream begins where it is asked to', async (t) => {
  for (const path of ['/topics/cursors/events?', '/events?topic=cursors&']) {
    for (const { name, query = '', header, expected } of WAYS) {
      const stream = await openStream(t, `${instance.url}${path}${query}`, { headers: header === undefined ? {} : { 'Last-Event-ID': header } });
      const open = await stream.next();
      t.equal(open.event, '$open', name);
      t.equal((JSON.parse(open.data) as { cursor: unknown }).cursor, open.id, `${name}: no gap`);
      const came: string[] = [];
      while (came.length < expected.length) came.push((await stream.next()).id!);
      t.strictSame(came, expected.split('').map((number) => ids[Number(number) - 1]), `${path} ${name}`);
      stream.destroy();
    }
  }
  // Whatever begins at the end of the log gets the next message and nothing before it.
  const atTheEnd = await Promise.all(WAYS.filter(({ expected }) => expected === '').map(({ query = '', header }) => (
    openStream(t, `${instance.url}/topics/cursors/events?${query}`, { headers: header === undefined ? {} : { 'Last-Event-ID': header } })
  )));
  for (const stream of atTheEnd) await stream.next(({ event }) => event === '$open');
  const next = await http.publish('cursors', '6');
  for (const stream of atTheEnd) t.equal((await stream.next()).id, next);
});

void t.test('a cursor that a page passes on is never refused: an invalid one begins now, with a gap that says so', async (t) => {
  for (const path of ['/topics/later/events?', '/events?topic=later&']) {
    for (const [remembered, header] of [['null'], ['undefined'], ['0'], ['1700000000000'], ['2026-11-22T10:15:30Z'], ['abcdefgh-01'], ['', 'null'], ['', '1700000000']] as const) {
      const head = await http.metric('log_head');
      const stream = await openStream(t, `${instance.url}${path}lastEventId=${remembered}`, { headers: header === undefined ? {} : { 'Last-Event-ID': header } });
      t.same([stream.status, (await stream.next()).event], [200, '$open'], remembered);
      const gap = await stream.next();
      t.strictSame([gap.event, JSON.parse(gap.data)], ['$gap', { requested: null, resumed: `${epoch}-${head}`, oldest: `${epoch}-1`, reason: 'unknown-log' }], remembered);
      const next = await http.publish('later', 'next');
      t.equal((await stream.next()).id, next, 'nothing that was there before');
      stream.destroy();
    }
  }
});

void t.test('history takes the same, and begins at the oldest when it is not told', async (t) => {
  for (const path of ['/topics/cursors/messages?', '/messages?topic=cursors&']) {
    for (const { name, query = '', header, expected, page: wanted = `${expected}6` } of WAYS) {
      const { status, body } = await http.get(path + query, header === undefined ? {} : { 'Last-Event-ID': header });
      t.equal(status, 200, body);
      const page = JSON.parse(body) as { messages: { data: string }[]; gap?: unknown };
      t.equal(page.messages.map(({ data }) => data).join(''), wanted, `${path} ${name}`);
      t.equal(page.gap, undefined, name);
    }
  }
});

void t.test('the place in $open is as good as a message', async (t) => {
  const stream = await openStream(t, `${instance.url}/topics/cursors/events`);
  const { id } = await stream.next();
  stream.destroy();
  const missed = await http.publish('cursors', 'missed');
  const again = await openStream(t, `${instance.url}/topics/cursors/events`, { headers: { 'Last-Event-ID': id! } });
  t.equal((await again.next()).id, id);
  t.equal((await again.next()).id, missed);
});

void t.test('a foreign id is a gap, not an error, and is not repeated', async (t) => {
  const NONE = ['7', 'null', 'undefined', '0', '-1', 'ABCDEFGH-1', 'abcdefgh', 'abcdefgh-01', `${epoch}-1.5`, `${epoch}-99999999999999999999`, '<script>', 'data: x', '\u00e9', 'x'.repeat(1000)];
  for (const header of NONE) {
    const head = await http.metric('log_head');
    const stream = await openStream(t, `${instance.url}/topics/later/events`, { headers: { 'Last-Event-ID': header } });
    t.equal(stream.status, 200);
    const open = await stream.next();
    const gap = await stream.next();
    t.strictSame([open.event, open.id, (JSON.parse(open.data) as { cursor: unknown }).cursor], ['$open', undefined, null], 'a cut after $open must not hide the gap');
    t.strictSame([gap.event, JSON.parse(gap.data)], ['$gap', { requested: null, resumed: `${epoch}-${head}`, oldest: `${epoch}-1`, reason: 'unknown-log' }], header.slice(0, 20));
    t.equal(gap.id, `${epoch}-${head}`);
    const next = await http.publish('later', 'next');
    t.equal((await stream.next()).id, next, 'and goes on with what is published next');
    stream.destroy();
    const page = JSON.parse((await http.get('/topics/cursors/messages', { 'Last-Event-ID': header })).body) as { messages: { id: string }[]; gap: unknown };
    t.equal(page.messages[0]!.id, ids[0], 'history begins at the oldest message, as without it');
    t.strictSame(page.gap, { requested: null, resumed: `${epoch}-0`, oldest: `${epoch}-1`, reason: 'unknown-log' });
  }
});

void t.test('an id of another log, and one ahead of this one, are gaps that say so, in every form', async (t) => {
  const head = await http.metric('log_head');
  const OTHERS = [
    ['abcdefgh-3', { requested: 'abcdefgh-3', resumed: `${epoch}-0`, oldest: `${epoch}-1`, reason: 'unknown-log' }],
    [`${epoch}-${head + 1}`, { requested: `${epoch}-${head + 1}`, resumed: `${epoch}-${head}`, oldest: `${epoch}-1`, reason: 'ahead' }],
    [`${epoch}-9007199254740991`, { requested: `${epoch}-9007199254740991`, resumed: `${epoch}-${head}`, oldest: `${epoch}-1`, reason: 'ahead' }],
  ] as const;
  for (const [id, expected] of OTHERS) {
    for (const [query, headers] of [['', { 'Last-Event-ID': id }], [`lastEventId=${id}`, {}], [`after=${id}`, {}]] as const) {
      const stream = await openStream(t, `${instance.url}/events?topic=cursors&${query}`, { headers });
      t.strictSame([(await stream.next()).id, JSON.parse((await stream.next()).data)], [undefined, expected], `${id} ${query}`);
      stream.destroy();
      const page = await http.get(`/messages?topic=cursors&limit=1&${query}`, headers);
      t.strictSame((JSON.parse(page.body) as { gap: unknown }).gap, expected, `history: ${id} ${query}`);
    }
  }
});
