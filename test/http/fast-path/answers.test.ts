import t, { type Test } from 'tap';
import { Problem } from '../../../src/model/problem.ts';
import { exchange, requestBytes, type Answer } from '../../support/raw.ts';
import { openSpine, type Spine } from './spine.ts';
import { connectTo, sendApart, serve, turns, type Served } from './ways.ts';

/** The same requests on every path, one after the other on instances that began alike: no answer tells which path its request took. */

/** As in src/http/fast-path/connection.ts: less, by what timers may be early. */
const REST_OF_REQUEST_MS = 990;

interface Way {
  readonly name: string;
  /** Whether the instance has the fast path at all. */
  readonly fastPath: boolean;
  /** Whether plain requests take it. */
  readonly fast: boolean;
  readonly pieces: (request: Buffer) => readonly Buffer[];
}

const WAYS: readonly Way[] = [
  { name: 'the fast path', fastPath: true, fast: true, pieces: (request) => [request] },
  { name: 'in two pieces', fastPath: true, fast: true, pieces: (request) => pieces(request, 2) },
  { name: 'in eight pieces', fastPath: true, fast: true, pieces: (request) => pieces(request, 8) },
  { name: 'in nine pieces', fastPath: true, fast: false, pieces: (request) => pieces(request, 9) },
  { name: 'with a header that the fast path does not take', fastPath: true, fast: false, pieces: (request) => [withHeader(request, 'Proxy-Connection: keep-alive')] },
  { name: 'an instance without a fast path', fastPath: false, fast: false, pieces: (request) => [request] },
];

/** All but the last are one byte. */
function pieces(request: Buffer, count: number): Buffer[] {
  return [...Array.from({ length: count - 1 }, (_, index) => request.subarray(index, index + 1)), request.subarray(count - 1)];
}

interface Case {
  readonly what: string;
  readonly request: Buffer;
  /** Whether it is plain, and there is nothing to refuse in it. */
  readonly fast: boolean;
  readonly status: number;
  /** What its answer holds; for a stream that stays open, what its first words end with. */
  readonly holds?: RegExp;
  readonly headers?: Readonly<Record<string, string | RegExp | undefined>>;
  /** What is done with the instance before, and undone after. */
  readonly before?: (spine: Spine) => void;
  readonly after?: (spine: Spine) => void;
  /** Whether its connection stays open, as a stream's does. */
  readonly stays?: boolean;
}

const STREAM = { Accept: 'text/event-stream' };

function publish(what: string, status: number, path: string, headers: Readonly<Record<string, string>>, body: string | Buffer, rest: Partial<Case> = {}): Case {
  return { what, status, fast: status === 201, request: requestBytes('POST', path, body.length === 0 ? { 'Content-Length': '0', ...headers } : headers, body), ...rest };
}

function stream(what: string, path: string, headers: Readonly<Record<string, string>>, holds: RegExp, rest: Partial<Case> = {}): Case {
  return { what, status: 200, fast: true, holds, stays: true, request: requestBytes('GET', path, { ...STREAM, ...headers }), ...rest };
}

async function compare(t: Test, environment: Readonly<Record<string, string>>, cases: readonly Case[]): Promise<void> {
  const instances = [];
  for (const way of WAYS) {
    // Nothing is left to chance: when to come back, and when the log is looked at.
    const spine = await openSpine(t, { RETRY_MIN_MS: '2000', RETRY_MAX_MS: '2000', POLL_MS: '60000', ...environment });
    instances.push({ way, spine, served: await serve(t, spine.service, { fastPath: way.fastPath }) });
  }
  for (const one of cases) {
    const outcomes = [];
    for (const { way, spine, served } of instances) {
      const before: number = served.ordinary();
      one.before?.(spine);
      const { answer, isSlow } = await ask(t, spine, served, one, way);
      one.after?.(spine);
      const ordinary: number = served.ordinary() - before;
      if (!isSlow || ordinary !== 1) t.equal(ordinary, way.fast && one.fast ? 0 : 1, `${one.what}, ${way.name}: that is the path it took`);
      outcomes.push({ answer: normal(answer, spine), stored: stored(spine), counted: await counted(t, served) });
    }
    const [{ answer }] = outcomes as [typeof outcomes[0]];
    t.match(answer, { status: one.status, headers: one.headers ?? {}, body: one.holds ?? /^/ }, one.what);
    for (const [index, { name }] of WAYS.entries()) t.strictSame(outcomes[index], outcomes[0], `${one.what}: ${name}`);
  }
}

