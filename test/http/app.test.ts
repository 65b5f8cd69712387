import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { t } from 'tap';
import type { HistoryPage, HistoryRequest } from '../../src/delivery/long-polls.ts';
import { buildApp } from '../../src/http/app.ts';
import type { App, Service } from '../../src/http/service.ts';
import { Message, type Draft } from '../../src/model/message.ts';
import { Problem, PROBLEMS, type ProblemCode } from '../../src/model/problem.ts';
import { SupervisorMetrics } from '../../src/runtime/supervisor-metrics.ts';
import type { IdempotencyKey } from '../../src/store/store.ts';
import { recordingLogger } from '../support/logger.ts';
import { fakeService } from '../support/service.ts';

/** The HTTP edge with a service whose answers the test chooses; `test/wire/http.test.ts` has the real one. */

function failing(error: Error): Service {
  return fakeService({ publisher: { publish: () => Promise.reject(error) } });
}

async function closed<Result>(app: App, run: () => Promise<Result>): Promise<Result> {
  try {
    return await run();
  } finally {
    await app.close();
  }
}

t.test('every problem is answered with its code and status, in the form of RFC 9457', async (t) => {
  for (const code of Object.keys(PROBLEMS) as ProblemCode[]) {
    if (code === 'internal') continue;
    const [status, title] = PROBLEMS[code];
    const app = buildApp(failing(new Problem(code, 'So it is.', { field: 'x', cause: new Error('of the inside') })));
    const answer = await closed(app, () => app.inject({ method: 'POST', url: '/topics/a', payload: 'x' }));
    t.equal(answer.statusCode, status, code);
    t.equal(answer.headers['content-type'], 'application/problem+json', code);
    t.same(answer.json(), { type: `urn:tidings:problem:${code}`, title, status, code, detail: 'So it is.', field: 'x' }, code);
    const retryAfter = answer.headers['retry-after'];
    if (status === 503) t.match(retryAfter, /^[1-5]$/, code);
    else t.equal(retryAfter, undefined, code);
  }
});

t.test('what nobody expected is internal: its text is logged, and the answer leads there', async (t) => {
  for (const error of [new TypeError('secret of the inside'), Object.assign(new Error('secret of the inside'), { statusCode: 500 }), new Problem('internal', 'secret of the inside')]) {
    const { logger, lines } = recordingLogger();
    const app = buildApp({ ...failing(error), logger });
    const answer = await closed(app, () => app.inject({ method: 'POST', url: '/topics/a', payload: 'x' }));
    t.equal(answer.statusCode, 500);
    t.notMatch(answer.body, /secret/);
    const { code, detail } = answer.json<{ code: string; detail: string }>();
    t.equal(code, 'internal');
    const request = /request (\S+)\.$/.exec(detail)?.[1];
    const line = lines.map((text) => JSON.parse(text) as { request?: string; err?: { message: string } }).find(({ err }) => err !== undefined);
    t.match(line, { request, err: { message: 'secret of the inside' } });
  }
});

t.test('nothing of a message is logged', async (t) => {
  const { logger, lines } = recordingLogger();
  const app = buildApp(fakeService({ logger }));
  await closed(app, async () => {
    for (const [url, type, payload] of [
      ['/topics/a?event=e', 'text/plain', 'confidential'], ['/topics/a', 'application/json', '{"confidential":1}'], ['/topics/a', 'application/json', '{confidential}'],
      ['/messages', 'application/json', '[{"topic":"a","data":"confidential"}]'], ['/messages', 'application/x-ndjson', '{"topic":"a","data":"confidential"}\n{confidential'],
    ] as const) await app.inject({ method: 'POST', url, headers: { 'content-type': type, authorization: 'Bearer confidential', 'idempotency-key': 'confidential' }, payload });
  });
  t.notMatch(lines.join(''), /confidential/);
  const published = lines.map((line) => JSON.parse(line) as { level: string; msg: string; request?: string }).filter(({ msg }) => msg === 'published');
  t.equal(published.length, 3, 'one line for each publish');
  t.ok(published.every(({ level, request }) => level === 'debug' && request !== undefined), 'at debug, with the id of its request');
});

