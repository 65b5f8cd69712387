import { setTimeout as sleep } from 'node:timers/promises';
import { EventSource } from 'eventsource';
import t from 'tap';
import { startBalanced } from '../support/balancers.ts';
import { openStream, type SseStream } from '../support/client.ts';
import { startHaproxy } from '../support/haproxy.ts';
import { Http, type Answer } from '../support/http.ts';
import type { Instance } from '../support/instance.ts';
import { exchange, RawConnection, requestBytes, type Answer as RawAnswer } from '../support/raw.ts';
import type { Scope } from '../support/temp.ts';
import { until } from '../support/until.ts';
import { openSocket } from '../support/web-socket.ts';

/** The shipped configurations of both load balancers, as they run before three instances. */

const { instances, balancers } = await startBalanced(t);

const ONE_BY_ONE = 5;
/** More than MESSAGE_BYTES. */
const LARGE = 1100 * 1024;
/** More than what a balancer holds of a body in memory, and less than the service's own bound. */
const BATCH = 40;
/** So many streams are kept open until one is where it is to be: several times the instances. */
const MEANWHILE = 30;
const BATCH_DATA = 'x'.repeat(100 * 1024);

/** Ways to write a path. The first ones are answered by an instance as the path itself; the others may be by the next version, or look so to a balancer. */
function spellings(path: string): { same: string[]; others: string[] } {
  const bare = path.slice(1);
  const encoded = `%${bare.charCodeAt(0).toString(16)}${bare.slice(1)}`;
  const allEncoded = bare.split('').map((letter) => letter === '/' ? letter : `%${letter.charCodeAt(0).toString(16).toUpperCase()}`).join('');
  return {
    same: [path, `/${encoded}`, `/${allEncoded}`, `${path}?`, `${path}?a=1`, `${path}?/topics/a/events`, `http://localhost${path}`, `HTTP://LOCALHOST/${encoded}?a`, `https://localhost${path}`],
    others: [
      `/${path}`, `//${path}`, `/%2f${bare}`, `${path}/`, `${path}/events`, path.toUpperCase(), `${path};`, `${path};a=1`, `${path}%3f`, `${path}%3b`, `${path}%23/events`, `http://localhost/${path}`, `http://localhost?${path}`, `http://localhost#${path}`, `${path}#`, `${path}#/events`,
      `/.${path}`, `/%2e${path}`, `/topics/..${path}`, `${path}/.`, `/healthz/..${path}`, `/topics/a/events/../../..${path}`, `/%25${encoded.slice(1)}`, `/\\${bare}`, bare,
    ],
  };
}

