import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { makeApiKey } from '../../src/access/credentials/api-key.ts';
import type { EvenSharesReport } from '../../src/fleet/even-shares.ts';
import type { InstanceDetail, InstanceList } from '../../src/fleet/instances.ts';
import type { StreamsPage } from '../../src/fleet/stream-list.ts';
import type { TopicsPage } from '../../src/fleet/topic-list.ts';
import { askToChange, change, handleOf } from '../support/changes.ts';
import { openStream, type SseStream } from '../support/client.ts';
import { emptyDatabase } from '../support/database.ts';
import { Http, type Answer } from '../support/http.ts';
import { startInstance, type Instance } from '../support/instance.ts';
import { bearer } from '../support/keys-command.ts';
import { startPostgres } from '../support/postgres.ts';
import { redisClient } from '../support/redis-client.ts';
import { startRedis } from '../support/redis.ts';
import { logIn } from '../support/sessions.ts';
import { tempFolder, type Scope } from '../support/temp.ts';
import { getTicket } from '../support/tickets.ts';
import { until } from '../support/until.ts';

/** Three instances over Redis: the streams of all, and the instances, seen and steered from any of them. */

const INSTANCES = 3;

interface Member {
  readonly instance: Instance;
  readonly http: Http;
  readonly id: string;
}

interface Ground {
  readonly members: readonly Member[];
  readonly admin: Record<string, string>;
  readonly reader: Record<string, string>;
  /** Publishes, and may see who listens below `wanted`. */
  readonly publisher: Record<string, string>;
  /** The name of the reader's credential. */
  readonly name: string;
}

async function prepare(t: Scope, env: Readonly<Record<string, string>>): Promise<Ground> {
  const [root, reader, publisher] = [makeApiKey(), makeApiKey(), makeApiKey()];
  const path = join(tempFolder(t), 'access.json');
  writeFileSync(path, JSON.stringify({ keys: [
    { id: root.id, sha256: root.digest.toString('hex'), name: 'root', admin: true },
    { id: reader.id, sha256: reader.digest.toString('hex'), name: 'reader', publish: ['>'], subscribe: ['>'] },
    { id: publisher.id, sha256: publisher.digest.toString('hex'), name: 'publisher', publish: ['>'], presence: ['wanted.>'] },
  ] }));
  const settings = { DRAIN_SECONDS: '1', AUTH_COOKIE: 'session', ACCESS_FILE: path, PUBLIC_TOPICS: 'public.>', ...env };
  const instances = await Promise.all(Array.from({ length: INSTANCES }, () => startInstance(t, settings)));
  const admin = bearer(root.text);
  const members = instances.map((instance) => ({ instance, http: new Http(t, instance.url), id: /"instance":"([a-z0-9]{10})"/.exec(instance.output)![1]! })).sort((one, other) => one.id < other.id ? -1 : 1);
  const ids = members.map(({ id }) => id);
  for (const { http } of members) await until('it knows all others', async () => (await instancesAt(http, admin)).instances.map(({ id }) => id).join() === ids.join());
  return { members, admin, reader: bearer(reader.text), publisher: bearer(publisher.text), name: `key ${reader.id}` };
}

async function instancesAt(http: Http, admin: Record<string, string>): Promise<InstanceList> {
  return parsed(await http.get('/instances', admin));
}

async function streamsAt(http: Http, admin: Record<string, string>, query = ''): Promise<StreamsPage> {
  return parsed(await http.get(`/streams${query}`, admin));
}

function parsed<Body>({ status, body }: Answer): Body {
  if (status !== 200) throw new Error(`${status} ${body}`);
  return JSON.parse(body) as Body;
}

/** The same of all instances: one that stood still answers the next time. */
async function wholeAt<Page extends { readonly partial?: true }>(http: Http, headers: Record<string, string>, path: string): Promise<Page> {
  let page: Page | undefined;
  await until(`all instances have answered ${path}`, async () => (page = parsed<Page>(await http.get(path, headers))).partial === undefined);
  return page!;
}

/** Opens a stream, and waits until it has begun. */
async function open(t: Scope, { instance }: Member, path: string, headers: Record<string, string> = {}): Promise<SseStream> {
  const stream = await openStream(t, instance.url + path, { headers });
  if (path.includes('control=0')) await stream.until(() => stream.retry !== undefined || stream.bytes > 0);
  else await stream.next();
  return stream;
}

