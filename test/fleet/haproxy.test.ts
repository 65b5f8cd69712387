import { EventSource } from 'eventsource';
import { createServer, type RequestListener } from 'node:http';
import t, { type Test } from 'tap';
import type { Balancer } from '../support/balancer.ts';
import { openStream } from '../support/client.ts';
import { ALIVE, PATIENT_CHECKS, startHaproxy } from '../support/haproxy.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { emptyDatabase } from '../support/database.ts';
import { startRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';
import { listening } from '../support/listening.ts';
import { freePort } from '../support/ports.ts';
import type { Scope } from '../support/temp.ts';

/** The configuration that is shipped, before servers that do what no real one does on request. */

const STREAMS = ['/topics/news/events', '/events?topic=news&topic=a.*'];
/** What a stream is told by HAProxy lies between these. Milliseconds. */
const RETRY_MIN = 1_000;
const RETRY_MAX = 5_000;

/** A server that says it is ready, and does this with everything else. Its port. */
async function serve(t: Scope, listener: RequestListener): Promise<number> {
  const server = createServer((request, response) => {
    if (request.url === '/readyz') response.end('{}');
    else listener(request, response);
  });
  t.teardown(() => server.close().closeAllConnections());
  return listening(server);
}

/** HAProxy before three of them. */
async function before(t: Scope, listener: RequestListener, replace: Readonly<Record<string, string>> = {}): Promise<Balancer> {
  const servers = await Promise.all([0, 1, 2].map(() => serve(t, listener)));
  return startHaproxy(t, servers, { replace: { ...PATIENT_CHECKS, ...replace } });
}

/** What a browser's EventSource goes on after: 200, the right type, and a time to come back. The time. */
async function sentBack(t: Test, url: string, headers: Readonly<Record<string, string>> = {}): Promise<number> {
  const stream = await openStream(t, url, { headers });
  t.equal(stream.status, 200);
  t.equal(stream.headers['content-type'], 'text/event-stream');
  t.equal(stream.headers['access-control-allow-origin'], headers['origin'], 'a page of another origin may see it');
  await stream.ended;
  t.same([stream.events, stream.faults], [[], []]);
  t.ok(stream.retry! >= RETRY_MIN && stream.retry! < RETRY_MAX, `retry: ${stream.retry}`);
  return stream.retry!;
}

t.test('with no instance there, streams are told to come back, each at another time, and publishers that nothing was stored', async (t) => {
  const { url } = await startHaproxy(t, [await freePort(), await freePort(), await freePort()]);
  const retries = new Set<number>();
  for (const path of STREAMS) for (let count = 0; count < 5; count++) retries.add(await sentBack(t, url + path));
  t.ok(retries.size > 5, `${retries.size} times for 10 streams`);
  await sentBack(t, url + STREAMS[0], { origin: 'https://app.example.com' });

  const { status, headers, body } = await new Http(t, url).post('news', 'text');
  t.equal(status, 503);
  t.equal(headers['content-type'], 'application/problem+json');
  t.equal(headers['retry-after'], '1');
  t.match(JSON.parse(body), { status: 503, code: 'unavailable' });
});

t.test('an instance that breaks off before it has answered', async (t) => {
  const { url } = await before(t, (request) => request.socket.destroy());
  for (const path of STREAMS) await sentBack(t, url + path);
  const { status, headers, body } = await new Http(t, url).post('news', 'text');
  t.equal(status, 503);
  t.equal(headers['retry-after'], '1');
  t.match(JSON.parse(body), { status: 503, code: 'outcome-unknown' });
});

t.test('an instance that never answers', async (t) => {
  const { url } = await before(t, () => undefined, { 'timeout server 75s': 'timeout server 300ms' });
  for (const path of STREAMS) await sentBack(t, url + path);
  const { status, headers, body } = await new Http(t, url).post('news', 'text');
  t.equal(status, 503);
  t.equal(headers['retry-after'], '1');
  t.match(JSON.parse(body), { status: 503, code: 'outcome-unknown' });
});

t.test('what an instance answers itself passes as it is', async (t) => {
  const { url } = await before(t, (request, response) => {
    response.writeHead(request.url!.includes('bad') ? 400 : 503, { 'content-type': 'text/plain' }).end('mine');
  });
  const http = new Http(t, url);
  for (const [path, status] of [['/topics/bad/events', 400], ['/topics/news/events', 503], ['/topics/news/messages', 503]] as const) {
    const answer = await http.get(path);
    t.same([answer.status, answer.headers['content-type'], answer.body], [status, 'text/plain', 'mine'], path);
  }
});

t.test('a message goes through as soon as it is there', async (t) => {
  const { port } = await startInstance(t);
  const { url } = await startHaproxy(t, [port, port, port], { replace: PATIENT_CHECKS });
  for (const path of STREAMS) {
    const stream = await openStream(t, url + path);
    await stream.next(({ event }) => event === '$open');
    const id = await new Http(t, url).publish('news', 'now');
    t.equal((await stream.next()).id, id);
  }
});

/** Streams that are open while the other instances start. So many that each keeps too many, also where one of the others starts after the first of them has its share. */
const STREAMS_BEFORE = 180;
/** An instance that has fewer above its share keeps them. */
const KEPT_STREAMS = 20;

t.test('after the other instances have started, they get their shares of the streams that were open before, and nothing is lost', async (t) => {
  const env = { DATABASE_URL: await emptyDatabase(t), REDIS_URL: (await startRedis(t)).url, REBALANCE_AGE_SECONDS: '1', RETRY_MIN_MS: '20', RETRY_MAX_MS: '200', ...ALIVE };
  const instances = await Promise.all([0, 1, 2].map(() => startInstance(t, env)));
  const others = instances.slice(1);
  for (const other of others) {
    other.kill('SIGKILL');
    await other.exited;
  }
  const { url } = await startHaproxy(t, instances.map(({ port }) => port), { replace: PATIENT_CHECKS });
  const got = Array.from({ length: STREAMS_BEFORE }, (): string[] => []);
  const sources = got.map((seen) => {
    const source = new EventSource(`${url}/topics/news/events`);
    source.onmessage = ({ data }) => void seen.push(data as string);
    return source;
  });
  t.teardown(() => sources.forEach((source) => source.close()));
  const all = instances.map((instance) => new Http(t, instance.url));
  const http = all[0]!;
  await until('all are open', async () => await http.metric('streams') === STREAMS_BEFORE);
  for (const other of others) await other.restart();
  let published = 0;
  const counts = async (): Promise<number[]> => {
    await http.publish('news', `${published++}`);
    return Promise.all(all.map((one) => one.metric('streams')));
  };
  let here = STREAMS_BEFORE;
  await until('each has its share', async () => {
    const [first = 0, ...rest] = await counts();
    here = first;
    return here < STREAMS_BEFORE / 3 + KEPT_STREAMS && rest.reduce((sum, count) => sum + count, here) === STREAMS_BEFORE && rest.every((count) => count > 0);
  });
  const expected = Array.from({ length: published }, (_, index) => `${index}`);
  await until('all have everything', () => got.every(({ length }) => length >= published));
  for (const seen of got) t.same(seen, expected);
  // Another instance may have sent some back meanwhile, to make room for the third.
  t.ok(await http.metric('streams_rebalanced_total') >= STREAMS_BEFORE - here);
  // One that is sent away just now is nowhere for a moment.
  await until('all instances together have all streams', async () => {
    const rows = (await http.json<{ instances: { streams: number }[] }>('/instances')).instances;
    return rows.reduce((sum, { streams }) => sum + streams, 0) === STREAMS_BEFORE;
  });
});