/**
 * Sends a request on a connection of its own, and waits until all of the service has seen that it is over. It is slow when the service may have
 * given up waiting for its next piece on the fast path: then the ordinary path is right too.
 */
async function ask(t: Test, { streams, tick }: Spine, served: Served, { request, stays, holds, what }: Case, way: Way): Promise<{ readonly answer: Answer; readonly isSlow: boolean }> {
  const pair = await connectTo(t, served);
  const open = streams.size;
  const began = performance.now();
  await sendApart(pair, ...way.pieces(request));
  const isSlow = performance.now() - began >= REST_OF_REQUEST_MS;
  const answer = (): Answer | undefined => pair.client.answers('GET')[0];
  await turns(`${what}, ${way.name}`, () => {
    if (stays === true) return holds!.test(answer()?.body ?? '');
    tick();
    return pair.client.closed || answer()?.complete === true;
  }, () => pair.client.text);
  const whole = answer()!;
  pair.client.destroy();
  await turns('the connection is gone', () => pair.server.destroyed && streams.size === open);
  return { answer: whole, isSlow };
}

/** Leaves out what differs between two answers on one path too; but what an answer says was logged must have been. */
function normal({ headers, body, ...rest }: Answer, { lines }: Spine): Record<string, unknown> {
  const { date, 'retry-after': retry, ...others } = headers;
  const id = /(?<=under request )[^. ]+/.exec(body)?.[0];
  return {
    ...rest,
    headers: others,
    date: date !== undefined && Math.abs(Date.now() - Date.parse(date)) < 60_000,
    retry: retry !== undefined && /^[1-5]$/.test(retry),
    body: id === undefined ? body : body.replace(id, 'that'),
    logged: id !== undefined && lines.some((line) => line.includes(`"request":"${id}"`) && line.includes('"err":')),
  };
}

function stored({ store }: Spine): unknown {
  return store.messages.map(({ topic, event, json, data, expires }) => ({ topic, event, json, data: Buffer.from(data).toString('latin1'), expires }));
}

/** What /metrics shows of the service, but for how long things took, and for the way they took. */
async function counted(t: Test, served: Served): Promise<string> {
  const { body } = await exchange(t, served, requestBytes('GET', '/metrics'));
  return body.split('\n').filter((line) => line.startsWith('tidings_') && !/^tidings_(commit_seconds|requests_total)/.test(line)).join('\n');
}

function withHeader(request: Buffer, line: string): Buffer {
  const end = request.indexOf('\r\n');
  return Buffer.concat([request.subarray(0, end), Buffer.from(`\r\n${line}`), request.subarray(end)]);
}

const KEYED = { 'Content-Type': 'text/plain', 'Idempotency-Key': 'k-1' };