const redis = await startRedis(t);
const { members, admin, reader, publisher, name } = await prepare(t, { DATABASE_URL: await emptyDatabase(t), REDIS_URL: redis.url });

/** The streams, once there are so many: those of the test before may still be closing. */
async function listed(http: Http, count: number): Promise<StreamsPage['streams']> {
  let { streams } = await streamsAt(http, admin);
  await until(`${count} streams are open`, async () => ({ streams } = await streamsAt(http, admin)).streams.length === count);
  return streams;
}

await t.test('any instance lists the streams of all, in one order, page by page, and filtered', async (t) => {
  const opened: SseStream[] = [];
  for (const member of members) {
    opened.push(await open(t, member, '/topics/a.b/events', { ...reader, 'user-agent': `Feed/1 ${'x'.repeat(100)}` }));
    opened.push(await open(t, member, '/events?topic=a.*&topic=c&control=0', reader));
    opened.push(await open(t, member, '/topics/public.x/events', {}));
  }
  await members[0]!.http.publish('a.b', 'one', reader);
  await until('all have it', () => opened.every((stream, index) => index % 3 === 2 || stream.events.some(({ data }) => data.includes('one'))));
  const [first] = members;
  const whole = await wholeAt<StreamsPage>(first!.http, admin, '/streams');
  t.match(whole, { more: false, partial: undefined, missing: undefined });
  t.same(whole.streams.map(({ instance }) => instance), members.flatMap(({ id }) => [id, id, id]));
  t.same(whole.streams.map(({ id }) => id), members.flatMap(({ id }) => ['1', '2', '3'].map((number) => `${id}-${number}`)));
  t.same(whole.streams.map(({ topics }) => topics).slice(0, 3), [['a.b'], ['c', 'a.*'], ['public.x']]);
  t.same(whole.streams.map(({ member, credential }) => [member, credential]).slice(3, 6), [['reader', name], ['reader', name], [undefined, undefined]]);
  for (const { address, behind, bytes, client, opened: at, cursor } of whole.streams) {
    t.equal(address, '127.0.0.1');
    t.equal(behind, 0);
    t.ok(bytes > 100, `${bytes} bytes`);
    t.ok(client === undefined || client.length === 80, client ?? 'none');
    t.ok(Math.abs(Date.parse(at) - Date.now()) < 120_000, at);
    t.match(cursor, /^[a-z0-9]+-1$/);
  }
  // What $open told its client is the same id.
  const told = JSON.parse(opened[0]!.events[0]!.data) as { stream: { id: string } };
  t.equal(told.stream.id, whole.streams[0]!.id);

  for (const { http } of members) {
    const paged: string[] = [];
    for (let after = '', more = true; more;) {
      const page = await wholeAt<StreamsPage>(http, admin, `/streams?limit=2${after}`);
      t.ok(page.streams.length <= 2);
      paged.push(...page.streams.map(({ id }) => id));
      after = `&after=${page.cursor}`;
      ({ more } = page);
    }
    t.same(paged, whole.streams.map(({ id }) => id));
    const asked = async (query: string): Promise<number> => (await wholeAt<StreamsPage>(http, admin, `/streams${query}`)).streams.length;
    t.equal(await asked(`?credential=${encodeURIComponent(name)}`), 6);
    t.equal(await asked('?member=reader'), 6);
    t.equal(await asked(`?member=${encodeURIComponent(name)}`), 0);
    t.equal(await asked('?credential=reader'), 0);
    t.equal(await asked('?member=nobody'), 0);
    t.equal(await asked('?topic=a.b'), 6, 'by its name, and by a pattern');
    t.equal(await asked('?topic=a.*'), 3, 'a pattern as it is in the list');
    t.equal(await asked('?topic=c'), 3);
    t.equal(await asked(`?instance=${members[1]!.id}`), 3);
    t.equal(await asked('?instance=aaaaaaaaaa'), 0);
    t.equal(await asked('?behind=1'), 0);
  }
  t.equal((await first!.http.get('/streams', reader)).status, 403);
});

