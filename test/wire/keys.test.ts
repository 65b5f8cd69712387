import t from 'tap';
import { Http, type Answer } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { until } from '../support/until.ts';

/** The Idempotency-Key: what is sent again is stored once. */

const JSON_TYPE = { 'content-type': 'application/json' };
const NDJSON_TYPE = { 'content-type': 'application/x-ndjson' };

/** It keeps hardly any messages: no answer to a key depends on them. */
const instance = await startInstance(t, { LOG_LEVEL: 'warn', RETENTION_BYTES: '1KiB' });
const http = new Http(t, instance.url);

const keyed = (key: string, more: Readonly<Record<string, string>> = {}): Record<string, string> => ({ 'content-type': 'text/plain', 'idempotency-key': key, ...more });
const isReplay = ({ headers }: Answer): boolean => headers['idempotency-replayed'] === 'true';
const code = ({ body }: Answer): unknown => (JSON.parse(body) as { code?: unknown }).code;

void t.test('the same request with the same key gets the same answer, and is stored once', async (t) => {
  const head = await http.metric('log_head');
  const first = await http.post('keys', 'x', keyed('one', { TTL: '600' }));
  t.equal(first.status, 201);
  t.equal(first.headers['idempotency-replayed'], undefined);
  await http.publish('keys', 'in between');
  for (const key of ['one', '"one"']) {
    const again = await http.post('keys', 'x', keyed(key, { TTL: '600' }));
    t.strictSame([again.status, again.body, again.headers.location, isReplay(again)], [201, first.body, first.headers.location, true], `sent as ${key}`);
  }
  t.equal(await http.metric('log_head'), head + 2);
});

void t.test('a key in the URL is the same as in the header', async (t) => {
  const head = await http.metric('log_head');
  const first = await http.send('POST', '/topics/keys.url?idempotencyKey=of%20a%20URL', { 'content-type': 'text/plain' }, 'x');
  t.equal(first.status, 201);
  for (const again of [
    await http.send('POST', '/topics/keys.url?idempotencyKey=of+a+URL', { 'content-type': 'text/plain' }, 'x'),
    await http.send('POST', '/topics/keys.url', keyed('"of a URL"'), 'x'),
    await http.send('POST', '/topics/keys.url?idempotencyKey=%22of%20a%20URL%22', keyed('of a URL'), 'x'),
  ]) t.strictSame([again.status, again.body, isReplay(again)], [201, first.body, true]);
  t.equal(code(await http.send('POST', '/topics/keys.url?idempotencyKey=of%20a%20URL', { 'content-type': 'text/plain' }, 'y')), 'key-reused');
  for (let count = 0; count < 2; count++) {
    const batch = await http.send('POST', '/messages?idempotencyKey=batch.url', JSON_TYPE, '[{"topic":"keys.url","data":1}]');
    t.strictSame([batch.status, isReplay(batch)], [201, count === 1]);
  }
  t.equal(await http.metric('log_head'), head + 2);
});

void t.test('a header that the URL names is the key among the messages of its topic, and another one the event name', async (t) => {
  const head = await http.metric('log_head');
  const path = '/topics/keys.webhook?idempotencyHeader=X-GitHub-Delivery&eventHeader=X-GitHub-Event';
  const headers = { ...JSON_TYPE, 'X-GitHub-Delivery': '72d3162e', 'X-GitHub-Event': 'push' };
  const first = await http.send('POST', path, headers, '{}');
  t.strictSame([first.status, (JSON.parse(first.body) as { event: string }).event], [201, 'push']);
  for (const again of [
    await http.send('POST', path, headers, '{}'),
    await http.send('POST', path.replaceAll('X-GitHub-', 'x-github-'), headers, '{}'),
    await http.send('POST', `${path}&event=push`, { ...headers, 'Tidings-Event': 'push' }, '{}'),
  ]) t.strictSame([again.status, again.body, isReplay(again)], [201, first.body, true]);
  t.equal(code(await http.send('POST', path, { ...headers, 'X-GitHub-Event': 'ping' }, '{}')), 'key-reused');
  for (const other of [
    await http.send('POST', path.replace('keys.webhook', 'keys.webhooks'), headers, '{"for":"another topic"}'),
    await http.send('POST', '/topics/keys.webhook', { ...JSON_TYPE, 'Idempotency-Key': '72d3162e' }, '"a key of ours"'),
  ]) t.strictSame([other.status, isReplay(other)], [201, false]);
  for (let count = 0; count < 2; count++) {
    const batch = await http.send('POST', '/messages?idempotencyHeader=webhook-id', { ...JSON_TYPE, 'webhook-id': 'msg_1' }, '[{"topic":"keys.webhook","data":1}]');
    t.strictSame([batch.status, isReplay(batch)], [201, count === 1]);
  }
  t.equal(await http.metric('log_head'), head + 4);
});