t.test('publishing', (t) => compare(t, { MESSAGE_BYTES: '1000' }, [
  publish('text', 201, '/topics/a', { 'Content-Type': 'text/plain' }, 'Hello', {
    headers: { 'content-type': 'application/json; charset=utf-8', location: '/messages/e00001xx-1', connection: 'keep-alive', 'keep-alive': 'timeout=72' },
    holds: /^\{"id":"e00001xx-1","topic":"a","event":"message","time":"[^"]+"\}\n$/,
  }),
  publish('what curl sends', 201, '/topics/a.b', { 'User-Agent': 'curl/8.5.0', Accept: '*/*', 'Content-Type': 'application/x-www-form-urlencoded' }, 'a=b'),
  publish('JSON', 201, '/topics/a', { 'Content-Type': 'application/json' }, '{"big": 12345678901234567890}'),
  publish('JSON with its character set', 201, '/topics/a', { 'Content-Type': 'application/json; charset=UTF-8' }, '[1]'),
  publish('JSON of a kind', 201, '/topics/a', { 'Content-Type': 'application/cloudevents+json' }, '{}'),
  publish('no type', 201, '/topics/a', {}, 'x'),
  publish('an empty type', 415, '/topics/a', { 'Content-Type': '' }, 'x'),
  publish('an empty type and nothing else', 415, '/topics/a', { 'Content-Type': '' }, ''),
  publish('a type with a parameter', 201, '/topics/a', { 'Content-Type': 'text/plain; format=flowed' }, 'x'),
  publish('a type with another character set', 415, '/topics/a', { 'Content-Type': 'text/plain; charset=latin1' }, 'x'),
  publish('a type that is none', 415, '/topics/a', { 'Content-Type': 'text' }, 'x'),
  publish('nothing', 201, '/topics/a', {}, ''),
  publish('nothing, as text', 201, '/topics/a', { 'Content-Type': 'text/plain' }, ''),
  publish('nothing, as JSON', 400, '/topics/a', { 'Content-Type': 'application/json' }, '', { holds: /invalid-data/ }),
  publish('no length', 201, '/topics/a', { 'Content-Type': 'text/plain', 'Transfer-Encoding': 'chunked' }, '1\r\nx\r\n0\r\n\r\n', { fast: false }),
  publish('an event in the query', 201, '/topics/a?event=deployed+now%21', {}, 'x', { holds: /"event":"deployed now!"/ }),
  publish('an event in the header', 201, '/topics/a', { 'Tidings-Event': 'deployed' }, 'x', { holds: /"event":"deployed"/ }),
  publish('an event in both', 201, '/topics/a?event=e', { 'Tidings-Event': 'e' }, 'x'),
  publish('two events', 400, '/topics/a?event=e', { 'Tidings-Event': 'f' }, 'x'),
  publish('an event twice', 400, '/topics/a?event=e&event=e', {}, 'x'),
  publish('an event that is reserved', 400, '/topics/a?event=%24open', {}, 'x'),
  publish('an event in other letters', 201, '/topics/a?event=%C3%A9', {}, 'x', { holds: /"event":"é"/ }),
  publish('a parameter that means nothing', 201, '/topics/a?x=1&x=2', {}, 'x'),
  publish('a TTL', 201, '/topics/a', { TTL: '60' }, 'x'),
  publish('a TTL that is none', 400, '/topics/a', { TTL: '-1' }, 'x'),
  publish('a key, for the first time', 201, '/topics/a', KEYED, 'once', { headers: { 'idempotency-replayed': undefined } }),
  publish('the same key again', 201, '/topics/a', KEYED, 'once', { headers: { 'idempotency-replayed': 'true' } }),
  publish('the same key in quotes', 201, '/topics/a', { ...KEYED, 'Idempotency-Key': '"k-1"' }, 'once', { headers: { 'idempotency-replayed': 'true' } }),
  // What the publisher alone finds out is answered where the request was taken.
  publish('the same key for something else', 422, '/topics/a', KEYED, 'twice', { fast: true, headers: { 'content-type': 'application/problem+json', 'cache-control': 'no-store' }, holds: /"code":"key-reused"/ }),
  publish('an empty key', 400, '/topics/a', { 'Idempotency-Key': '' }, 'x'),
  publish('a topic of many letters', 201, '/topics/gr%C3%BC%C3%9Fe.%E2%82%AC', {}, 'x', { holds: /"topic":"grüße.€"/, headers: { 'content-length': '95' } }),
  publish('a topic with a slash', 201, '/topics/a%2Fb', {}, 'x', { holds: /"topic":"a\/b"/ }),
  publish('a topic with a percent sign', 201, '/topics/100%25', {}, 'x', { holds: /"topic":"100%"/ }),
  publish('a topic that an object could have', 201, '/topics/__proto__', {}, 'x'),
  publish('no topic', 400, '/topics/', {}, 'x'),
  publish('a topic with a wildcard', 400, '/topics/a.*', {}, 'x'),
  publish('a topic that is no UTF-8', 400, '/topics/%FF', {}, 'x'),
  publish('another path', 404, '/topics/a/b', {}, 'x'),
  publish('text that is no UTF-8', 400, '/topics/a', {}, Buffer.from([0x80])),
  publish('JSON that is none', 400, '/topics/a', { 'Content-Type': 'application/json' }, '{'),
  publish('as much as there may be', 201, '/topics/a', {}, 'x'.repeat(1000)),
  publish('one byte more', 413, '/topics/a', {}, 'x'.repeat(1001)),
  publish('something compressed', 415, '/topics/a', { 'Content-Encoding': 'gzip' }, 'x'),
  publish('a version of the interface', 201, '/topics/a', { 'Accept-Version': '2.x' }, 'x'),
]));