await t.test('any instance tells of the last hour of each', async (t) => {
  for (const { http } of members) {
    for (const { id } of members) {
      let answer = await http.get(`/instances/${id}?after=7`, admin);
      await until('it has answered', async () => (answer = await http.get(`/instances/${id}?after=7`, admin)).status === 200);
      t.match(parsed<InstanceDetail>(answer), { id, status: 'ready', everySeconds: 10, figures: { time: Array, streams: Array, errors: Array }, warnings: Array });
    }
    await until('it knows that there is no such instance', async () => (await http.get('/instances/aaaaaaaaaa', admin)).status === 404);
    t.equal((await http.get(`/instances/${members[0]!.id}`, reader)).status, 403);
  }
});

await t.test('any instance tells which streams of all a message has reached', async (t) => {
  for (const member of members) for (const path of ['/topics/a.b/events', '/events?topic=a.*&topic=c', '/topics/public.x/events']) await open(t, member, path, reader);
  await listed(members[0]!.http, 9);
  const id = await members[0]!.http.publish('a.b', 'passing', reader);
  for (const { http } of members) {
    let report: object = {};
    await until('all have passed it', async () => {
      report = parsed(await http.get(`/messages/${id}/delivery`, admin));
      return 'passed' in report && report.passed === 6 && !('partial' in report);
    });
    t.strictSame(report, { id, topic: 'a.b', streams: 6, passed: 6, instances: 3, lacking: [], more: false });
  }
  t.match(parsed(await members[0]!.http.get(`/messages/${await members[1]!.http.publish('nobody.there', 'x', reader)}/delivery`, admin)), { streams: 0, passed: 0, instances: 0 });
  t.equal((await members[0]!.http.get(`/messages/${id}/delivery`, reader)).status, 403);
  t.match(await members[0]!.http.get(`/messages/${id.replace(/\d+$/, '999999')}/delivery`, admin), { status: 404, body: /"code":"message-not-found"/ });
});

await t.test('a stream is closed wherever it is, and its client told when to come back', async (t) => {
  const [here, there] = members as [Member, Member];
  const [one, other, left] = [await open(t, there, '/topics/a/events', reader), await open(t, there, '/topics/public.a/events?control=0'), await open(t, there, '/topics/a/events', reader)];
  const ids = (await listed(here.http, 3)).map(({ id }) => id);
  t.equal((await here.http.send('DELETE', `/streams/${ids[0]}?retry=600`, reader)).status, 403);
  t.equal((await here.http.send('DELETE', `/streams/${ids[0]}?retry=600`, admin)).status, 204);
  t.same(JSON.parse((await one.next(({ event }) => event === '$busy')).data), { retryMs: 600_000, reason: 'dismissed' });
  await one.ended;
  t.equal(one.retry, 600_000);
  t.equal((await there.http.send('DELETE', `/streams/${ids[1]}`, admin)).status, 204, 'where it is');
  await other.ended;
  for (const id of [ids[0]!, `${here.id}-zy`, `${there.id}-zz`, 'aaaaaaaaaa-1', 'x']) t.match(await here.http.send('DELETE', `/streams/${id}`, admin), { status: 404, body: /"code":"not-found"/ }, id);
  t.same((await wholeAt<StreamsPage>(here.http, admin, '/streams')).streams.map(({ id }) => id), ids.slice(2));
  await here.http.publish('a', 'still there', reader);
  t.equal((await left.next(({ event }) => event === undefined)).data, 'still there');
  await here.instance.says(/"audit":"stream-closed","stream":"[a-z0-9-]+","retryMs":600000,"by":"key [a-z0-9]+","client":"127.0.0.1"/);
});

