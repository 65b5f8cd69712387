import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { openStream } from '../support/client.ts';
import { Http } from '../support/http.ts';
import { operationsUrl, startInstance, type Instance } from '../support/instance.ts';
import { freePort } from '../support/ports.ts';
import { RawConnection, requestBytes } from '../support/raw.ts';
import { tempFolder } from '../support/temp.ts';
import { until } from '../support/until.ts';

/** Health, readiness and metrics: what those who run it go by. */

const DATABASE_URL = `file:${join(tempFolder(t), 'shared.db')}`;

/** Another instance on the same log, which has no bus and never looks: a look might find its message before it has heard itself that it is stored. */
async function startOther(drainSeconds: number): Promise<Instance> {
  return startInstance(t, { LOG_LEVEL: 'silent', DATABASE_URL, POLL_MS: '60000', REDIS_URL: `redis://127.0.0.1:${await freePort()}`, DRAIN_SECONDS: String(drainSeconds) });
}

const [instance, other] = await Promise.all([startInstance(t, { LOG_LEVEL: 'warn', DATABASE_URL, POLL_MS: '50' }), startOther(2)]);
const [http, there] = [new Http(t, instance.url), new Http(t, other.url)];

/** For an instance that is not to become ready: whether it answers at all. */
const lives = { ready: async ({ url }: Instance): Promise<boolean> => (await new Http(t, url).get('/healthz').catch(() => undefined))?.status === 200 };

interface Metric {
  readonly type: string;
  readonly samples: ReadonlyMap<string, number>;
}

/** The upper bounds that dashboards rely on. */
const BUCKETS = {
  tidings_commit_messages: ['1', '2', '5', '10', '20', '50', '100', '200', '500', '1000', '2000', '5000', '+Inf'],
  tidings_commit_seconds: ['0.001', '0.002', '0.005', '0.01', '0.02', '0.05', '0.1', '0.2', '0.5', '1', '2', '5', '+Inf'],
  tidings_delivery_seconds: ['0.001', '0.002', '0.005', '0.01', '0.02', '0.05', '0.1', '0.2', '0.5', '1', '2', '5', '10', '30', '+Inf'],
};

/** Reads Prometheus' text format (https://prometheus.io/docs/instrumenting/exposition_formats), and throws at whatever is not of it. */
function parseMetrics(text: string): Map<string, Metric> {
  const metrics = new Map<string, { help: string; type: string; samples: Map<string, number> }>();
  if (!text.endsWith('\n')) throw new Error('the last line does not end');
  for (const line of text.split('\n').filter((one) => one !== '')) {
    const help = /^# HELP ([a-z_][a-z0-9_]*) (.+)$/.exec(line);
    if (help !== null) {
      if (metrics.has(help[1]!)) throw new Error(`twice: ${line}`);
      metrics.set(help[1]!, { help: help[2]!, type: '', samples: new Map() });
      continue;
    }
    const type = /^# TYPE ([a-z_][a-z0-9_]*) (counter|gauge|histogram|summary)$/.exec(line);
    if (type !== null) {
      metrics.get(type[1]!)!.type = type[2]!;
      continue;
    }
    const sample = /^(([a-z_][a-z0-9_]*)(?:\{(?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)+\})?) (-?[0-9.]+(?:e[+-]?[0-9]+)?|\+Inf|NaN)$/.exec(line);
    if (sample === null) throw new Error(`no sample: ${line}`);
    const metric = metrics.get(sample[2]!) ?? metrics.get(sample[2]!.replace(/_(bucket|sum|count)$/, ''));
    if (metric === undefined || metric.type === '' || metric.samples.has(sample[1]!)) throw new Error(`out of place: ${line}`);
    metric.samples.set(sample[1]!, Number(sample[3]!.replace('+Inf', 'Infinity')));
  }
  return metrics;
}

await t.test('the process lives, and can take work', async (t) => {
  const [health, ready] = [await http.get('/healthz'), await http.get('/readyz')];
  t.match([health.status, JSON.parse(health.body)], [200, { status: 'ok' }]);
  t.match([ready.status, JSON.parse(ready.body)], [200, { status: 'ready' }]);
});