t.test('the debug log says whose request was published, opened or refused, as the trusted proxy tells it', async (t) => {
  const { logger, lines } = recordingLogger();
  const app = buildApp(fakeService({ logger }, { TRUST_PROXY: 'loopback' }));
  await closed(app, async () => {
    for (const [url, type] of [['/topics/a', 'text/plain'], ['/messages', 'application/x-ndjson'], ['/topics/a', 'none']] as const) {
      await app.inject({ method: 'POST', url, headers: { 'content-type': type, 'x-forwarded-for': '198.51.100.9, 203.0.113.7' }, payload: '{"topic":"a","data":1}' });
    }
  });
  const told = lines.map((line) => JSON.parse(line) as { msg: string; client?: string; code?: string }).map(({ msg, client, code }) => ({ msg, client, code }));
  t.same(told, [
    { msg: 'published', client: '203.0.113.7', code: undefined }, { msg: 'published', client: '203.0.113.7', code: undefined },
    { msg: 'refused', client: '203.0.113.7', code: 'unsupported-media-type' },
  ]);
});

t.test('while draining, publishes are taken, and every answer ends its connection', async (t) => {
  const app = buildApp(fakeService({ draining: true, readiness: () => ({ ready: false, status: 'draining' }) }));
  await closed(app, async () => {
    const publish = await app.inject({ method: 'POST', url: '/topics/a', payload: 'x' });
    t.equal(publish.statusCode, 201);
    const ready = await app.inject('/readyz');
    t.equal(ready.statusCode, 503);
    t.same(ready.json(), { status: 'draining' });
    const answers = [publish, ready, await app.inject('/healthz'), await app.inject('/nope'), await app.inject('/topics/a/messages'), await app.inject({ method: 'PUT', url: '/topics/a' })];
    for (const { headers, body } of answers) t.equal(headers.connection, 'close', body);
  });
});

t.test('degraded is still ready', async (t) => {
  const app = buildApp(fakeService({ readiness: () => ({ ready: true, status: 'degraded', detail: { bus: 'degraded' } }) }));
  const answer = await closed(app, () => app.inject('/readyz'));
  t.equal(answer.statusCode, 200);
  t.same(answer.json(), { status: 'degraded', detail: { bus: 'degraded' } });
});

t.test('what a publish asks for reaches the log', async (t) => {
  const asked: (readonly [readonly Draft[], IdempotencyKey | undefined])[] = [];
  const app = buildApp(fakeService({ publisher: { publish: (_grant, drafts, key) => {
    asked.push([drafts, key]);
    return Promise.resolve({ epoch: 'abcdefgh', first: 7, time: 1_790_000_000_123, replayed: key !== undefined });
  } } }, { IDEMPOTENCY_SECONDS: '60' }));
  await closed(app, async () => {
    const single = await app.inject({ method: 'POST', url: '/topics/b%C3%BC.%2F?event=e%C3%BC', headers: { ttl: '60', 'idempotency-key': '"k"', 'content-type': 'application/json; charset=UTF-8' }, payload: ' {"a": 1e400}\n' });
    t.equal(single.statusCode, 201);
    t.equal(single.headers.location, '/messages/abcdefgh-7');
    t.equal(single.headers['idempotency-replayed'], 'true');
    t.same(single.json(), { id: 'abcdefgh-7', topic: 'bü./', event: 'eü', time: '2026-09-21T14:13:20.123Z' });
    const batch = await app.inject({ method: 'POST', url: '/messages', headers: { 'content-type': 'application/json' }, payload: '[{"topic":"a","data":1},{"topic":"b","data":2,"event":"e"}]' });
    t.same(batch.json(), { messages: [
      { id: 'abcdefgh-7', topic: 'a', event: 'message', time: '2026-09-21T14:13:20.123Z' },
      { id: 'abcdefgh-8', topic: 'b', event: 'e', time: '2026-09-21T14:13:20.123Z' },
    ] });
    t.notOk('idempotency-replayed' in batch.headers);
  });
  const [[[draft], key], [drafts, none]] = asked as [(typeof asked)[0], (typeof asked)[0]];
  t.match(draft, { topic: 'bü./', event: 'eü', json: true, ttl: 60 });
  t.equal(Buffer.from(draft!.data).toString(), ' {"a": 1e400}\n', 'byte for byte');
  t.match(key, { scope: '', key: 'k', window: 60_000 });
  t.equal(key!.fingerprint.length, 32);
  t.equal(drafts.length, 2);
  t.equal(none, undefined);
});