await t.test('a stream gets other topics wherever it is, from any instance', async (t) => {
  const [here, there] = members as [Member, Member];
  const [stream, anonymous] = [await open(t, there, '/events?topic=x.a&topic=x.b', reader), await open(t, there, '/topics/public.a/events')];
  for (const [index, { http }] of members.entries()) {
    const { topics, cursor } = await change(http, handleOf(stream), { add: [`x.${index}`], remove: ['x.a', `x.${index - 1}`] }, reader);
    t.same(topics, [`x.${index}`, 'x.b']);
    for (const topic of ['x.a', `x.${index}`, `x.${index - 1}`, 'x.b']) await http.publish(topic, `${topic} of ${index}`, reader);
    await stream.next(({ data }) => data.includes(`x.b of ${index}`));
    t.equal(stream.events.find(({ event, id }) => event === '$topics' && id === cursor)?.id, cursor);
  }
  t.same(stream.events.filter(({ event }) => event === undefined).map(({ data }) => (JSON.parse(data) as { data: string }).data), ['x.0 of 0', 'x.b of 0', 'x.1 of 1', 'x.b of 1', 'x.2 of 2', 'x.b of 2']);
  t.same((await change(here.http, handleOf(anonymous), { add: ['public.b'] })).topics, ['public.a', 'public.b']);
  t.match(await askToChange(here.http, handleOf(anonymous), { add: ['a'] }), { status: 401, body: /"code":"unauthorized"/ });
  t.match(await askToChange(here.http, { ...handleOf(stream), secret: 'x'.repeat(22) }, { add: ['x.c'] }, reader), { status: 403, body: /"field":"secret"/ });
  for (const id of [`${there.id}-zz`, 'aaaaaaaaaa-1']) t.match(await askToChange(here.http, { ...handleOf(stream), id }, { add: ['x.c'] }, reader), { status: 404, body: /"code":"not-found"/ }, id);
  [stream, anonymous].forEach((one) => one.destroy());
});

await t.test('a stream with its own ticket or session is told never to come back, by every instance; a stream without one is not closed so', async (t) => {
  const [here, there, other] = members as [Member, Member, Member];
  const { ticket } = await getTicket(here.http, ['a'], reader);
  const { cookie } = await logIn(there.http, reader['authorization']!.slice('Bearer '.length));
  const page = { cookie };
  const opened = [await open(t, there, `/topics/a/events?ticket=${ticket}`), await open(t, there, '/topics/a/events', page), await open(t, there, '/topics/a/events', reader), await open(t, other, '/topics/public.a/events')];
  const ids = (await listed(here.http, 4)).map(({ id }) => id);
  const own = ids.filter((id) => id.startsWith(there.id));
  const bare = ids.find((id) => id.startsWith(other.id))!;
  const position = opened[0]!.events[0]!.id!;
  for (const id of [own[2]!, bare]) t.match(await here.http.send('DELETE', `/streams/${id}?retry=never`, admin), { status: 409, body: /"code":"stream-without-identity"/ });
  for (const id of own.slice(0, 2)) t.equal((await here.http.send('DELETE', `/streams/${id}?retry=never`, admin)).status, 204);
  await Promise.all(opened.slice(0, 2).map(({ ended }) => ended));
  for (const { instance, http } of members) {
    for (const headers of [{ 'last-event-id': position }, {}]) t.match(await http.get(`/topics/a/events?ticket=${ticket}`, headers), { status: 204, body: '', headers: { connection: 'close' } }, 'ticket');
    // Another instance hears of it a moment later; until then the answer would be a stream.
    await until('it has heard that the session is over', async () => {
      const stream = await openStream(t, `${instance.url}/events?topic=a`, { headers: page });
      stream.destroy();
      return stream.status === 204;
    });
    t.match(await http.get('/events?topic=a', page), { status: 204, body: '' }, 'session');
    t.equal((await http.get('/session', page)).status, 401, 'it is no session any more');
    t.equal((await openStream(t, `${instance.url}/topics/a/events`, { headers: { cookie: cookie.replace(/.$/, (last) => last === '0' ? '1' : '0') } })).status, 401, 'who lacks its secret learns nothing');
  }
  await here.http.publish('a', 'goes on', reader);
  t.equal((await opened[2]!.next(({ event }) => event === undefined)).data, 'goes on');
  for (const id of ids.slice(-1)) t.equal((await here.http.send('DELETE', `/streams/${id}?retry=never`, reader)).status, 403);
  opened.forEach((stream) => stream.destroy());
});