void t.test('a key in quotes is the one without, escapes and all', async (t) => {
  for (const [quoted, bare] of [['"two words"', 'two words'], ['"with \\"quotes\\" and \\\\"', 'with "quotes" and \\'], [`"${'k'.repeat(255)}"`, 'k'.repeat(255)]] as const) {
    const first = await http.post('quoted', 'x', keyed(quoted));
    const again = await http.post('quoted', 'x', keyed(bare));
    t.strictSame([first.status, again.body, isReplay(again)], [201, first.body, true], bare.slice(0, 30));
  }
  const upper = await http.post('quoted', 'x', keyed('TWO WORDS'));
  t.equal(isReplay(upper), false, 'capitals are another key');
});

void t.test('the same key with any other request is refused, and stores nothing', async (t) => {
  const first = await http.send('POST', '/topics/reuse?event=e', keyed('reuse', { TTL: '60' }), '[{"topic":"reuse","data":1}]');
  t.equal(first.status, 201);
  const head = await http.metric('log_head');
  const body = '[{"topic":"reuse","data":1}]';
  const others: readonly (readonly [name: string, path: string, headers: Record<string, string>, body: string])[] = [
    ['topic', '/topics/reuse.other?event=e', keyed('reuse', { TTL: '60' }), body],
    ['event', '/topics/reuse?event=f', keyed('reuse', { TTL: '60' }), body],
    ['no event', '/topics/reuse', keyed('reuse', { TTL: '60' }), body],
    ['TTL', '/topics/reuse?event=e', keyed('reuse', { TTL: '61' }), body],
    ['no TTL', '/topics/reuse?event=e', keyed('reuse'), body],
    ['kind', '/topics/reuse?event=e', keyed('reuse', { TTL: '60', ...JSON_TYPE }), body],
    ['body', '/topics/reuse?event=e', keyed('reuse', { TTL: '60' }), `${body} `],
    ['batch', '/messages', keyed('reuse', JSON_TYPE), body],
    ['NDJSON', '/messages', keyed('"reuse"', NDJSON_TYPE), '{"topic":"reuse","data":1}'],
  ];
  for (const [name, path, headers, text] of others) {
    const answer = await http.send('POST', path, headers, text);
    t.strictSame([answer.status, code(answer), answer.headers['content-type']], [422, 'key-reused', 'application/problem+json'], name);
    t.equal((JSON.parse(answer.body) as { field: string }).field, 'Idempotency-Key');
  }
  t.equal(await http.metric('log_head'), head);
  const again = await http.send('POST', '/topics/reuse?event=e', keyed('reuse', { TTL: '60' }), body);
  t.strictSame([again.body, isReplay(again)], [first.body, true], 'the first request still gets its answer');
});

void t.test('how the same request is written does not matter', async (t) => {
  const first = await http.send('POST', '/topics/same.%C3%A9?event=e', keyed('same'), 'x');
  const again = await http.send('POST', '/topics/s%61me.%c3%a9', { ...keyed('same'), 'content-type': 'text/html; charset=utf-8', 'tidings-event': 'e' }, 'x');
  t.strictSame([first.status, again.status, again.body, isReplay(again)], [201, 201, first.body, true]);
});

void t.test('of many at once with one key, one is stored and all are answered alike', async (t) => {
  const head = await http.metric('log_head');
  const answers = await Promise.all(Array.from({ length: 16 }, () => http.post('concurrent', 'x', keyed('concurrent'))));
  t.strictSame([...new Set(answers.map(({ status, body }) => `${status} ${body}`))].length, 1);
  t.equal(answers[0]!.status, 201);
  t.equal(answers.filter(isReplay).length, 15);
  t.equal(await http.metric('log_head'), head + 1);
  const different = await Promise.all(Array.from({ length: 8 }, (_, index) => http.post('concurrent', `body ${index}`, keyed('different'))));
  t.strictSame(different.map(({ status }) => status).sort(), [201, ...Array<number>(7).fill(422)], 'of different requests one wins');
  t.equal(await http.metric('log_head'), head + 2);
});