t.test('what a history request asks for reaches the log, and data comes back verbatim', async (t) => {
  const asked: HistoryRequest[] = [];
  const draft = { topic: 'a', event: undefined, json: true, data: Buffer.from('{"n": 12345678901234567890}') };
  const found: HistoryPage = {
    messages: [new Message('abcdefgh', 7, 0, 0, draft), new Message('abcdefgh', 8, 1, 0, { ...draft, json: false, data: Buffer.from('a"\u0000b') })],
    cursor: 'abcdefgh-9', more: true, gap: { requested: null, resumed: 'abcdefgh-6', oldest: 'abcdefgh-7', reason: 'unknown-log' }, clean: () => true,
  };
  const app = buildApp(fakeService({ history: { page: (request) => {
    asked.push(request);
    return Promise.resolve(found);
  }, message: (_grant, position) => Promise.resolve(position.seq === 7 ? found.messages[0] : undefined) } }));
  await closed(app, async () => {
    const page = await app.inject('/messages?topic=a&topic=b.*&limit=2&wait=5&after=abcdefgh-6&unknown=1');
    t.equal(page.body, '{"messages":[{"id":"abcdefgh-7","topic":"a","event":"message","time":"1970-01-01T00:00:00.000Z","data":{"n": 12345678901234567890}},'
      + '{"id":"abcdefgh-8","topic":"a","event":"message","time":"1970-01-01T00:00:00.001Z","data":"a\\"\\u0000b"}],'
      + '"cursor":"abcdefgh-9","more":true,"gap":{"requested":null,"resumed":"abcdefgh-6","oldest":"abcdefgh-7","reason":"unknown-log"}}\n');
    t.match(page.headers, { 'content-type': 'application/json', 'cache-control': 'no-store' });
    await app.inject('/topics/%3E/messages');
    await app.inject({ method: 'HEAD', url: '/topics/a/messages?wait=50&since=10m' });
    t.equal((await app.inject('/messages/abcdefgh-7')).body, '{"id":"abcdefgh-7","topic":"a","event":"message","time":"1970-01-01T00:00:00.000Z","data":{"n": 12345678901234567890}}\n');
    for (const id of ['abcdefgh-8', 'abcdefgh', 'x', 'abcdefgh-07', '%20']) t.match((await app.inject(`/messages/${id}`)).json(), { status: 404, code: 'message-not-found' }, id);
  });
  t.match(asked, [
    { filter: { key: 'a b.*' }, start: { kind: 'after', position: { epoch: 'abcdefgh', seq: 6 } }, limit: 2, wait: 5000 },
    { filter: { key: '>' }, start: { kind: 'start' }, limit: 100, wait: 0 },
    { filter: { key: 'a' }, start: { kind: 'ago', milliseconds: 600_000 }, limit: 100, wait: 0 },
  ]);
});

t.test('the document describes every route, and refers to nothing that is not there', async (t) => {
  const app = buildApp(fakeService());
  const answer = await closed(app, () => app.inject('/openapi.json'));
  const document = answer.json<{ openapi: string; paths: Record<string, Record<string, { responses: Record<string, unknown> }>> }>();
  t.match(document.openapi, /^3\./);
  t.same(Object.keys(document.paths).sort(), ['/', '/access', '/client.js', '/client/{module}', '/connectors', '/cursor', '/events', '/healthz', '/hooks/{hook}', '/hooks/{hook}/{secret}', '/instances', '/instances/rebalance', '/instances/{id}', '/instances/{id}/drain', '/keys', '/keys/{id}', '/keys/{id}/access', '/keys/{id}/rotate', '/members/{id}', '/messages', '/messages/{id}', '/messages/{id}/delivery', '/metrics', '/page/{file}', '/presence', '/readyz', '/revocations', '/session', '/streams', '/streams/{id}', '/streams/{id}/credential', '/tickets', '/topics', '/topics/{topic}', '/topics/{topic}/events', '/topics/{topic}/messages', '/topics/{topic}/presence', '/webhooks', '/webhooks/{id}', '/webhooks/{id}/attempts', '/webhooks/{id}/pause', '/webhooks/{id}/replay', '/webhooks/{id}/resume', '/webhooks/{id}/rotate', '/webhooks/{id}/test']);
  t.same(Object.keys(document.paths['/messages']!).sort(), ['get', 'head', 'post']);
  t.notMatch(answer.body, /\$ref/);
  for (const status of ['201', '400', '401', '403', '413', '415', '422', '503']) t.ok(document.paths['/topics/{topic}']!['post']!.responses[status], status);
});