t.test('publishing while the log cannot be written', (t) => {
  const failing = (what: string, code: string, status: number, failure: 'unavailable' | 'outcome-unknown' | 'refused', key: Record<string, string> = {}): Case => publish(what, status, '/topics/a', key, 'x', {
    fast: true, holds: new RegExp(`"code":"${code}"`), headers: { 'content-type': 'application/problem+json' },
    before: ({ store }) => void (store.failure = failure),
    after: ({ store }) => {
      store.failure = undefined;
    },
  });
  return compare(t, { APPEND_QUEUE_BYTES: '1000', BATCH_BYTES: '1000', MESSAGE_BYTES: '1000' }, [
    failing('away', 'unavailable', 503, 'unavailable'),
    failing('lost in the middle', 'outcome-unknown', 503, 'outcome-unknown', { 'Idempotency-Key': 'k' }),
    failing('refused', 'internal', 500, 'refused'),
    
    publish('there again', 201, '/topics/a', {}, 'x'),
  ]);
});

t.test('publishing fails in a way that nobody thought of', (t) => compare(t, {}, [
  publish('an error of ours', 500, '/topics/a', {}, 'x', { fast: true, holds: /"code":"internal"/, before: ({ service }) => void (service.publisher.publish = () => Promise.reject(new RangeError('secret'))) }),
]));

t.test('publishing from a page', async (t) => {
  const page = (what: string, status: number, headers: Readonly<Record<string, string>>, expected: Case['headers']): Case => publish(what, status, '/topics/a', { 'Content-Type': 'text/plain;charset=UTF-8', ...headers }, 'x', { headers: expected! });
  const none = { 'access-control-allow-origin': undefined, 'access-control-expose-headers': undefined, vary: undefined };
  await t.test('where none is allowed', (t) => compare(t, {}, [
    page('of no origin', 201, {}, none),
    page('of its own origin', 201, { Origin: 'http://localhost', 'Sec-Fetch-Site': 'same-origin' }, none),
    page('of its own origin, in an old browser', 201, { Origin: 'http://localhost' }, none),
    page('of another origin', 403, { Origin: 'https://app.example', 'Sec-Fetch-Site': 'cross-site' }, none),
    page('of another origin, in an old browser', 403, { Origin: 'https://app.example' }, none),
    page('of an origin that is none', 403, { Origin: 'null' }, none),
  ]));
  await t.test('where some are', (t) => compare(t, { CORS_ORIGINS: 'https://app.example,https://two.example' }, [
    page('of no origin', 201, {}, { vary: 'Origin', 'access-control-allow-origin': undefined }),
    page('of an allowed origin', 201, { Origin: 'https://two.example', 'Sec-Fetch-Site': 'cross-site' }, { vary: 'Origin', 'access-control-allow-origin': 'https://two.example', 'access-control-expose-headers': /Location/ }),
    page('of another origin', 403, { Origin: 'https://evil.example', 'Sec-Fetch-Site': 'cross-site' }, { vary: 'Origin', 'access-control-allow-origin': undefined }),
    { ...page('of an allowed origin, refused', 422, { Origin: 'https://app.example', 'Idempotency-Key': 'k' }, { 'access-control-allow-origin': 'https://app.example' }), fast: true, before: ({ store }) => void store.append([{ drafts: [], key: { scope: '', key: 'k', fingerprint: Buffer.from('other'), window: 1000 } }]) },
    { ...page('of an allowed origin, while the log is away', 503, { Origin: 'https://app.example' }, { 'access-control-allow-origin': 'https://app.example' }), fast: true, before: ({ store }) => void (store.failure = 'unavailable') },
  ]));
  await t.test('where all are', (t) => compare(t, { CORS_ORIGINS: '*' }, [
    page('of any origin', 201, { Origin: 'https://any.example', 'Sec-Fetch-Site': 'cross-site' }, { vary: undefined, 'access-control-allow-origin': '*' }),
    page('of no origin', 201, {}, { vary: undefined, 'access-control-allow-origin': '*' }),
  ]));
});