await t.test('without its database it lives, is not ready, and says nothing untrue', async (t) => {
  const file = join(tempFolder(t), 'no.db');
  writeFileSync(file, 'This is no database. '.repeat(1000));
  const blind = await startInstance(t, { LOG_LEVEL: 'silent', DATABASE_URL: `file:${file}` }, lives);
  const client = new Http(t, blind.url);
  const ready = await client.get('/readyz');
  t.equal(ready.status, 503);
  t.match(JSON.parse(ready.body), { status: 'starting', detail: { database: 'opening', reason: 'damaged' } });
  t.equal(await client.metric('database_up'), 0);
  const publish = await client.post('a', 'x');
  t.match([publish.status, publish.headers['retry-after'], JSON.parse(publish.body)], [503, /^[1-9]$/, { code: 'unavailable' }]);
  const stream = await openStream(t, `${blind.url}/topics/a/events`);
  t.equal((await stream.next()).event, '$busy', 'a stream is never refused with an error that would end it for good');
  t.equal(stream.status, 200);
  const history = await client.get('/topics/a/messages');
  t.match([history.status, history.headers['content-type'], history.headers['retry-after'], JSON.parse(history.body)], [503, 'application/problem+json', /^[1-9]$/, { code: 'unavailable' }]);
  for (const { body } of [ready, publish, history]) t.notMatch(body, /sqlite|no\.db|\/tmp|SQLITE|Error/, 'nothing of the inside');
  t.equal(readFileSync(file, 'utf8'), 'This is no database. '.repeat(1000), 'the file was left as it is');
  t.equal((await client.get('/healthz')).status, 200);
});

await t.test('metrics are in the text format of Prometheus, all that are promised', async (t) => {
  const { headers, body } = await http.get('/metrics');
  t.match(headers['content-type'], /^text\/plain; version=0\.0\.4/);
  const metrics = parseMetrics(body);
  const PROMISED: Readonly<Record<string, string>> = {
    tidings_streams: 'gauge', tidings_streams_opened_total: 'counter', tidings_streams_closed_total: 'counter', tidings_streams_busy_total: 'counter',
    tidings_messages_published_total: 'counter', tidings_messages_delivered_total: 'counter', tidings_delivered_bytes_total: 'counter',
    tidings_readers_behind: 'gauge', tidings_readers_behind_max_messages: 'gauge',
    tidings_tail_first: 'gauge', tidings_tail_last: 'gauge', tidings_tail_messages: 'gauge', tidings_tail_bytes: 'gauge', tidings_tail_filled_total: 'counter',
    tidings_commit_messages: 'histogram', tidings_commit_seconds: 'histogram', tidings_appends_waiting: 'gauge',
    tidings_log_head: 'gauge', tidings_log_oldest: 'gauge', tidings_bus_up: 'gauge', tidings_bus_refused_total: 'counter', tidings_database_up: 'gauge',
    tidings_build_info: 'gauge', tidings_clock_ahead_seconds: 'gauge', tidings_newest_message_ahead_seconds: 'gauge', tidings_responses_total: 'counter', tidings_delivery_seconds: 'histogram', tidings_streams_max: 'gauge', tidings_tail_max_bytes: 'gauge', tidings_filter_bytes: 'gauge', tidings_filter_max_bytes: 'gauge', tidings_unread_bytes: 'gauge', tidings_unread_max_bytes: 'gauge',
    tidings_appends_waiting_max: 'gauge', tidings_log_max_bytes: 'gauge', tidings_keys: 'gauge', tidings_keys_max: 'gauge', tidings_keys_forgotten_total: 'counter', tidings_log_max_age_seconds: 'gauge', process_open_fds: 'gauge', process_max_fds: 'gauge',
    tidings_publishes_refused_total: 'counter', tidings_requests_refused_total: 'counter', tidings_jwks_fetches_failed_total: 'counter', tidings_jwks_fetched_timestamp_seconds: 'gauge', tidings_publishes_replayed_total: 'counter', tidings_gaps_total: 'counter',
    nodejs_eventloop_lag_p99_seconds: 'gauge', nodejs_eventloop_lag_max_seconds: 'gauge', process_resident_memory_bytes: 'gauge', nodejs_heap_size_used_bytes: 'gauge',
  };
  for (const [name, type] of Object.entries(PROMISED)) t.equal(metrics.get(name)?.type, type, name);
  for (const [name, { samples }] of metrics) t.ok([...samples.values()].every((value) => !Number.isNaN(value)), `${name} is a number`);
  t.ok(metrics.get('nodejs_eventloop_lag_max_seconds')!.samples.get('nodejs_eventloop_lag_max_seconds')! > 0);
});

