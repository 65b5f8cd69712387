import t, { type Test } from 'tap';
import { createParser } from 'eventsource-parser';
import { openStream, type SseStream } from '../support/client.ts';
import { Http, seqOf } from '../support/http.ts';
import { startInstance, type Instance } from '../support/instance.ts';
import { until } from '../support/until.ts';

const RETENTION_BYTES = 64 * 1024;
const NOISE = 'x'.repeat(2048);

interface Gap {
  readonly requested: string | null;
  readonly resumed: string;
  readonly oldest: string;
  readonly reason: string;
}

interface Page {
  readonly messages: readonly { id: string; time: string }[];
  readonly cursor: string;
  readonly more: boolean;
  readonly gap?: Gap;
}

/** A log that keeps little, of which next to nothing is in memory: what a cursor says is asked of the database. */
async function start(t: Test): Promise<{ instance: Instance; http: Http }> {
  const instance = await startInstance(t, { RETENTION_BYTES: String(RETENTION_BYTES), TAIL_BYTES: '1KiB', HEARTBEAT_SECONDS: '1', POLL_MS: '50' });
  return { instance, http: new Http(t, instance.url) };
}

const noise = Array.from({ length: 100 }, () => ({ topic: 'noise', data: NOISE }));

/** Waits until retention has deleted what is too much: everything up to `id`, and more. */
async function deleted(http: Http, id: string): Promise<void> {
  await until('retention has deleted', async () => {
    const metrics = await http.metrics();
    return metrics.get('tidings_log_oldest')! > seqOf(id) && metrics.get('tidings_log_bytes')! <= RETENTION_BYTES;
  });
}

/** The first control events, up to the one that is `last`. */
async function upTo(stream: SseStream, last: string): Promise<SseStream['events']> {
  await stream.next(({ event }) => event === last);
  return stream.events;
}

function gapIn(stream: SseStream): Gap {
  const event = stream.events.find(({ event }) => event === '$gap');
  if (event === undefined) throw new Error(`There is no $gap: ${JSON.stringify(stream.events)}`);
  return JSON.parse(event.data) as Gap;
}

/** A log of which the first half and more was deleted; nothing more is published to it, so nothing more is deleted. */
const { instance, http } = await start(t);
// In one commit: retention looks after it or not at all, and what is left of it leaves room for a few words more.
const ids = await http.batch([...noise, ...noise]);
const timeOf = async (id: string): Promise<string> => (await http.json<{ time: string }>(`/messages/${id}`)).time;
// They have one time: the last one has another.
for (const time = await timeOf(ids.at(-1)!); await timeOf(ids.at(-1)!) === time;) ids.push(await http.publish('noise', 'the last'));
const last = ids.at(-1)!;
await deleted(http, ids[100]!);
const { messages: held } = await http.json<Page>('/topics/noise/messages?limit=1000');
const oldest = held[0]!.id;
const before = ids[ids.indexOf(oldest) - 1]!;

t.test('a quiet stream whose cursor moved on without messages comes back without a gap', async (t) => {
  const { instance, http } = await start(t);
  const url = `${instance.url}/topics/quiet/events`;
  const first = await http.publish('quiet', 'long ago');
  const quiet = await openStream(t, url);
  t.equal((await quiet.next()).id, first, '$open carries the position');
  const between = await http.batch(noise);
  const moved = await quiet.next(({ event, id }) => event === '$cursor' && seqOf(id) >= seqOf(between.at(-1)));
  t.equal(moved.data, '{}');
  const fresh = await openStream(t, url);
  const opened = await fresh.next(({ event }) => event === '$open');
  t.equal(seqOf(opened.id), seqOf(between.at(-1)));
  quiet.destroy();
  fresh.destroy();

  await deleted(http, between[0]!);
  t.equal((await http.get(`/messages/${first}`)).status, 404, 'its last message was deleted');
  for (const [by, id] of [['$cursor', moved.id!], ['$open', opened.id!]] as const) {
    const back = await openStream(t, url, { headers: { 'last-event-id': id } });
    t.equal((await back.next()).id, id);
    await http.publish('quiet', `after ${by}`);
    await back.next(({ data }) => data === `after ${by}`);
    t.notOk(back.events.some(({ event }) => event === '$gap'), `moved on by ${by}, it misses nothing`);
    back.destroy();
  }
  t.equal(await http.metric('gaps_total'), 0);
});

