import t from 'tap';
import { openStream } from '../support/client.ts';
import { Http, seqOf } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { until } from '../support/until.ts';

/** The log in pages, and one message at a time. */

interface Page {
  readonly messages: readonly { readonly id: string; readonly topic: string; readonly data: unknown }[];
  readonly cursor: string;
  readonly more: boolean;
  readonly gap?: { readonly requested: string | null; readonly resumed: string; readonly oldest: string; readonly reason: string };
}

const RETENTION_BYTES = 2 * 1024 * 1024;

/** The second has next to nothing in memory, and keeps little. */
const [instance, other] = await Promise.all([
  startInstance(t, { LOG_LEVEL: 'warn' }), startInstance(t, { LOG_LEVEL: 'warn', TAIL_BYTES: '1KiB', RETENTION_BYTES: String(RETENTION_BYTES) }),
]);
const [http, small] = [new Http(t, instance.url), new Http(t, other.url)];

/** Every page from a place to the end, as a client reads them: each with the cursor of the one before. */
async function pages(client: Http, path: string, first = ''): Promise<Page[]> {
  const all: Page[] = [];
  for (let query = first; ;) {
    const page = await client.json<Page>(`${path}${path.includes('?') ? '&' : '?'}${query}`);
    all.push(page);
    if (!page.more) return all;
    query = [`after=${page.cursor}`, ...first.split('&').filter((part) => part.startsWith('limit='))].join('&');
  }
}

void t.test('pages lead from the oldest message to the newest, each message once', async (t) => {
  await http.batch(Array.from({ length: 250 }, (_, index) => ({ topic: 'paged', data: index })));
  const expected = Array.from({ length: 250 }, (_, index) => index);
  for (const [limit, sizes] of [['', [100, 100, 50]], ['limit=70', [70, 70, 70, 40]], ['limit=1000', [250]], ['limit=250', [250]]] as const) {
    const all = await pages(http, '/topics/paged/messages', limit);
    t.strictSame(all.map(({ messages }) => messages.length), sizes, `${limit}: oldest first, and not a page more than needed`);
    t.strictSame(all.flatMap(({ messages }) => messages.map(({ data }) => data)), expected, limit);
    t.strictSame(all.map(({ more }) => more), sizes.map((_, index) => index < sizes.length - 1), limit);
    for (const page of all) t.equal(page.cursor, page.messages.at(-1)!.id);
  }
  t.strictSame((await pages(http, '/topics/paged/messages', 'limit=1')).length, 250);
});

void t.test('a page holds 1,000 messages and 4 MiB of data at most', async (t) => {
  for (let batch = 0; batch < 2; batch++) await http.batch(Array.from({ length: 600 }, (_, index) => ({ topic: 'long', data: batch * 600 + index })));
  t.strictSame((await pages(http, '/topics/long/messages', 'limit=1000')).map(({ messages }) => messages.length), [1000, 200]);
  for (let batch = 0; batch < 3; batch++) await http.batch(Array.from({ length: 10 }, (_, index) => ({ topic: 'wide', data: `${batch * 10 + index}${'x'.repeat(250_000)}` })));
  const wide = await pages(http, '/topics/wide/messages', 'limit=1000');
  t.ok(wide.length > 1 && wide[0]!.messages.length < 20, 'large messages make smaller pages');
  t.strictSame(wide.flatMap(({ messages }) => messages.map(({ data }) => parseInt(data as string, 10))), Array.from({ length: 30 }, (_, index) => index));
});

void t.test('rare topics are found among many others, in memory and in the database', async (t) => {
  for (const [name, client] of [['from memory', http], ['from the database', small]] as const) {
    const expected: string[] = [];
    for (let batch = 0; batch < 6; batch++) {
      const ids = await client.batch(Array.from({ length: 1000 }, (_, index) => ({ topic: index === 500 ? `rare.${batch}` : `common.${index % 7}`, data: index })));
      expected.push(ids[500]!);
    }
    for (const [path, first, wanted] of [
      ['/topics/rare.%3E/messages', '', expected], ['/topics/rare.*/messages', 'limit=2', expected], ['/messages?topic=rare.*&topic=rare.3', 'limit=1', expected],
      ['/topics/rare.3/messages', 'after=start', [expected[3]]], ['/topics/*.4/messages', 'since=1h&limit=1000', [expected[4]]],
    ] as const) {
      const all = await pages(client, path, first);
      t.strictSame(all.flatMap(({ messages }) => messages).filter(({ topic }) => topic.startsWith('rare')).map(({ id }) => id), wanted, `${name}: ${path} ${first}`);
    }
    const [page] = await pages(client, '/topics/rare.%3E/messages');
    t.ok(seqOf(page!.cursor) > seqOf(expected.at(-1)), `${name}: the cursor went past the messages after the last match`);
  }
});

