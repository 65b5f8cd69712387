import { METHODS } from 'node:http';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { t, type Test } from 'tap';
import { RULES } from '../../src/http/admission/admission.ts';
import type { Rule } from '../../src/http/admission/rule.ts';
import { ENDPOINTS } from '../../src/http/admission/endpoints.ts';
import type { Service } from '../../src/http/service.ts';
import { Problem } from '../../src/model/problem.ts';
import { recordingLogger } from '../support/logger.ts';
import { RawConnection, requestBytes, type Answer } from '../support/raw.ts';
import { rounds } from '../support/rounds.ts';
import { fakeService } from '../support/service.ts';
import { serve, turns, type Served } from './fast-path/ways.ts';

/** The door policy, on both edges. What each rule says is in test/wire/bad-input.test.ts and test/http/origin.test.ts. */

const EDGES = [{ edge: 'with the fast path', fastPath: true }, { edge: 'on the ordinary way', fastPath: false }] as const;

/** A service that writes down what was asked of it. */
function watched(environment: Readonly<Record<string, string>> = {}): { service: Service; asked: string[] } {
  const asked: string[] = [];
  const note = <Result>(what: string, result: Result): Result => {
    asked.push(what);
    return result;
  };
  const fake = fakeService({}, environment);
  const service: Service = {
    ...fake,
    publisher: { publish: (...given) => note('publish', fake.publisher.publish(...given)) },
    history: { page: (request) => note('page', fake.history.page(request)), message: (...given) => note('message', fake.history.message(...given)) },
    starts: { isReady: true, resolve: () => note('start', Promise.reject(new Error('No stream is begun.'))) },
    streams: { ...fake.streams, hasRoomFor: () => true, makeRoom: () => true, refuse: (_options, outlet) => note('busy', outlet.destroySoon()) },
    readiness: () => note('readiness', fake.readiness()),
    gauges: () => note('gauges', fake.gauges()),
  };
  return { service, asked };
}

async function ask(t: Test, served: Served, request: Buffer, method = 'GET'): Promise<Answer | undefined> {
  const connection = await RawConnection.open(t, served);
  connection.send(request);
  // Some of them are answered by the end of their connection.
  await turns('the answer', () => connection.closed || connection.answers(method)[0]?.complete === true);
  const [answer] = connection.answers(method);
  connection.destroy();
  return answer;
}

/** Refuses everything, at once or after a while, and counts. */
function refusing(isLater: boolean): { rule: Rule; asked: () => number } {
  let count = 0;
  const rule: Rule = () => {
    count++;
    const refusal = new Problem('forbidden', 'Nobody may do anything.');
    return isLater ? nextTurn(refusal) : refusal;
  };
  return { rule, asked: () => count };
}

