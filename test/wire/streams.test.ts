import { existsSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { InstanceDetail, InstanceList } from '../../src/fleet/instances.ts';
import type { StreamsPage } from '../../src/fleet/stream-list.ts';
import { SqliteStore } from '../../src/store/sqlite/sqlite.ts';
import { draft, openStore, request, stored } from '../contract/store-kit.ts';
import { askToChange } from '../support/changes.ts';
import { openStream } from '../support/client.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { recordingLogger } from '../support/logger.ts';
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
  await open.says(`"instance":"${list.instances[0]!.id}"`);
  const detail = await other.json<InstanceDetail>(`/instances/${list.instances[0]!.id}`);
  t.match(detail, { id: list.instances[0]!.id, status: 'ready', everySeconds: 10, figures: { time: Array, streams: Array }, warnings: Array });
});

t.test('without Redis an answer is of one process, and says so while another one is on the same SQLite file, though it only reads', async (t) => {
  const first = await startInstance(t, { DATABASE_URL: 'file:tidings.db', POLL_MS: '20' });
  const one = new Http(t, first.url);
  await one.publish('a', 'x');
  const partial = (http: Http): Promise<(boolean | undefined)[]> => Promise.all(['/streams', '/topics', '/instances'].map(async (path) => (await http.json<{ readonly partial?: true }>(path)).partial));
  const isPartial = async (http: Http): Promise<boolean> => (await partial(http)).every((is) => is === true);
  const isWhole = async (http: Http): Promise<boolean> => (await partial(http)).every((is) => is === undefined);
  await until('it is alone', () => isWhole(one));
  const second = await startInstance(t, { DATABASE_URL: `file:${join(first.folder, 'tidings.db')}`, POLL_MS: '20' });
  for (const { url } of [first, second]) await until('it has noticed the other one', () => isPartial(new Http(t, url)));
  const { instances, missing } = await one.json<InstanceList>('/instances');
  t.same([instances.length, missing], [1, undefined]);
  t.match(JSON.parse((await one.send('POST', '/topics/a?report=1', {}, 'x')).body), { report: { streams: 0, partial: true } });
  t.equal((await one.get('/instances/aaaaaaaaaa')).status, 503, 'it may be the other one');
  t.equal((await one.send('DELETE', '/streams/aaaaaaaaaa-1')).status, 503, 'the other one may have it');
  t.match(await askToChange(one, { id: 'aaaaaaaaaa-1', secret: 'x'.repeat(22) }, { add: ['a'] }), { status: 503, body: /"code":"outcome-unknown"/ });
  second.kill('SIGTERM');
  await second.exited;
  await until('it is alone again', () => isWhole(one));
  t.equal((await one.send('DELETE', '/streams/aaaaaaaaaa-1')).status, 404, 'nobody else can have it');
  // A version that does not know of the others has the log open all the same.
  const old = await openStore(t, { store: () => new SqliteStore({ file: join(first.folder, 'tidings.db'), logger: recordingLogger().logger }) });
  if (existsSync('/proc/locks')) {
    await until('the locks of the file tell of it, though it has stored nothing', () => isPartial(one));
    t.match(await askToChange(one, { id: 'aaaaaaaaaa-1', secret: 'x'.repeat(22) }, { add: ['a'] }), { status: 503, body: /"code":"outcome-unknown"/ });
  }
  await stored(old, [request(draft('a'))]);
  await old.close();
  await until('what it has stored tells of it', () => isPartial(one));
});