void t.test('the newest come oldest first, in one page, from memory and from the database alike', async (t) => {
  for (const client of [http, small]) {
    const rare = await client.publish('newest.rare', 'rare');
    await client.batch(Array.from({ length: 150 }, (_, index) => ({ topic: `newest.${index % 2 === 0 ? 'even' : 'odd'}`, data: index })));
    const { messages: all } = await client.json<Page>('/topics/newest.%3E/messages?limit=1000');
    const ids = all.map(({ id }) => id);
    for (const path of ['/topics/newest.%3E/messages?', '/messages?topic=newest.*&', '/messages?topic=newest.odd&topic=newest.even&topic=newest.rare&', '/topics/%3E/messages?']) {
      const page = await client.json<Page>(`${path}last=120`);
      t.strictSame(page.messages.map(({ id }) => id), ids.slice(-120), path);
      t.match(page, { cursor: ids.at(-1), more: false, gap: undefined });
    }
    const { messages } = await client.json<Page>('/topics/newest.rare/messages?last=1');
    t.strictSame(messages.map(({ id }) => id), [rare], 'one that lies further back than all others');
    t.strictSame((await client.json<Page>('/topics/newest.none/messages?last=5')).messages, []);

    // With a limit, the newest come in pages of that size.
    const first = await client.json<Page>('/topics/newest.%3E/messages?last=50&limit=20');
    t.strictSame([first.messages.map(({ id }) => id), first.more], [ids.slice(-50, -30), true]);
    const second = await client.json<Page>(`/topics/newest.%3E/messages?after=${first.cursor}&limit=20`);
    t.strictSame(second.messages.map(({ id }) => id), ids.slice(-30, -10));
    t.equal((await client.json<Page>('/topics/newest.%3E/messages?last=2&limit=500')).messages.length, 2);
  }
});

void t.test('with a wait, present messages are answered at once, and otherwise the next one is awaited', async (t) => {
  const here = await http.publish('awaited', 'here');
  t.strictSame((await http.json<Page>('/topics/awaited/messages?last=3&wait=50')).messages.map(({ id }) => id), [here]);
  for (const [topic, last] of [['awaited', 0], ['awaited.none', 3]] as const) {
    const page = http.json<Page>(`/topics/${topic}/messages?last=${last}&wait=50`);
    await until('it waits', async () => await http.metric('long_polls') === 1);
    const next = await http.publish(topic, 'next');
    t.strictSame((await page).messages.map(({ id }) => id), [next], `last=${last}`);
  }
});

void t.test('a page without messages has a cursor that works, for history and for streams', async (t) => {
  const empty = await http.json<Page>('/topics/none.yet/messages');
  t.match(empty, { messages: [], more: false, gap: undefined });
  t.match(empty.cursor, /^[a-z0-9]{8,}-[0-9]+$/);
  await http.publish('another', 'x');
  const again = await http.json<Page>(`/topics/none.yet/messages?after=${empty.cursor}`);
  t.ok(seqOf(again.cursor) > seqOf(empty.cursor), 'it moves on with the log');
  const id = await http.publish('none.yet', 'first');
  for (const { cursor } of [empty, again]) {
    t.match(await http.json<Page>(`/topics/none.yet/messages?after=${cursor}`), { messages: [{ id, data: 'first' }], cursor: id, more: false });
    const stream = await openStream(t, `${instance.url}/topics/none.yet/events`, { headers: { 'Last-Event-ID': cursor } });
    t.strictSame([(await stream.next()).event, (await stream.next()).id], ['$open', id]);
  }
  t.strictSame((await http.json<Page>(`/topics/none.yet/messages?after=${id}`)).messages, []);
});

void t.test('many topics and patterns make one page in the order of the log', async (t) => {
  const ids = await http.batch(['m.a', 'm.b', 'm.c', 'm.a.x', 'm.b', 'm.a'].map((topic) => ({ topic, data: topic })));
  const of = async (query: string): Promise<number[]> => (await http.json<Page>(`/messages?${query}`)).messages.map(({ id }) => ids.indexOf(id));
  t.strictSame(await of('topic=m.a&topic=m.b'), [0, 1, 4, 5]);
  t.strictSame(await of('topic=m.b&topic=m.*&topic=m.b&topic=m.%3E'), [0, 1, 2, 3, 4, 5]);
  t.strictSame(await of('topic=m.a.*&topic=nothing'), [3]);
});