/** What makes a request another one: none of it may lead past the door. */
const KINDS: readonly { readonly kind: string; readonly headers: Readonly<Record<string, string>> }[] = [
  { kind: 'plain', headers: {} },
  { kind: 'an upgrade to WebSocket', headers: { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==' } },
  { kind: 'an upgrade to HTTP/2', headers: { Connection: 'Upgrade, HTTP2-Settings', Upgrade: 'h2c', 'HTTP2-Settings': 'AAMAAABkAAQCAAAAAAIAAAAA' } },
  { kind: 'with an expectation', headers: { Expect: 'something' } },
  { kind: 'a preflight', headers: { Origin: 'https://app.example', 'Access-Control-Request-Method': 'POST' } },
];

/** Each method comes in its plain kind, these in every kind; in the long run, every method in every kind. */
const IN_EVERY_KIND = new Set(METHODS.slice(0, rounds(0, METHODS.length)).concat('GET', 'POST', 'OPTIONS'));

for (const { edge, fastPath } of EDGES) {
  for (const isLater of [false, true]) {
    t.test(`behind a rule that refuses everything ${isLater ? 'after a while' : 'at once'}, no handler runs ${edge}`, async (t) => {
      const { service, asked } = watched({ CORS_ORIGINS: 'https://app.example' });
      const { rule, asked: count } = refusing(isLater);
      const urls = new Set<string>();
      const served = await serve(t, service, { fastPath, rules: [rule, ...RULES], prepare: (app) => void app.addHook('onRoute', (route) => void urls.add(route.url)) });
      t.same(Object.values(ENDPOINTS).map(({ url }) => url).filter((url) => !urls.has(url)), [], 'add a route for each of these endpoints to src/http/routes/, and call its file in routes.ts');
      let sent = 0;
      const wrong: string[] = [];
      for (const url of [...urls, '/nothing/here', '/topics/%FF', '/topics/a?x=%FF', `/topics/${'a'.repeat(33_000)}`]) {
        const path = url.replace(/:\w+/, 'a.b');
        const query = url === ENDPOINTS.streamTopics.url || url === ENDPOINTS.history.url ? '?topic=a' : '';
        for (const method of METHODS) {
          for (const { kind, headers } of KINDS) {
            if (kind !== 'plain' && !IN_EVERY_KIND.has(method)) continue;
            const answer = await ask(t, served, requestBytes(method, `${path}${query}`, { ...headers, ...(method === 'POST' ? { 'Content-Length': '4', 'Content-Type': 'application/json' } : {}) }, method === 'POST' ? 'null' : ''), method);
            // Node ends the connection of such a request: nobody listens for it.
            if (method === 'CONNECT') {
              if (answer !== undefined) wrong.push(`${method} ${path} ${kind}: ${answer.status}`);
              continue;
            }
            sent++;
            if (answer?.status !== 403 || (method !== 'HEAD' && !answer.body.includes('Nobody may'))) wrong.push(`${method} ${path.slice(0, 50)} ${kind}: ${answer?.status} ${answer?.body}`);
          }
        }
      }
      t.same(wrong, []);
      t.equal(count(), sent, 'the rule is asked once for each request');
      t.same(asked, []);
    });
  }
}

const LONG = requestBytes('POST', '/topics/a', {}, 'x'.repeat(20));

/** Requests that the fast path may begin with and hand over: in pieces, and where only their body or their query is wrong. */
const HANDED_OVER: readonly { readonly what: string; readonly pieces: readonly Buffer[]; readonly status: number }[] = [
  { what: 'in so many pieces that it is handed over', pieces: [...LONG.subarray(0, -8), LONG.subarray(-8)].map((piece) => typeof piece === 'number' ? Buffer.from([piece]) : piece), status: 201 },
  { what: 'in many pieces, the head before', pieces: [LONG.subarray(0, -12), ...LONG.subarray(-12)].map((piece) => typeof piece === 'number' ? Buffer.from([piece]) : piece), status: 201 },
  { what: 'with JSON that is none', pieces: [requestBytes('POST', '/topics/a', { 'Content-Type': 'application/json' }, '{')], status: 400 },
  { what: 'with a topic that is none', pieces: [requestBytes('POST', '/topics/a..b', {}, 'x')], status: 400 },
  { what: 'with a cursor that is none', pieces: [requestBytes('GET', '/topics/a/events?after=x', {})], status: 400 },
  { what: 'for something else', pieces: [requestBytes('GET', '/healthz', {})], status: 200 },
  { what: 'that the policy refuses', pieces: [requestBytes('POST', '/topics/a', { 'Content-Type': 'x' }, 'x')], status: 415 },
  { what: 'plain', pieces: [requestBytes('POST', '/topics/a', {}, 'x')], status: 201 },
];

for (const { edge, fastPath } of EDGES) {
  t.test(`a request that is handed over is admitted once ${edge}`, async (t) => {
    for (const isLater of [false, true]) {
      let count = 0;
      const counting: Rule = () => {
        count++;
        return isLater ? nextTurn(undefined) : undefined;
      };
      const served = await serve(t, watched().service, { fastPath, rules: [counting, ...RULES] });
      for (const { what, pieces, status } of HANDED_OVER) {
        count = 0;
        const connection = await RawConnection.open(t, served);
        for (const piece of pieces) {
          connection.send(piece);
          for (let turn = 0; turn < 20; turn++) await nextTurn();
        }
        await turns(what, () => connection.answers('GET')[0]?.complete === true);
        t.equal(connection.answers('GET')[0]!.status, status, what);
        t.equal(count, 1, `${what}: asked once, ${isLater ? 'later' : 'at once'}`);
        connection.destroy();
      }
    }
  });

  t.test(`what follows the first request on its connection is admitted by itself ${edge}`, async (t) => {
    const seen: string[] = [];
    const served = await serve(t, watched().service, { fastPath, rules: [({ method, url }) => {
      seen.push(`${method} ${url}`);
      return url === '/topics/b' ? new Problem('forbidden', 'Not there.') : undefined;
    }, ...RULES] });
    const connection = await RawConnection.open(t, served);
    const bad = { 'Content-Type': 'application/json' };
    connection.send(Buffer.concat([requestBytes('POST', '/topics/a', bad, '{'), requestBytes('POST', '/topics/b', bad, '{'), requestBytes('POST', '/topics/c', {}, 'x')]));
    const answers = await connection.answered(3, 'POST', 'POST', 'POST');
    t.same(answers.map(({ status }) => status), [400, 403, 201]);
    t.same(seen, ['POST /topics/a', 'POST /topics/b', 'POST /topics/c']);
  });

  t.test(`a stream claims its connection before its admission is awaited ${edge}`, async (t) => {
    const { service, asked } = watched();
    let admit = (): void => undefined;
    const admitted = new Promise<undefined>((resolve) => void (admit = () => resolve(undefined)));
    const served = await serve(t, service, { fastPath, rules: [() => admitted, ...RULES] });
    const connection = await RawConnection.open(t, served);
    connection.send(Buffer.concat([requestBytes('GET', '/topics/a/events', {}), requestBytes('POST', '/topics/a', {}, 'x')]));
    for (let turn = 0; turn < 50; turn++) await nextTurn();
    admit();
    await connection.untilClosed();
    t.same(asked, ['start'], 'what came after it is not carried out');
  });

  t.test(`a client that leaves while its admission is awaited leaves nothing to do ${edge}`, async (t) => {
    const { service, asked } = watched();
    let admit = (): void => undefined;
    const admitted = new Promise<undefined>((resolve) => void (admit = () => resolve(undefined)));
    const served = await serve(t, service, { fastPath, rules: [() => admitted, ...RULES] });
    for (const request of [requestBytes('GET', '/topics/a/events', {}), requestBytes('POST', '/topics/a', { 'Content-Length': '2' }, 'x')]) {
      const connection = await RawConnection.open(t, served);
      connection.send(request);
      for (let turn = 0; turn < 20; turn++) await nextTurn();
      connection.destroy();
    }
    for (let turn = 0; turn < 20; turn++) await nextTurn();
    admit();
    await turns('the service has seen it', () => served.sockets.every(({ destroyed, readableEnded }) => destroyed || readableEnded));
    for (let turn = 0; turn < 20; turn++) await nextTurn();
    t.same(asked.filter((what) => what !== 'start'), []);
  });

  t.test(`where a rule cannot be asked, streams come back later and others are told so ${edge}`, async (t) => {
    const { service, asked } = watched();
    const served = await serve(t, service, { fastPath, rules: [() => nextTurn(new Problem('unavailable', 'Nobody can say.')), ...RULES] });
    t.match(await ask(t, served, requestBytes('GET', '/topics/a/events', {})), { status: 200, headers: { 'content-type': 'text/event-stream; charset=utf-8' } });
    t.match(await ask(t, served, requestBytes('HEAD', '/topics/a/events', {}), 'HEAD'), { status: 503 }, 'no body could say $busy');
    t.match(await ask(t, served, requestBytes('GET', '/topics/a/messages', {})), { status: 503, headers: { 'retry-after': /^[1-5]$/ } });
    t.match(await ask(t, served, requestBytes('POST', '/topics/a', {}, 'x'), 'POST'), { status: 503 });
    t.same(asked, ['busy']);
  });

  t.test(`an error of a rule refuses, and is logged ${edge}`, async (t) => {
    for (const rule of [(): never => {
      throw new RangeError('of the inside');
    }, () => Promise.reject(new RangeError('of the inside'))]) {
      const { service, asked } = watched();
      const { logger, lines } = recordingLogger();
      const served = await serve(t, { ...service, logger }, { fastPath, rules: [rule, ...RULES] });
      for (const request of [requestBytes('GET', '/topics/a/events', {}), requestBytes('POST', '/topics/a', {}, 'x')]) {
        const answer = await ask(t, served, request, 'POST');
        t.equal(answer?.status, 500);
        t.notMatch(answer?.body, /of the inside/);
      }
      t.equal(lines.filter((line) => line.includes('of the inside')).length, 2);
      t.same(asked, []);
    }
  });
}

t.test('a route that is not in the table is refused', async (t) => {
  const served = await serve(t, fakeService(), { prepare: (app) => void app.get('/forgotten', () => 'served') });
  t.match(await ask(t, served, requestBytes('GET', '/forgotten', {})), { status: 405 });
});

t.test('a route\'s single parameters are named in its schema', async (t) => {
  const wrong: string[] = [];
  await serve(t, fakeService(), { prepare: (app) => void app.addHook('onRoute', ({ url, method, config, schema }) => {
    const { properties = {} } = (schema?.querystring ?? {}) as { properties?: Record<string, { type?: string }> };
    const once = Object.keys(properties).filter((name) => properties[name]!.type !== 'array').sort();
    if (JSON.stringify([...config?.endpoint?.once ?? []].sort()) !== JSON.stringify(once)) wrong.push(`${String(method)} ${url}: ${once.join(', ')}`);
  }) });
  t.same(wrong, []);
});
