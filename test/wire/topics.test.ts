import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { makeApiKey } from '../../src/access/credentials/api-key.ts';
import type { TopicsPage } from '../../src/fleet/topic-list.ts';
import { openStream } from '../support/client.ts';
import { Http } from '../support/http.ts';
import { startInstance, type Instance } from '../support/instance.ts';
import { bearer } from '../support/keys-command.ts';
import { tempFolder } from '../support/temp.ts';

/** The list of topics, and the reports of publishers, of a single process. */

async function listen(t: Test, { url }: Instance, path: string): Promise<void> {
  await (await openStream(t, url + path)).next();
}

/** All pages of a list. */
async function pages(http: Http, query: string): Promise<TopicsPage[]> {
  const all: TopicsPage[] = [];
  for (let after = ''; ;) {
    const page = await http.json<TopicsPage>(`/topics?${query}${after}`);
    all.push(page);
    if (!page.more) return all;
    after = `&after=${encodeURIComponent(page.cursor!)}`;
  }
}

const namesIn = (all: readonly TopicsPage[]): string[] => all.flatMap(({ topics }) => topics.map(({ topic }) => topic));

t.test('a list has the topics of messages and of streams, once each, in each of its orders', async (t) => {
  const instance = await startInstance(t, {});
  const http = new Http(t, instance.url);
  for (const topic of ['b.2', 'a', 'b.1', 'a', 'größe', 'b.10']) await http.publish(topic, 'x');
  const { id, time } = JSON.parse((await http.post('a', 'größe')).body) as { id: string; time: string };
  for (const path of ['/topics/quiet/events', '/events?topic=b.*&topic=quiet', '/topics/%3E/events']) await listen(t, instance, path);
  const all = ['a', 'b.1', 'b.10', 'b.2', 'größe', 'quiet'];
  const [page] = await pages(http, '');
  t.same(namesIn([page!]), all);
  t.match(page!.topics[0], { topic: 'a', streams: 1, messages: 3, newest: id, time });
  t.strictSame(page!.topics.at(-1), { topic: 'quiet', streams: 3, messages: 0, bytes: 0 }, 'no message, and a stream by a pattern as well');
  t.equal(page!.topics[1]!.streams, 2, 'a stream that has only patterns counts');
  t.notOk(page!.more);
  for (const limit of [1, 2, 5]) t.same(namesIn(await pages(http, `limit=${limit}`)), all, `${limit} on each page`);
  t.same(namesIn(await pages(http, 'prefix=b.1&limit=1')), ['b.1', 'b.10']);
  t.same(namesIn(await pages(http, 'prefix=gr%C3%B6')), ['größe']);
  t.same(namesIn(await pages(http, 'prefix=none')), []);
  for (const limit of [1, 2, 100]) t.same(namesIn(await pages(http, `sort=newest&limit=${limit}`)), ['a', 'b.10', 'größe', 'b.1', 'b.2'], `by the newest, ${limit} on each page`);
  t.same(namesIn(await pages(http, 'sort=newest&prefix=b.&limit=1')), ['b.10', 'b.1', 'b.2']);
  for (const limit of [1, 2, 100]) {
    const rates = await pages(http, `sort=rate&limit=${limit}`);
    t.same(namesIn(rates), ['a', 'b.1', 'b.10', 'b.2', 'größe'], `by the rate, ${limit} on each page`);
    t.match(rates[0], { windowMs: 60_000, topics: [{ topic: 'a', rate: 0.05, messages: 3 }] });
  }
  const [first] = await pages(http, 'sort=rate');
  await http.publish('größe', 'x');
  await http.publish('größe', 'x');
  const next = await http.json<TopicsPage>(`/topics?sort=rate&limit=1&after=${encodeURIComponent(first!.cursor!.replace(/-1-größe$/, '-3-a'))}`);
  t.match(next.topics, [{ topic: 'b.1' }], 'pages of one list count in the same stretch of the log');
  t.equal((await http.send('HEAD', '/topics')).status, 200);
});