await t.test('topics are listed, and reports made, for the streams of all instances', async (t) => {
  const [here, there, other] = members as [Member, Member, Member];
  for (const [member, path] of [[here, '/topics/wanted.a/events'], [there, '/events?topic=wanted.a&topic=wanted.*'], [other, '/topics/wanted.%3E/events'], [other, '/topics/wanted.b/events'], [there, '/topics/secret/events']] as const) await open(t, member, path, reader);
  const { id } = JSON.parse((await there.http.send('POST', '/topics/wanted.c', publisher, 'x')).body) as { id: string };
  for (const { http } of members) {
    t.match(await wholeAt<TopicsPage>(http, publisher, '/topics'), { topics: [{ topic: 'wanted.a', streams: 3, messages: 0 }, { topic: 'wanted.b', streams: 3 }, { topic: 'wanted.c', streams: 2, messages: 1, newest: id }], more: false, partial: undefined });
  }
  const report = async (): Promise<object> => (JSON.parse((await here.http.send('POST', '/topics/wanted.a?report=1', publisher, 'x')).body) as { report: object }).report;
  t.strictSame(await report(), { streams: 1, instances: 1, ageMs: 0, partial: true }, 'the first one waits for nobody');
  await until('the others have said so', async () => !('partial' in await report()));
  t.match(await report(), { streams: 3, instances: 3, ageMs: Number });
});

await t.test('an administrator has streams shared out evenly on any instance; clients that are sent away go on where they were', async (t) => {
  const [here, there, other] = members as [Member, Member, Member];
  const opened = await Promise.all(Array.from({ length: 9 }, () => open(t, here, '/topics/shared/events', reader)));
  t.equal((await there.http.send('POST', '/instances/rebalance', reader)).status, 403);
  const answer = await there.http.send('POST', '/instances/rebalance', admin);
  t.match(answer, { status: 202, headers: { 'content-type': /^application\/json/ } });
  const { moving, instances, partial } = JSON.parse(answer.body) as EvenSharesReport;
  t.equal(partial, undefined);
  t.same(instances.map(({ id }) => id), members.map(({ id }) => id));
  t.same(instances.filter((one) => one.moving > 0).map((one) => [one.id, one.moving]), [[here.id, moving]]);
  t.ok(moving > 1 && moving <= 6, `${moving} of 9 leave, or fewer where streams of before are still counted`);
  const left = (): SseStream[] => opened.filter(({ events }) => events.some(({ event }) => event === '$busy'));
  await until('they have left', () => left().length === moving);
  await there.instance.says(/"audit":"streams-rebalanced","moving":[1-9][0-9]*,"from":\["[a-z0-9]{10}"\],"by":"key [a-z0-9]+"/);
  t.match((await there.http.get('/metrics', admin)).body, /^tidings_rebalances_asked_total 1$/m);
  t.match((await here.http.get('/metrics', admin)).body, new RegExp(`^tidings_streams_rebalanced_total ${moving}$`, 'm'));
  const position = left()[0]!.events.findLast(({ id }) => id !== undefined)!.id!;
  await there.http.publish('shared', 'meanwhile', reader);
  const back = await openStream(t, `${other.instance.url}/topics/shared/events`, { headers: { ...reader, 'last-event-id': position } });
  t.equal((await back.next(({ event }) => event === undefined)).data, 'meanwhile');
  for (const stream of [...opened, back]) stream.destroy();
});

await t.test('beside an instance of the version before, which answers nothing, an answer says that something may be missing', async (t) => {
  const old = redisClient(t, redis);
  const [channel] = await old.call('PUBSUB', 'CHANNELS', 'tidings:*:notes') as [string];
  await old.subscribe(channel);
  const { http } = members[0]!;
  await until('Redis counts it', async () => (await instancesAt(http, admin)).partial === true);
  const [page, list, unknown, unchanged] = await Promise.all([
    streamsAt(http, admin), instancesAt(http, admin), http.send('DELETE', '/streams/aaaaaaaaaa-1', admin), askToChange(http, { id: 'aaaaaaaaaa-1', secret: 'x'.repeat(22) }, { add: ['a'] }, reader),
  ]);
  t.match(page, { partial: true, missing: undefined });
  t.match(list, { instances: { length: INSTANCES }, partial: true, missing: undefined });
  t.match(unknown, { status: 503 }, 'it may have the stream');
  t.match(unchanged, { status: 503, body: /"code":"outcome-unknown"/ }, 'and may not know how to change it');
  await old.unsubscribe(channel);
  await until('it is gone', async () => (await instancesAt(http, admin)).partial === undefined);
});