/** An instance itself has answered: for API keys, with the refusal that nobody may see them without a credential. */
function isTold({ status, body }: RawAnswer): boolean {
  return (status === 200 && /tidings_|"openapi":"3|"streams":\[|"instances":\[/.test(body)) || (status === 401 && body.includes('the credential of an administrator'));
}

for (const [name, { url, port }] of balancers) {
  void t.test(`${name}: metrics, the description of the interface and API keys are shut, however they are asked for; health is told`, async (t) => {
    for (const path of ['/metrics', '/openapi.json', '/keys', '/keys/abcdefghijkl', '/streams', '/instances']) {
      const { same, others } = spellings(path);
      for (const target of same) t.ok(isTold(await exchange(t, instances[0]!, requestBytes('GET', target))), `an instance answers ${target}`);
      for (const target of [...same, ...others]) {
        const answer = await exchange(t, { port }, requestBytes('GET', target));
        t.notOk(isTold(answer), `${target}: ${answer.status}`);
      }
      for (const method of ['GET', 'HEAD', 'POST', 'OPTIONS']) {
        const { status, headers } = await exchange(t, { port }, requestBytes(method, path));
        t.match({ status, headers }, { status: 404, headers: { 'content-type': 'application/problem+json' } }, method);
      }
      t.match(JSON.parse((await exchange(t, { port }, requestBytes('GET', path))).body), { code: 'not-found', status: 404 });
    }
    for (const [method, path] of [['DELETE', '/streams/abcdefghij-1'], ['DELETE', '/streams/abcdefghij-1?retry=never'], ['DELETE', '/%73treams/abcdefghij-1'], ['DELETE', '//streams//abcdefghij-1'], ['POST', '/instances/abcdefghij/drain']] as const) {
      t.match(await exchange(t, { port }, requestBytes(method, path)), { status: 404, body: /ask an instance itself/ }, `${method} ${path}`);
    }
    const http = new Http(t, url);
    t.match(await http.send('PATCH', '/streams/abcdefghij-1', { 'content-type': 'application/json' }, '{}'), { status: /^4/, body: /"field":"secret"|unauthorized/ }, 'a client may change the topics of its stream');
    t.equal((await http.send('PATCH', '/keys/abcdefghij')).status, 404);
    t.match(await http.send('POST', '/streams/abcdefghij-1/credential', {}, '{}'), { status: 401, body: /unauthorized/ }, 'a client may prolong its stream');
    t.same(await http.json('/healthz'), { status: 'ok' });
    t.match(await http.json('/readyz'), { status: 'ready' });
    // Topics may be called so.
    for (const topic of ['metrics', 'openapi.json', 'keys', 'streams', 'instances']) t.equal((await http.post(topic, 'x')).status, 201);
    t.equal((await http.get('/topics/metrics/messages')).status, 200);
  });

  void t.test(`${name}: a message passes at once, and so do heartbeats`, async (t) => {
    const http = new Http(t, url);
    const streams = await Promise.all([`${url}/topics/one.*/events`, `${url}/events?topic=one.a&topic=other`].map((path) => openStream(t, path)));
    for (const stream of streams) {
      t.equal(stream.status, 200);
      t.equal(stream.headers['content-type'], 'text/event-stream; charset=utf-8');
      await stream.next(({ event }) => event === '$open');
    }
    // Each is waited for before the next: what gathers anywhere would never come.
    for (let index = 0; index < ONE_BY_ONE; index++) {
      const id = await http.publish('one.a', `message ${index}`);
      for (const stream of streams) t.equal((await stream.next(({ event }) => event === undefined)).id, id);
    }
    for (const stream of streams) await stream.until(() => stream.comments.length >= 1 && stream.events.some(({ event }) => event === '$cursor'));
  });

  void t.test(`${name}: a stream goes on from its Last-Event-ID, on whichever instance it comes to`, async (t) => {
    const http = new Http(t, url);
    const ids: string[] = [];
    for (let index = 0; index < 4; index++) ids.push(await http.publish('two', String(index)));
    const opened = async (): Promise<number[]> => Promise.all(instances.map(({ url: own }) => new Http(t, own).metric('streams_opened_total')));
    const before = await opened();
    const had = async (): Promise<number> => (await opened()).filter((count, index) => count > before[index]!).length;
    // A balancer gives an instance that it has just seen stand still no streams for a while.
    for (let count = 0; count < instances.length || await had() <= 1; count++) {
      const stream = await openStream(t, `${url}/topics/two/events`, { headers: { 'last-event-id': ids[0]! } });
      for (const id of ids.slice(1)) t.equal((await stream.next(({ event }) => event === undefined)).id, id);
    }
    t.ok(await had() > 1, 'more than one instance had them');
  });

  void t.test(`${name}: a WebSocket passes, both ways`, async (t) => {
    const socket = await openSocket(t, `${url}/topics/both.ways/events`);
    t.match(await socket.ask({ publish: 'both.ways', data: name }), { event: '$answer' });
    await socket.until(() => socket.messages.some(({ data }) => data === name));
    const refused = await openSocket(t, `${url}/topics/both.ways/events`, { origin: 'https://evil.example' }).catch(({ message }: Error) => message);
    t.equal(refused, 'Unexpected server response: 403', 'the origin comes through, too');
  });

  void t.test(`${name}: publishing, and what the service itself refuses`, async (t) => {
    const http = new Http(t, url);
    // A page of the same origin: the balancer has to pass on the host that the browser asked.
    const stored = await http.post('three', 'once', { 'idempotency-key': `${name} 1`, origin: url });
    t.equal(stored.status, 201, stored.body);
    t.match(stored.headers.location, /^\/messages\//);
    const again = await http.post('three', 'once', { 'idempotency-key': `${name} 1` });
    t.equal(again.headers['idempotency-replayed'], 'true');
    t.equal(again.body, stored.body);
    t.equal((await http.batch(Array.from({ length: BATCH }, () => ({ topic: 'three', data: BATCH_DATA })))).length, BATCH, 'a batch of megabytes');
    t.equal((await http.get(`/messages/${(JSON.parse(stored.body) as { id: string }).id}`)).status, 200);
    for (const [refused, status, code] of [
      [await http.post('three', 'another', { 'idempotency-key': `${name} 1` }), 422, 'key-reused'],
      [await http.post('three', 'x'.repeat(LARGE)), 413, 'too-large'],
      [await http.get('/topics/a..b/events'), 400, 'invalid-topic'],
      [await http.send('DELETE', '/events'), 405, 'method-not-allowed'],
    ] as [Answer, number, string][]) {
      t.equal(refused.status, status, refused.body);
      t.match(refused.headers['content-type'], 'application/problem+json');
      t.equal((JSON.parse(refused.body) as { code: string }).code, code);
    }
  });
}

void t.test('HAProxy: a request that never comes to its end is closed without an answer: 408 would end an EventSource for good', async (t) => {
  const haproxy = await startHaproxy(t, instances.map(({ port }) => port), { replace: { 'timeout http-request 10s': 'timeout http-request 500ms' } });
  const connection = await RawConnection.open(t, haproxy);
  connection.send('GET /topics/a/events HT');
  await connection.untilClosed();
  t.equal(connection.text, '');
});

void t.test('two instances are replaced and one is killed: streams end as they do without a balancer, come back and miss nothing', async (t) => {
  const all = [...balancers].map(([name, { url }]) => {
    const texts: string[] = [];
    const got: string[] = [];
    // By the rules of the standard: it comes back as it is told, and gives up for good on any status but 200.
    const source = new EventSource(`${url}/topics/four.${name}/events?after=start`);
    source.onmessage = ({ data }) => void got.push(String(data));
    t.teardown(() => source.close());
    return { name, url, texts, got, source, publishing: publishAlways(t, url, `four.${name}`, texts) };
  });
  await until('messages come', () => all.every(({ got }) => got.length > 0));
  for (const [index, signal] of (['SIGTERM', 'SIGKILL', 'SIGTERM'] as const).entries()) {
    const instance = instances[index]!;
    const streams: SseStream[] = [];
    await until('all have come back', () => all.every(({ source }) => source.readyState === source.OPEN));
    for (const { url } of all) streams.push(await streamOn(t, url, instance));
    await instance.restart(signal);
    for (const [at, { name }] of all.entries()) {
      // Its last words may be lost where the end comes along with them: the client then keeps to the `retry:` of the beginning.
      const { clean } = await streams[at]!.ended;
      t.equal(clean, false, `${name}: a stream ends without the last chunk`);
    }
    const reached = all.map(({ texts }) => texts.length + 3);
    await until('messages are stored again', () => all.every(({ texts }, at) => texts.length >= reached[at]!));
  }
  for (const { name, texts, got, source, publishing } of all) {
    const { answers, unanswered } = await publishing.stop();
    await until('the last message is there', () => got.at(-1) === texts.at(-1)).catch((error: unknown) => t.fail(`${name}: ${String(error)}`));
    t.same(got, texts, `${name}: every message once, in order`);
    t.not(source.readyState, source.CLOSED, `${name}: it did not give up`);
    const refused = answers.filter(({ status }) => status !== 201);
    t.comment(`${name}: ${texts.length} messages, ${refused.length} of ${answers.length} requests refused, ${unanswered} not answered`);
    t.same(refused.filter(({ status, headers }) => status !== 503 || headers['retry-after'] === undefined || headers['content-type'] !== 'application/problem+json'), []);
  }
});

// The processes above keep it from ending by itself.
t.end();

/**
 * A stream through a balancer that this instance has got: opens one after the other, until one is. A balancer that has just seen an instance away gives
 * it streams again after a while. Those before stay open, or it would never be the turn of an instance that has one already.
 */
async function streamOn(t: Scope, url: string, instance: Instance): Promise<SseStream> {
  const own = new Http(t, instance.url);
  const before = await own.metric('streams_opened_total');
  const streams: SseStream[] = [];
  await until('the balancer gives the instance a stream', async () => {
    const stream = await openStream(t, `${url}/topics/quiet/events`);
    streams.push(stream);
    if (streams.length > MEANWHILE) streams.shift()!.destroy();
    // One that is sent away ends.
    const isOpen = await stream.next(({ event }) => event === '$open').then(() => true, () => false);
    return isOpen && await own.metric('streams_opened_total') > before;
  });
  return streams.at(-1)!;
}

interface Published {
  readonly answers: readonly Answer[];
  readonly unanswered: number;
}

/** One message after the other, each until it is stored, with a key. @param texts Gets those that are. */
function publishAlways(t: Scope, url: string, topic: string, texts: string[]): { stop(): Promise<Published> } {
  const http = new Http(t, url);
  const answers: Answer[] = [];
  let unanswered = 0;
  let stopped = false;
  let abandoned = false;
  const isStored = async (text: string): Promise<boolean> => {
    try {
      const answer = await http.post(topic, text, { 'idempotency-key': `${topic} ${text}` });
      answers.push(answer);
      return answer.status === 201;
    } catch {
      unanswered++;
      return false;
    }
  };
  const done = (async () => {
    for (let number = 1; !stopped; number++) {
      const text = String(number);
      // With its key it is sent until it is known to be stored, also when it is the last.
      while (!await isStored(text)) {
        if (abandoned) return { answers, unanswered };
        await sleep(50);
      }
      texts.push(text);
      await sleep(10);
    }
    return { answers, unanswered };
  })();
  const stop = (): Promise<Published> => {
    stopped = true;
    return done;
  };
  t.teardown(() => {
    abandoned = true;
    return stop();
  });
  return { stop };
}
