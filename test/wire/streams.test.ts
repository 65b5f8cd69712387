import { join } from 'node:path';
import t from 'tap';
import type { InstanceDetail, InstanceList } from '../../src/fleet/instances.ts';
import type { StreamsPage } from '../../src/fleet/stream-list.ts';
import { openStream } from '../support/client.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { until } from '../support/until.ts';

/** The list of streams of a single process: who may see it where everybody is let in, and what it says of clients behind a proxy. */

t.test('where everybody is let in, only who sits at this machine sees and closes streams', async (t) => {
  const instance = await startInstance(t, { TRUST_PROXY: 'loopback' });
  const http = new Http(t, instance.url);
  const stream = await openStream(t, `${instance.url}/topics/a/events?as=alice`, { headers: { 'x-forwarded-for': '198.51.100.9, 203.0.113.7' } });
  await stream.next();
  const { streams, more } = await http.json<StreamsPage>('/streams');
  t.match(streams, [{ address: '203.0.113.7', topics: ['a'], behind: 0, member: 'alice', credential: undefined, client: undefined }]);
  t.match(await http.json('/topics/a/presence'), { members: [{ id: streams[0]!.member }] }, 'presence has the same id');
  t.match(await http.json('/streams?member=alice'), { streams: { length: 1 } });
  t.equal(more, false);
  // A proxy in front says that it is there: it speaks for others.
  for (const headers of [{ 'x-forwarded-for': '127.0.0.1' }, { forwarded: 'for=127.0.0.1' }, { 'x-forwarded-for': '' }]) {
    t.equal((await http.get('/streams', headers)).status, 401, JSON.stringify(headers));
    t.equal((await http.send('DELETE', `/streams/${streams[0]!.id}`, headers)).status, 401, JSON.stringify(headers));
  }
  t.equal((await http.send('DELETE', `/streams/${streams[0]!.id}`, { origin: 'https://elsewhere.example' })).status, 403, 'a page of another origin');
  t.equal((await http.send('DELETE', `/streams/${streams[0]!.id}?retry=7`)).status, 204);
  await stream.ended;
  t.equal(stream.retry, 7_000);
  t.same(await http.metric('streams_dismissed_total'), 1);
  const open = await startInstance(t, { HOST: '0.0.0.0', AUTH: 'off' });
  const other = new Http(t, open.url);
  t.equal((await other.get('/streams')).status, 401, 'on the network, everybody would');
  const list = await other.json<InstanceList>('/instances');
  t.match(list, { instances: [{ status: 'ready', bus: 'local', streams: 0, lag: 0 }] });
  t.ok(open.output.includes(`"instance":"${list.instances[0]!.id}"`), 'its log says the same id');
  const detail = await other.json<InstanceDetail>(`/instances/${list.instances[0]!.id}`);
  t.match(detail, { id: list.instances[0]!.id, status: 'ready', everySeconds: 10, figures: { time: Array, streams: Array }, warnings: Array });
});

t.test('without Redis an answer is of one process, and says so once another one has written to the log', async (t) => {
  const first = await startInstance(t, { DATABASE_URL: 'file:tidings.db', POLL_MS: '20' });
  const second = await startInstance(t, { DATABASE_URL: `file:${join(first.folder, 'tidings.db')}`, POLL_MS: '20' });
  const [one, two] = [new Http(t, first.url), new Http(t, second.url)];
  t.notOk('partial' in await one.json<StreamsPage>('/streams'));
  await one.publish('a', 'x');
  t.notOk('partial' in await one.json<StreamsPage>('/streams'), 'what it wrote itself tells of nobody');
  await until('the other one has read it', async () => (await two.json<StreamsPage>('/streams')).partial === true);
  await two.publish('a', 'x');
  await until('the first one has read it', async () => (await one.json<StreamsPage>('/streams')).partial === true);
  const { instances, partial, missing } = await one.json<InstanceList>('/instances');
  t.same([instances.length, partial, missing], [1, true, undefined]);
  t.equal((await one.send('DELETE', '/streams/aaaaaaaaaa-1')).status, 503, 'the other one may have it');
  t.equal((await one.get('/instances/aaaaaaaaaa')).status, 503, 'it may be the other one');
});