await t.test('an instance that is frozen, or was killed, is missing from the answers of the others, and one that goes in order is not', async (t) => {
  const [here, frozen, killed] = members as [Member, Member, Member];
  for (const member of members) await open(t, member, '/topics/a/events', reader);
  const [, stuck, gone] = (await listed(here.http, 3)).map(({ id }) => id) as [string, string, string];
  killed.instance.kill('SIGKILL');
  await killed.instance.exited;
  await until('Redis has noticed', async () => (await instancesAt(here.http, admin)).instances.length === 2);
  t.match(await streamsAt(here.http, admin), { streams: { length: 2 }, more: false, partial: true, missing: [killed.id] });
  frozen.instance.kill('SIGSTOP');
  const [page, list, detail, ...refusals] = await Promise.all([streamsAt(here.http, admin), instancesAt(here.http, admin), here.http.get(`/instances/${frozen.id}`, admin), ...[stuck, gone].map((id) => here.http.send('DELETE', `/streams/${id}`, admin))]);
  const missing = [frozen.id, killed.id].sort();
  t.match(page, { streams: { length: 1 }, more: false, partial: true, missing });
  t.match(list, { instances: [{ id: here.id }], partial: true, missing });
  t.match(detail, { status: 503, body: /"code":"unavailable"/ });
  for (const refusal of refusals) t.match(refusal, { status: 503, body: /"code":"outcome-unknown"/ });
  await until('what may happen later is written down', () => here.instance.output.split('\n').filter((line) => line.includes('"stream-closed"') && line.includes('did not answer')).length >= refusals.length);
  t.match((await here.http.get('/metrics', admin)).body, /^tidings_questions_unanswered_total [1-9]/m);
  frozen.instance.kill('SIGCONT');
  await until('it answers again', async () => (await instancesAt(here.http, admin)).instances.length === 2);
  t.equal((await here.http.send('POST', `/instances/${frozen.id}/drain`, reader)).status, 403);
  t.match(await here.http.send('POST', `/instances/${frozen.id}/drain`, admin), { status: 202, body: JSON.stringify({ id: frozen.id, status: 'draining' }) });
  t.equal((await frozen.instance.exited).code, 0);
  await until('it is forgotten', async () => (await instancesAt(here.http, admin)).missing?.join() === killed.id);
  for (const id of ['aaaaaaaaaa', 'x', killed.id]) t.equal((await here.http.send('POST', `/instances/${id}/drain`, admin)).status, id === killed.id ? 503 : 404, id);
  t.match(await instancesAt(here.http, admin), { instances: [{ id: here.id, version: /./, status: 'ready', database: 'up', bus: 'up', streams: 1, lag: 0 }] });

  // In the place of one that was killed there is another. It stands still before it has said much of itself.
  await killed.instance.restart();
  const handle = handleOf(await open(t, killed, '/topics/a/events', reader));
  killed.instance.kill('SIGSTOP');
  const [changed, closed] = await Promise.all([askToChange(here.http, handle, { add: ['b'] }, reader), here.http.send('DELETE', `/streams/${handle.id}`, admin)]);
  for (const answer of [changed, closed]) t.match(answer, { status: 503, headers: { 'retry-after': /^[0-9]+$/ }, body: /"code":"outcome-unknown"/ }, 'the stream exists');
  killed.instance.kill('SIGCONT');
});

await t.test('on PostgreSQL it is the same', async (t) => {
  const server = await startPostgres(t);
  const { members: [here, there, other], admin, reader } = await prepare(t, { DATABASE_URL: server.url(await server.database()), REDIS_URL: redis.url });
  for (const member of [here!, there!, other!]) await open(t, member, '/topics/a/events', reader);
  const { streams } = await wholeAt<StreamsPage>(here!.http, admin, '/streams');
  t.same(streams.map(({ instance }) => instance), [here!.id, there!.id, other!.id]);
  t.equal((await here!.http.send('DELETE', `/streams/${streams[2]!.id}`, admin)).status, 204);
  there!.instance.kill('SIGSTOP');
  t.match(await streamsAt(other!.http, admin), { streams: [{ instance: here!.id }], partial: true, missing: [there!.id] });
  there!.instance.kill('SIGCONT');
});