t.test('metrics show what was counted', async (t) => {
  const service = fakeService();
  const app = buildApp(service);
  const body = await closed(app, async () => {
    service.counters.published = 3;
    for (const milliseconds of [1, 1.5, 9000]) service.counters.commitMilliseconds.observe(milliseconds);
    for (const messages of [1, 2, 3, 5000, 5001]) service.counters.commitMessages.observe(messages);
    await app.inject({ method: 'POST', url: '/topics/*', payload: 'x' });
    await app.inject({ method: 'POST', url: '/topics/*', payload: 'x' });
    await app.inject('/topics/%zz/messages');
    service.counters.deliveryMilliseconds.observe(7);
    await app.inject('/metrics');
    const answer = await app.inject('/metrics');
    t.equal(answer.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8');
    return answer.body;
  });
  for (const line of [
    'tidings_messages_published_total 3', 'tidings_publishes_refused_total{code="invalid-topic"} 2', 'tidings_bus_up 1',
    'tidings_responses_total{status="400"} 3', 'tidings_responses_total{status="200"} 1', `tidings_build_info{version="0",node="0"} 1`,
    'tidings_streams_max 1', 'tidings_tail_max_bytes 2', 'tidings_filter_max_bytes 7', 'tidings_unread_max_bytes 8', 'tidings_appends_waiting_max 3', 'tidings_log_max_bytes 4', 'tidings_keys_max 6', 'tidings_log_max_age_seconds 5',
    'tidings_delivery_seconds_bucket{le="0.005"} 0', 'tidings_delivery_seconds_bucket{le="0.01"} 1', 'tidings_delivery_seconds_sum 0.007',
    '# TYPE tidings_commit_seconds histogram', '# TYPE tidings_commit_messages histogram',
  ]) t.ok(body.split('\n').includes(line), line);
  const samples = (name: string): string[] => body.split('\n').filter((line) => line.startsWith(`tidings_${name}_`)).map((line) => line.replace(`tidings_${name}_`, ''));
  t.same(samples('commit_seconds'), [
    'bucket{le="0.001"} 1', 'bucket{le="0.002"} 2', 'bucket{le="0.005"} 2', 'bucket{le="0.01"} 2', 'bucket{le="0.02"} 2', 'bucket{le="0.05"} 2', 'bucket{le="0.1"} 2',
    'bucket{le="0.2"} 2', 'bucket{le="0.5"} 2', 'bucket{le="1"} 2', 'bucket{le="2"} 2', 'bucket{le="5"} 2', 'bucket{le="+Inf"} 3', 'sum 9.0025', 'count 3',
  ]);
  t.same(samples('commit_messages'), [
    'bucket{le="1"} 1', 'bucket{le="2"} 2', 'bucket{le="5"} 3', 'bucket{le="10"} 3', 'bucket{le="20"} 3', 'bucket{le="50"} 3', 'bucket{le="100"} 3',
    'bucket{le="200"} 3', 'bucket{le="500"} 3', 'bucket{le="1000"} 3', 'bucket{le="2000"} 3', 'bucket{le="5000"} 4', 'bucket{le="+Inf"} 5', 'sum 10007', 'count 5',
  ]);
  t.match(body, /^nodejs_eventloop_lag_p99_seconds [0-9.e-]+$/m);
  const named = readFileSync(join(import.meta.dirname, '../../docs/monitoring.md'), 'utf8').match(/\b(tidings|nodejs|process)_[a-z0-9_]*[a-z0-9]\b/g)!;
  const ofSupervisor = await new SupervisorMetrics(1, { warn: 0, error: 0, fatal: 0 }).render({ running: 1, ready: 1, restarts: new Map(), answered: new Set() });
  for (const name of new Set(named)) t.ok(`${body}\n${ofSupervisor}`.includes(`# TYPE ${name.replace(/_bucket$/, '')} `), `docs/monitoring.md names ${name}`);
});