const OPENED = /event: \$open\nretry: 2000\ndata: \{"cursor":"e00001xx-3","stream":\{"id":"aaaaaaaaaa-1","secret":"x{22}"\}\}\nid: e00001xx-3\n\n$/;
const GAP = (reason: string): RegExp => new RegExp(`event: \\$gap\\n[^]*"reason":"${reason}"[^]*\\n\\n$`);

t.test('streams', (t) => compare(t, {}, [
  publish('a message before', 201, '/topics/a', {}, 'one'),
  publish('another', 201, '/topics/b', { 'Content-Type': 'application/json' }, '{"two":2}'),
  publish('a third', 201, '/topics/a', { 'Tidings-Event': 'e' }, 'three\nlines\nlong'),
  stream('of one topic', '/topics/a/events', {}, OPENED, { headers: {
    'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache, no-transform', 'x-accel-buffering': 'no', connection: 'keep-alive', 'keep-alive': undefined, 'transfer-encoding': 'chunked', 'content-length': undefined,
  } }),
  stream('of a pattern', '/topics/%3E/events', {}, OPENED),
  stream('of many', '/events?topic=a&topic=b.*', {}, OPENED),
  stream('by a browser', '/events?topic=a', { 'Sec-Fetch-Site': 'cross-site', Origin: 'https://app.example', 'Accept-Encoding': 'gzip, deflate, br', 'Cache-Control': 'no-cache' }, OPENED),
  stream('for whoever takes anything', '/topics/a/events', { Accept: '*/*' }, OPENED),
  stream('for whoever weighs', '/topics/a/events', { Accept: 'text/html, text/event-stream;q=0.5' }, OPENED),
  stream('for whoever takes something else', '/topics/a/events', { Accept: 'text/html' }, /not-acceptable/, { status: 406, fast: false, stays: false }),
  stream('for whoever says nothing of it', '/topics/a/events', { Accept: '' }, OPENED),
  stream('without control events', '/topics/a/events?control=0&after=start', {}, /^retry: 2000\ndata: one\n[^]*id: e00001xx-3\n\n$/),
  stream('with the newest', '/topics/a/events?control=0&last=1', {}, /^retry: 2000\nevent: e\ndata: three\ndata: lines\ndata: long\nid: e00001xx-3\n\n$/),
  stream('with control events, said so', '/topics/a/events?control=1', {}, OPENED),
  stream('with something else', '/topics/a/events?control=2', {}, /"field":"control"/, { status: 400, fast: false, stays: false }),
  stream('from the start', '/events?topic=a&topic=b&after=start', {}, /"data":"three\\nlines\\nlong"\}\nid: e00001xx-3\n\n$/),
  stream('after an id', '/topics/a/events', { 'Last-Event-ID': 'e00001xx-1' }, /data: long\nid: e00001xx-3\n\n$/),
  stream('after an empty id', '/topics/a/events', { 'Last-Event-ID': '' }, OPENED),
  stream('after an id of the query', '/topics/a/events?lastEventId=e00001xx-2', {}, /data: long\nid: e00001xx-3\n\n$/),
  stream('after one of three', '/topics/a/events?lastEventId=e00001xx-2&after=start&since=1h', { 'Last-Event-ID': 'e00001xx-3' }, OPENED),
  stream('after an id that is none', '/topics/a/events', { 'Last-Event-ID': '<none>' }, GAP('unknown-log')),
  stream('after an id of another log', '/topics/a/events', { 'Last-Event-ID': 'zzzzzzzzzz-1' }, GAP('unknown-log')),
  stream('after an id that does not exist yet', '/topics/a/events?after=e00001xx-99', {}, GAP('ahead')),
  stream('after a query that is none', '/topics/a/events?after=none', {}, /invalid-cursor/, { status: 400, fast: false, stays: false }),
  stream('after two', '/topics/a/events?after=start&after=start', {}, /given more than once/, { status: 400, fast: false, stays: false }),
  stream('since a time', '/topics/a/events?since=1970-01-01T00:00:00Z', {}, /data: long\nid: e00001xx-3\n\n$/),
  stream('since a time that is none', '/topics/a/events?since=yesterday', {}, /invalid-cursor/, { status: 400, fast: false, stays: false }),
  stream('of no topic', '/events', {}, /invalid-topic/, { status: 400, fast: false, stays: false }),
  stream('of a topic that is none', '/topics/a..b/events', {}, /invalid-topic/, { status: 400, fast: false, stays: false }),
  stream('of a topic that is reserved', '/topics/$a/events', {}, OPENED),
  stream('of a query that is not well formed', '/topics/a/events?x=%', {}, /invalid-request/, { status: 400, fast: false, stays: false }),
  stream('with a body', '/topics/a/events', { 'Content-Length': '0' }, OPENED, { fast: false }),
  stream('of so many topics that there are too many', `/events?${'topic=a&'.repeat(101)}`, {}, /invalid-topic/, { status: 400, fast: false, stays: false }),
]));