await t.test('they count what happens', async (t) => {
  const before = await http.metrics();
  const began = performance.now();
  const stream = await openStream(t, `${instance.url}/topics/count.*/events`);
  const other = await openStream(t, `${instance.url}/events?topic=count.a`, { headers: { 'Last-Event-ID': 'none of ours' } });
  await other.next(({ event }) => event === '$gap');
  await http.publish('count.a', 'x');
  await http.batch(Array.from({ length: 7 }, (_, index) => ({ topic: 'count.b', data: index })));
  for (let round = 0; round < 2; round++) await http.post('count.c', 'x', { 'Idempotency-Key': 'k' });
  await http.post('count..', 'x');
  await http.get('/nothing/here');
  await http.post('count.c', 'y', { 'Idempotency-Key': 'k' });
  for (let message = 0; message < 9; message++) await stream.next(({ event }) => event === undefined);
  await other.next(({ event }) => event === undefined);
  const { body } = await http.get('/metrics');
  const now = await http.metrics();
  const took = performance.now() - began;
  const grown = (name: string): number => (now.get(`tidings_${name}`) ?? NaN) - (before.get(`tidings_${name}`) ?? 0);
  t.match({
    published: grown('messages_published_total'), delivered: grown('messages_delivered_total'), replayed: grown('publishes_replayed_total'), opened: grown('streams_opened_total'),
    open: grown('streams'), gaps: grown('gaps_total'), topic: grown('publishes_refused_total{code="invalid-topic"}'), reused: grown('publishes_refused_total{code="key-reused"}'), missing: grown('requests_refused_total{code="not-found"}'),
    head: grown('log_head'), tail: grown('tail_last'), inTail: grown('tail_messages'), committed: grown('commit_messages_sum'),
  }, { published: 9, delivered: 10, replayed: 1, opened: 2, open: 2, gaps: 1, topic: 1, reused: 1, missing: 1, head: 9, tail: 9, inTail: 9, committed: 9 });
  t.ok(grown('delivered_bytes_total') >= stream.bytes + other.bytes, 'framing included');
  t.ok(grown('tail_bytes') > 0);
  t.ok(grown('commit_messages_count') >= 3 && grown('commit_messages_count') <= 9);
  t.ok(grown('commit_seconds_count') >= grown('commit_messages_count'), 'a commit of replays alone takes time and stores nothing');
  t.ok(grown('commit_seconds_sum') > 0 && grown('commit_seconds_sum') < took / 1000, `commits took ${grown('commit_seconds_sum')} of ${took / 1000} s`);
  // A sweep for each message that came alone at least, and none for a replay.
  t.ok(grown('delivery_seconds_count') >= 1 && grown('delivery_seconds_count') <= 9, `${grown('delivery_seconds_count')} sweeps`);
  t.ok(grown('delivery_seconds_sum') >= 0 && grown('delivery_seconds_sum') < 9 * took / 1000);
  // Three publishes, one of them twice under its key, and a batch; a topic that is none; a key that was used for something else.
  t.match({ created: grown('responses_total{status="201"}'), invalid: grown('responses_total{status="400"}'), reused: grown('responses_total{status="422"}') }, { created: 4, invalid: 1, reused: 1 });
  t.ok(grown('responses_total{status="200"}') >= 3);
  t.ok((now.get('tidings_tail_first') ?? NaN) >= 1);
  // A commit of seven messages at least, and no commit of more than nine.
  t.ok(grown('commit_messages_bucket{le="10"}') > grown('commit_messages_bucket{le="5"}'));
  t.equal(grown('commit_messages_bucket{le="10"}'), grown('commit_messages_count'));
  for (const [name, bounds] of Object.entries(BUCKETS)) {
    const { samples } = parseMetrics(body).get(name)!;
    const buckets = [...samples].filter(([sample]) => sample.includes('_bucket'));
    t.strictSame(buckets.map(([sample]) => sample), bounds.map((bound) => `${name}_bucket{le="${bound}"}`));
    const counts = buckets.map(([, count]) => count);
    t.strictSame(counts, [...counts].sort((one, two) => one - two), `${name}: each bucket contains the smaller ones`);
    t.equal(counts.at(-1), samples.get(`${name}_count`));
  }
  stream.destroy();
  other.destroy();
  await until('both are closed', async () => await http.metric('streams_closed_total') === (before.get('tidings_streams_closed_total') ?? 0) + 2);
  t.equal(await http.metric('streams'), before.get('tidings_streams'));
});