for (const HTTP_FAST_PATH of ['on', 'off']) {
  t.test(`only who may see who listens is shown topics, and told who wants them, with HTTP_FAST_PATH=${HTTP_FAST_PATH}`, async (t) => {
    const file = join(tempFolder(t), 'access.json');
    const keys = { rooms: makeApiKey(), blind: makeApiKey(), one: makeApiKey() };
    const right = { publish: ['>'], subscribe: ['>'] };
    writeFileSync(file, JSON.stringify({ keys: [
      { id: keys.rooms.id, sha256: keys.rooms.digest.toString('hex'), name: 'rooms', ...right, presence: ['room.*', 'hall'] },
      { id: keys.blind.id, sha256: keys.blind.digest.toString('hex'), name: 'blind', ...right },
      { id: keys.one.id, sha256: keys.one.digest.toString('hex'), name: 'one', publish: [], subscribe: [], presence: ['secret'] },
    ] }));
    const instance = await startInstance(t, { HTTP_FAST_PATH, ACCESS_FILE: file });
    const http = new Http(t, instance.url);
    const [rooms, blind, one] = [bearer(keys.rooms.text), bearer(keys.blind.text), bearer(keys.one.text)];
    for (const topic of ['hall', 'hall.1', 'room.1', 'room.2', 'room.2.x', 'secret']) await http.publish(topic, 'x', rooms);
    const stream = await openStream(t, `${instance.url}/events?topic=room.3&topic=${encodeURIComponent('room.>')}&topic=other`, { headers: blind });
    await stream.next();
    const list = async (query: string, headers: Record<string, string>): Promise<string[]> => namesIn([JSON.parse((await http.get(`/topics?${query}`, headers)).body) as TopicsPage]);
    for (const [sort, names] of [['name', ['hall', 'room.1', 'room.2', 'room.3']], ['newest', ['room.2', 'room.1', 'hall']], ['rate', ['hall', 'room.1', 'room.2']]] as const) {
      t.same(await list(`sort=${sort}`, rooms), names, sort);
      t.same(await list(`sort=${sort}`, one), ['secret'], sort);
      t.equal((await http.get(`/topics?sort=${sort}`, blind)).status, 403);
      t.equal((await http.get(`/topics?sort=${sort}`)).status, 401);
    }
    t.same(await list('prefix=secret', rooms), []);

    const report = async (topic: string, headers: Record<string, string>, query = 'report=1') => {
      const { status, body } = await http.send('POST', `/topics/${topic}?${query}`, headers, 'x');
      return { status, ...JSON.parse(body) as { code?: string; report?: unknown } };
    };
    t.match(await report('room.1', rooms), { status: 201, report: { streams: 1, instances: 1, ageMs: 0, partial: undefined } }, 'by a pattern');
    t.match(await report('room.3', rooms), { status: 201, report: { streams: 1, instances: 1 } }, 'one stream that wants it twice');
    t.match(await report('hall', rooms), { status: 201, report: { streams: 0, instances: 0 } });
    t.equal((await report('hall', rooms, 'report=0')).report, undefined);
    t.equal((await report('hall', rooms, '')).report, undefined);
    const count = async (): Promise<number> => (JSON.parse((await http.get('/messages?topic=%3E', rooms)).body) as { messages: unknown[] }).messages.length;
    const before = await count();
    t.match(await report('hall.1', rooms), { status: 403, code: 'forbidden' });
    t.match(await report('room.1', blind), { status: 403, code: 'forbidden' });
    t.equal(await count(), before, 'what was refused is not stored');
    const again = await http.send('POST', '/topics/room.1?report=1', { ...rooms, 'idempotency-key': 'k' }, 'x');
    const replayed = await http.send('POST', '/topics/room.1?report=1', { ...rooms, 'idempotency-key': 'k' }, 'x');
    t.same([replayed.headers['idempotency-replayed'], replayed.body], ['true', again.body]);
  });
}