t.test('a cursor that missed deleted messages gets a gap before the replay: the requested id, the oldest one, and the next', async (t) => {
  const url = `${instance.url}/topics/noise/events`;
  const expected: Gap = { requested: ids[3]!, resumed: before, oldest, reason: 'expired' };

  let text = '';
  const stream = await openStream(t, url, { headers: { 'last-event-id': ids[3]! }, onData: (chunk) => { text += chunk.toString(); } });
  await stream.next(({ id }) => id === last);
  const [open, gap, ...rest] = stream.events;
  t.same([open!.event, open!.id, (JSON.parse(open!.data) as { cursor: unknown }).cursor], ['$open', undefined, null]);
  t.same([gap!.event, gap!.id, JSON.parse(gap!.data)], ['$gap', before, expected]);
  t.same(rest.filter(({ event }) => event === undefined).map(({ id }) => id), held.map(({ id }) => id), 'then everything that is held');

  // Cut after any byte before the end of $gap, a client has no id but the one it came with.
  const end = text.indexOf('\n\n', text.indexOf('$gap')) + 2;
  for (let cut = 0; cut < end; cut++) {
    let last: string | undefined;
    createParser({ onEvent: ({ id }) => { last = id ?? last; } }).feed(text.slice(0, cut));
    if (last !== undefined) t.fail(`cut after ${cut} of ${end} bytes, it would go on from ${last}`);
  }
  const cut = await openStream(t, url, { headers: { 'last-event-id': ids[3]! } });
  await cut.until(() => cut.events.length > 0);
  cut.destroy();
  const again = await openStream(t, url, { headers: { 'last-event-id': ids[3]! } });
  await upTo(again, '$gap');
  t.same(gapIn(again), expected, 'and with that it gets the gap again');

  const goesOn = await openStream(t, url, { headers: { 'last-event-id': gap!.id! } });
  t.equal((await goesOn.next()).id, gap!.id, 'who comes back with the id of the gap has been told');
  t.equal((await goesOn.next()).id, oldest);

  const silent = await openStream(t, `${url}?control=0`, { headers: { 'last-event-id': ids[3]! } });
  t.equal((await silent.next()).id, oldest, 'without control events the first is a message');
  t.same(silent.comments.map((comment) => comment.trim()).filter((comment) => comment !== ''), [`gap expired, resumed at ${before}`]);

  const page = await http.json<Page>(`/topics/noise/messages?after=${ids[3]}&limit=1000`);
  t.same(page.gap, expected);
  t.same(page.messages.map(({ id }) => id), held.map(({ id }) => id));
  t.equal((await http.json<Page>(`/topics/noise/messages?after=${page.cursor}`)).gap, undefined);
});

t.test('every way to say where to begin, and what each of them may have missed', async (t) => {
  const ahead = last.replace(/\d+$/, String(seqOf(last) + 1000));

  /** The reason of the gap, where it goes on, and the first message. */
  async function begins(query: string, header?: string): Promise<(string | null | undefined)[]> {
    const stream = await openStream(t, `${instance.url}/topics/noise/events?${query}`, header === undefined ? {} : { headers: { 'last-event-id': header } });
    const open = await stream.next();
    const gap = open.id === undefined ? JSON.parse((await stream.next()).data) as Gap : undefined;
    const at = open.id ?? gap!.resumed;
    const first = at === last ? undefined : (await stream.next(({ event }) => event === undefined)).id;
    stream.destroy();
    const page = await http.json<Page>(`/topics/noise/messages?limit=1&${header === undefined ? query : `after=${header}`}`);
    if (query !== '') t.same(page.gap, gap, `the history of ${query}${header ?? ''} says the same`);
    return [gap?.reason, gap?.requested, at, first];
  }

  t.same(await begins(''), [undefined, undefined, last, undefined], 'from now');
  t.same(await begins('after=start'), [undefined, undefined, before, oldest]);
  t.same(await begins('lastEventId=start&after=ignored'), [undefined, undefined, before, oldest]);
  t.same(await begins(`after=${ids[3]}`), ['expired', ids[3], before, oldest]);
  t.same(await begins(`since=${last}&after=${before}`), [undefined, undefined, before, oldest], 'after counts more than since');
  t.same(await begins(`after=${ids[3]}`, ids.at(-2)), [undefined, undefined, ids.at(-2), last], 'and the header more than all');
  t.same(await begins(`after=${ahead}`), ['ahead', ahead, last, undefined]);
  t.same(await begins('after=zzzzzzzzzz-7'), ['unknown-log', 'zzzzzzzzzz-7', before, oldest]);
  t.same(await begins('since=1h'), ['expired', null, before, oldest], 'a time before what was deleted');
  t.same((await begins(`since=${held.at(-1)!.time}`)).slice(0, 2), [undefined, undefined], 'a time after it');
  t.same(await begins('since=2099-01-01T00:00:00Z'), [undefined, undefined, last, undefined]);
  t.same(await begins('', 'zzzzzzzzzz-7'), ['unknown-log', 'zzzzzzzzzz-7', before, oldest], 'another log\'s id');
  t.same(await begins('', ahead), ['ahead', ahead, last, undefined]);
});

t.test('an invalid id is a gap in the header, and is never echoed; in the query it is an error', async (t) => {
  for (const garbage of ['<script>alert(1)</script>', 'a-1, b-2', `${last} `.repeat(3), '00000000', `${last}\u00e9`, '-----', 'x'.repeat(5000)]) {
    let text = '';
    const stream = await openStream(t, `${instance.url}/topics/noise/events`, { headers: { 'last-event-id': garbage }, onData: (chunk) => { text += chunk.toString('latin1'); } });
    t.equal(stream.status, 200);
    await upTo(stream, '$gap');
    t.match(gapIn(stream), { requested: null, reason: 'unknown-log' });
    t.notOk(text.includes(garbage), garbage.slice(0, 30));
    stream.destroy();
    const { status, body } = await http.get(`/topics/noise/events?after=${encodeURIComponent(garbage)}`);
    t.match([status, JSON.parse(body)], [400, { code: 'invalid-cursor', field: 'after' }]);
  }
});