t.test('streams for pages', async (t) => {
  const page = (what: string, headers: Readonly<Record<string, string>>, expected: Case['headers']): Case => stream(what, '/topics/a/events', headers, /event: \$open[^]*\n\n$/, { headers: expected! });
  await t.test('where some are allowed', (t) => compare(t, { CORS_ORIGINS: 'https://app.example' }, [
    page('of no origin', {}, { vary: 'Origin', 'access-control-allow-origin': undefined }),
    page('of an allowed origin', { Origin: 'https://app.example' }, { vary: 'Origin', 'access-control-allow-origin': 'https://app.example', 'access-control-expose-headers': /Retry-After/ }),
    page('of another origin', { Origin: 'https://evil.example' }, { vary: 'Origin', 'access-control-allow-origin': undefined }),
  ]));
  await t.test('where all are', (t) => compare(t, { CORS_ORIGINS: '*' }, [page('of any origin', { Origin: 'https://any.example' }, { vary: undefined, 'access-control-allow-origin': '*' })]));
});

t.test('streams that come back later', async (t) => {
  const busy = (what: string, path: string, rest: Partial<Case> = {}): Case => stream(what, path, {}, /^(?:event: \$busy\n)?retry: 2000\n/, { stays: false, ...rest });
  await t.test('because there are too many', (t) => compare(t, { MAX_STREAMS: '0' }, [
    busy('full', '/topics/a/events', { holds: /^event: \$busy\nretry: 2000\ndata: \{"retryMs":2000,"reason":"full"\}\n\n$/ }),
    busy('full, without control events', '/events?topic=a&control=0', { holds: /^retry: 2000\n/ }),
    stream('full, for whoever takes anything', '/topics/a/events', { Accept: '*/*' }, /^event: \$busy\n[^]*\n\n$/, { stays: false, headers: { connection: 'close' } }),
    busy('full, from an id', '/topics/a/events?after=start'),
  ]));
  await t.test('because the log cannot be read', (t) => compare(t, { CORS_ORIGINS: 'https://app.example' }, [
    busy('away', '/topics/a/events?after=start', { before: ({ store }) => void (store.failure = 'unavailable'), headers: { vary: 'Origin' } }),
    busy('away, from a time', '/topics/a/events?since=1h'),
    busy('away, with the newest', '/topics/a/events?last=5'),
    stream('away, but from now on', '/topics/a/events', {}, /event: \$open[^]*\n\n$/),
  ]));
  await t.test('because too many reads wait', (t) => compare(t, {}, [
    busy('with the newest', '/topics/a/events?last=5', { before: ({ store }) => {
      // The tail does not have it yet, so the log is walked.
      store.commit();
      store.findBack = () => Promise.reject(new Problem('overloaded', 'Too many requests are waiting for the message log.'));
    } }),
  ]));
});

t.test('a stream fails in a way that nobody thought of', (t) => compare(t, { CORS_ORIGINS: 'https://app.example' }, [
  stream('an error of ours', '/topics/a/events?after=start', { Origin: 'https://app.example' }, /"code":"internal"/, {
    status: 500, stays: false, headers: { connection: 'close', 'content-type': 'application/problem+json', 'access-control-allow-origin': 'https://app.example' },
    before: ({ store }) => void (store.state = () => Promise.reject(new RangeError('secret'))),
  }),
]));