void t.test('batches take keys too', async (t) => {
  for (const [name, headers, body] of [
    ['array', JSON_TYPE, '[{"topic":"keyed.batch","data":1},{"topic":"keyed.batch","data":2,"ttl":60}]'],
    ['ndjson', NDJSON_TYPE, '{"topic":"keyed.batch","data":1}\n{"topic":"keyed.batch","data":2}\n'],
  ] as const) {
    const head = await http.metric('log_head');
    const first = await http.send('POST', '/messages', keyed(name, headers), body);
    const again = await http.send('POST', '/messages', keyed(`"${name}"`, headers), body);
    t.strictSame([first.status, isReplay(first), again.status, again.body, isReplay(again)], [201, false, 201, first.body, true], name);
    t.equal(await http.metric('log_head'), head + 2, name);
    const other = await http.send('POST', '/messages', keyed(name, headers), body.replace('1', '3'));
    t.strictSame([other.status, code(other)], [422, 'key-reused'], name);
  }
});

void t.test('a request that was refused does not use its key up', async (t) => {
  t.equal((await http.send('POST', '/topics/refused', keyed('refused', JSON_TYPE), '{')).status, 400);
  t.equal((await http.post('refused', 'x'.repeat(1024 * 1024 + 1), keyed('refused'))).status, 413);
  const good = await http.send('POST', '/topics/refused', keyed('refused', JSON_TYPE), '{}');
  t.strictSame([good.status, isReplay(good)], [201, false]);
});

void t.test('the answer is the first one also when the message itself is gone, or the service was started again', async (t) => {
  const first = await http.post('trimmed', 'x', keyed('trimmed'));
  const brief = await http.post('trimmed', 'x', keyed('brief', { TTL: '1' }));
  for (let count = 0; count < 10; count++) await http.publish('trimmed', 'y'.repeat(500));
  await until('retention has deleted it', async () => (await http.get(first.headers.location!)).status === 404);
  await until('the other one too', async () => (await http.get(brief.headers.location!)).status === 404);
  await instance.restart('SIGKILL');
  for (const [key, answer, headers] of [['trimmed', first, {}], ['brief', brief, { TTL: '1' }]] as const) {
    const again = await http.post('trimmed', 'x', keyed(key, headers));
    t.strictSame([again.status, again.body, again.headers.location, isReplay(again)], [201, answer.body, answer.headers.location, true], key);
  }
});

void t.test('when its window is over, a key is free again', async (t) => {
  const brief = await startInstance(t, { LOG_LEVEL: 'warn', IDEMPOTENCY_SECONDS: '1' });
  const client = new Http(t, brief.url);
  const texts = ['first'];
  let answers = [await client.post('window', 'first', keyed('window'))];
  // The second request comes again at once; where that took longer than its window, the next one takes its place.
  let isRemembered = false;
  for (let round = 0; round < 5 && !isRemembered; round++) {
    const text = `${texts.length + 1}`;
    let next: Answer | undefined;
    await until('another request may use the key', async () => {
      next = await client.post('window', text, keyed('window'));
      return next.status === 201;
    });
    t.equal(isReplay(next!), false);
    t.notOk(answers.some(({ body }) => body === next!.body));
    answers = [...answers, next!];
    texts.push(text);
    const again = await client.post('window', text, keyed('window'));
    isRemembered = isReplay(again);
    if (isRemembered) t.equal(again.body, next!.body, 'and remembers that one from then on');
    else texts.push(text);
  }
  const page = await client.json<{ messages: { data: string; time: string }[] }>('/topics/window/messages');
  t.strictSame(page.messages.map(({ data }) => data), texts);
  t.ok(isRemembered, 'a key that was just used is remembered');
  const times = page.messages.map(({ time }) => Date.parse(time));
  t.ok(times.every((time, index) => index === 0 || time - times[index - 1]! >= 1000), 'not before the window was over');
});