void t.test('a page ends at the place that `until` names, with messages after it', async (t) => {
  for (const client of [http, small]) {
    const before = await client.batch(Array.from({ length: 30 }, (_, index) => ({ topic: `ends.${index % 3}`, data: index })));
    const { cursor } = await client.json<Page>('/messages?topic=none&last=0');
    await client.batch(Array.from({ length: 30 }, (_, index) => ({ topic: `ends.${index % 3}`, data: index + 30 })));
    const path = '/topics/ends.1/messages';
    const expected = before.filter((_, index) => index % 3 === 1);
    for (const limit of [3, 10, 100]) {
      const all = await pages(client, `${path}?until=${cursor}`, `limit=${limit}`);
      t.strictSame(all.flatMap(({ messages }) => messages.map(({ id }) => id)), expected, `${limit} a page`);
      t.equal(all.at(-1)!.cursor, cursor, 'the last page reaches the place');
    }
    t.strictSame((await pages(client, `${path}?until=${expected[4]}`)).flatMap(({ messages }) => messages.map(({ id }) => id)), expected.slice(0, 5), 'the message itself is the last one');
    // A place that lies before the beginning: nothing is between the two, and nothing is waited for.
    t.match(await client.json<Page>(`${path}?after=${before[20]}&until=${before[3]}&wait=50`), { messages: [], cursor: before[20], more: false });
    t.match(await client.json<Page>(`${path}?after=${cursor}&until=${cursor}&wait=50`), { messages: [], cursor, more: false });
    const beyond = cursor.replace(/-\d+$/, '-9007199254740991');
    t.equal((await client.json<Page>(`${path}?after=${cursor}&until=${beyond}`)).messages.length, 10, 'one beyond the end is the end');
  }
});

void t.test('the cursor says where the log ends, in its answer and in a header of each page', async (t) => {
  const id = await http.publish('cursor.a', 'before');
  const answer = await http.get('/cursor?topic=cursor.a');
  const { cursor } = JSON.parse(answer.body) as { readonly cursor: string };
  t.match([answer.status, answer.headers['cache-control'], answer.headers['tidings-cursor']], [200, 'no-store', cursor]);
  t.equal(cursor, id);
  const after = await http.publish('cursor.a', 'after');
  t.strictSame((await http.json<Page>(`/topics/cursor.a/messages?after=${cursor}`)).messages.map(({ data }) => data), ['after']);
  const page = await http.get('/topics/cursor.*/messages?limit=1');
  t.equal(page.headers['tidings-cursor'], id, 'a page has the place where the next one begins');
  t.equal((await http.get('/topics/cursor.*/messages')).headers['tidings-cursor'], after);
});

void t.test('one message, by its id', async (t) => {
  const ids = await http.batch([{ topic: 'single', data: { a: 1 }, event: 'e' }, { topic: 'single', data: 2 }]);
  const message = await http.json<object>(`/messages/${ids[0]}`);
  t.strictSame(Object.keys(message), ['id', 'topic', 'event', 'time', 'data']);
  t.match(message, { id: ids[0], topic: 'single', event: 'e', data: { a: 1 } });
  const [epoch, seq] = ids[1]!.split('-');
  for (const id of [`${epoch}-0`, `${epoch}-${Number(seq) + 1}`, `${epoch}-0${seq}`, `abcdefgh-${seq}`, `${epoch}-9007199254740991`, `${epoch}-${seq}-1`, epoch, 'start']) {
    const answer = await http.get(`/messages/${id}`);
    t.match([answer.status, JSON.parse(answer.body)], [404, { code: 'message-not-found' }], `${id}`);
  }
  await instance.restart('SIGKILL');
  t.strictSame(await http.json(`/messages/${ids[0]}`), message, 'after a restart it has its id still');
  const [newEpoch] = (await http.publish('single', 'x')).split('-');
  t.not(newEpoch, epoch);
  t.equal((await http.get(`/messages/${newEpoch}-${seq}`)).status, 404, 'no id means two messages, and no message has two ids');
});

void t.test('deleted messages are a gap for a reader that missed them, and no messages any more', async (t) => {
  const first = await small.publish('trimmed', 'first');
  const begin = `${first.split('-')[0]}-0`;
  // In one commit: whenever retention looks, it finds none of them or all, and has come to rest after the one look that finds them.
  await small.batch(Array.from({ length: 20 }, (_, count) => ({ topic: 'trimmed', data: `${count}${'x'.repeat(RETENTION_BYTES / 10)}` })));
  await until('retention has deleted it', async () => (await small.get(`/messages/${first}`)).status === 404);
  await until('it has come to rest', async () => await small.metric('log_bytes') > 0 && await small.metric('log_bytes') <= RETENTION_BYTES);
  const page = await small.json<Page>(`/topics/trimmed/messages?after=${begin}`);
  t.ok(page.messages.length > 0 && page.messages.length < 20);
  const oldest = page.messages[0]!.id;
  t.strictSame(page.gap, { requested: begin, resumed: `${oldest.split('-')[0]}-${seqOf(oldest) - 1}`, oldest, reason: 'expired' });
  t.equal((await small.json<Page>(`/topics/none/messages?after=${begin}`)).gap!.reason, 'expired', 'whichever topic it was, nobody can say');
  for (const query of ['', '?after=start', `?after=${page.gap!.resumed}`, `?after=${oldest}`]) {
    t.equal((await small.json<Page>(`/topics/trimmed/messages${query}`)).gap, undefined, query);
  }
  t.strictSame((await small.json<Page>('/topics/trimmed/messages')).messages, page.messages, 'without a cursor, from the oldest held');
  t.equal((await small.json<Page>('/topics/trimmed/messages?since=1h')).gap!.reason, 'expired', 'of that time some are gone');
  t.ok(await small.metric('messages_trimmed_total') > 0);
});