await t.test('a reader that takes nothing is behind, until it takes again', async (t) => {
  const stream = await openStream(t, `${instance.url}/topics/slow/events`);
  await stream.next();
  stream.pause();
  const data = 'x'.repeat(200_000);
  let sent = 0;
  await until('it is behind by a few', async () => {
    await http.batch(Array.from({ length: 10 }, () => ({ topic: 'slow', data })));
    sent += 10;
    return await http.metric('readers_behind') === 1 && await http.metric('readers_behind_max_messages') >= 5;
  });
  t.ok(await http.metric('readers_fell_behind_total') >= 1);
  stream.resume();
  await stream.until(() => stream.events.length === sent + 1);
  await until('it is live', async () => await http.metric('readers_behind') === 0);
  t.equal(await http.metric('readers_behind_max_messages'), 0);
  stream.destroy();
});

await t.test('without its bus it works, degraded', async (t) => {
  const { status, body } = await there.get('/readyz');
  t.match([status, JSON.parse(body)], [200, { status: 'degraded' }]);
  t.equal(await there.metric('bus_up'), 0);
  t.equal((await there.post('a', 'x')).status, 201);
  await until('both know what the other has stored', async () => await http.metric('tail_last') === await there.metric('tail_last'));
});

await t.test('what another instance stored and no bus told of is counted as filled from the log', async (t) => {
  const stream = await openStream(t, `${instance.url}/topics/filled/events`);
  await stream.next();
  const before = await Promise.all([http, there].map((one) => one.metric('tail_filled_total')));
  const id = await there.publish('filled', 'x');
  t.equal((await stream.next()).id, id);
  t.equal(await http.metric('tail_filled_total'), before[0]! + 1);
  t.equal(await there.metric('tail_filled_total'), before[1], 'its own it knows without asking');
});

await t.test('an instance that is told to end is not ready, but answers until it is gone', async (t) => {
  /** What it answers while it leaves; it rejects when it is gone before it was asked everything. */
  async function askWhileItLeaves(leaving: Instance) {
    const client = new Http(t, leaving.url);
    const stream = await openStream(t, `${leaving.url}/topics/a/events`);
    leaving.kill('SIGTERM');
    await until('it is not ready', async () => (await client.get('/readyz')).status === 503);
    const [ready, health, draining] = [await client.get('/readyz'), await client.get('/healthz'), await client.metric('draining')];
    const publish = await client.post('a', 'last');
    const refused = await (await openStream(t, `${leaving.url}/topics/a/events`)).next();
    return { leaving, stream, ready, health, draining, publish, refused };
  }
  // On a machine that stands still for a while it has longer to leave.
  const { leaving, stream, ready, health, draining, publish, refused } = await askWhileItLeaves(other).catch(async () => askWhileItLeaves(await startOther(30)));
  t.match([JSON.parse(ready.body), ready.headers.connection], [{ status: 'draining' }, 'close']);
  t.equal(health.status, 200);
  t.equal(draining, 1);
  t.strictSame([publish.status, publish.headers.connection], [201, 'close']);
  t.equal(refused.event, '$busy');
  t.equal((await stream.ended).clean, false);
  t.equal(stream.events.at(-1)!.event, '$busy');
  t.strictSame(await leaving.exited, { code: 0, signal: null });
});

await t.test('the listener for operations opens before the other one, and is there until the end', async (t) => {
  const leaving = await startInstance(t, { OPS_PORT: '0', DRAIN_SECONDS: '60' });
  t.ok(leaving.output.indexOf('operations are answered at') < leaving.output.indexOf('HTTP answers at'));
  const operations = new Http(t, operationsUrl(leaving));
  t.match(JSON.parse((await operations.get('/readyz')).body), { status: 'ready', detail: { database: 'up' } });
  const late = await RawConnection.open(t, leaving);
  late.send(requestBytes('POST', '/topics/a', { 'Content-Length': '4' }, 'la'));
  leaving.kill('SIGTERM');
  await leaving.says('draining');
  await until('it takes no connection any more', async () => {
    const socket = connect({ port: leaving.port, host: '127.0.0.1' });
    const isTaken = await once(socket, 'connect').then(() => true, () => false);
    socket.destroy();
    return !isTaken;
  });
  const { status, body } = await operations.get('/readyz');
  t.match([status, JSON.parse(body)], [503, { status: 'draining' }]);
  t.equal(await operations.metric('draining'), 1);
  late.send('te');
  t.match(await late.answered(1, 'POST'), [{ status: 201 }]);
  t.strictSame(await leaving.exited, { code: 0, signal: null });
  await t.rejects(operations.get('/readyz'));
});
