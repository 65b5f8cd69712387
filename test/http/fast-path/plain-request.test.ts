import fc from 'fast-check';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { connect } from 'node:net';
import { inspect, isDeepStrictEqual } from 'node:util';
import { t } from 'tap';
import { readHead, type PlainHead } from '../../../src/http/fast-path/plain-request.ts';
import type { Service } from '../../../src/http/service.ts';
import { listening } from '../../support/listening.ts';
import { requestBytes } from '../../support/raw.ts';
import { fakeService } from '../../support/service.ts';
import type { Scope } from '../../support/temp.ts';
import { serve } from './ways.ts';

/** What the fast path reads is compared with what Node's own server and the framework's router read of the same bytes. */

/** As many requests as are made up, and how many of them at least must be plain, or nothing would be compared. */
const RUNS = 4_000;
const PLAIN_MIN = RUNS / 10;

/** As many whole requests are answered on both paths. */
const ANSWERED = 1_500;

const { oneof, constantFrom, constant, array, record, string, integer, nat, tuple, option } = fc;

/** Mostly the first. */
function mostly<T>(usual: fc.Arbitrary<T>, odd: fc.Arbitrary<T>): fc.Arbitrary<T> {
  return oneof({ arbitrary: usual, weight: 40 }, { arbitrary: odd, weight: 1 });
}

const piece = oneof(
  { arbitrary: constantFrom('a', 'events', 'topics', 'a.b', '*', '%3E', '%c3%A9', '%e2%82%ac', 'x+y', '$a', '~', '%20', '%41', '%2E', '%3f', '%3B', '%40', '%26', '(a)', "'", '!', ',', '='), weight: 12 },
  { arbitrary: constantFrom('', '..', '.', '%2f', '%2F', '%25', '%2541', '%2525', '%FF', '%', '%4', '%zz', '%c3', '%ed%a0%80', '%00', ';', ';x=1', 'a;b', '#', ':', '@', '%23', '%5C', '\\', '"', '<', '|', '^', '`', '{', '\x7f', '\xe9', '\t', ' '), weight: 3 },
);
const word = array(piece, { minLength: 1, maxLength: 2 }).map((pieces) => pieces.join(''));
const path = oneof(
  { arbitrary: word.map((topic) => `/topics/${topic}`), weight: 6 },
  { arbitrary: word.map((topic) => `/topics/${topic}/events`), weight: 6 },
  { arbitrary: constantFrom('/events', '/%65vents', '/topic%73/a', '/topics/a/%65vents', '/t%6fpics/%61/event%73'), weight: 3 },
  { arbitrary: constantFrom('/topics/a/', '//topics/a', '/topics//a', '/topics//events', '/topics/a//events', '/Topics/a', '/topics/a;/events', '/topics/a/events;x', '/./topics/a', '/topics/../events', '/', '*', 'http://host/topics/a', '//host/topics/a', 'topics/a', ''), weight: 2 },
  { arbitrary: array(word, { maxLength: 4 }).map((words) => `/${words.join('/')}`), weight: 1 },
);
const query = oneof(
  { arbitrary: constant(''), weight: 4 },
  { arbitrary: array(tuple(constantFrom('topic', 'event', 'after', 'control', 'x', '__proto__', 'to%70ic', ''), option(word)).map(([name, value]) => (value === null ? name : `${name}=${value}`)), { maxLength: 4 }).map((parts) => `?${parts.join('&')}`), weight: 4 },
  { arbitrary: constantFrom('?', '??', '?a=b?c=d', '?&&', '?=', '?topic=a&topic=b', '?topic=a;event=b', '?topic=%', '?%=a', '?a=b#c', '?topic=a%26b', '?topic=a%2', '?a==b', '?+=+'), weight: 1 },
);
const requestLine = tuple(
  mostly(constantFrom('GET ', 'POST ', 'GET ', 'POST ', 'OPTIONS '), constantFrom('get ', 'HEAD ', 'PUT ', 'CONNECT ', 'GET', 'GET  ', ' GET ', 'GET\t', 'G ET ', 'NOTIFY ', '')),
  path, query,
  mostly(constantFrom(' HTTP/1.1', ' HTTP/1.1', ' HTTP/1.1', ' HTTP/1.0'), constantFrom(' HTTP/1.2', ' HTTP/2.0', ' http/1.1', '  HTTP/1.1', ' HTTP/1.1 ', '\tHTTP/1.1', ' HTTP/01.1', '', ' HTTP/0.9')),
).map((parts) => parts.join(''));

const name = mostly(
  constantFrom('Accept', 'User-Agent', 'X', 'x-y_z', "!#$%&'*+.^`|~", 'Last-Event-ID', 'Idempotency-Key', 'TTL', 'Tidings-Event', 'Cookie', 'Set-Cookie', 'Referer', 'toString', '__proto__', 'Accept-Version', 'Keep-Alive', 'Via'),
  constantFrom('X Y', 'X ', ' X', '', 'X\t', 'X:', 'é', 'X\0', '(x)', '"x"', 'Content-Length ', 'Transfer-Encoding\t', 'X\r', 'Host', 'host'),
);
const value = mostly(
  constantFrom('a', 'a b', 'text/plain', 'text/event-stream', '', 'a, b', 'a;b="c,d"', '*/*', 'a\\b', '~', 'x'.repeat(300), 'GET /topics/a HTTP/1.1'),
  constantFrom(' ', '\t', 'a\tb', ' a', 'a ', '\xe9', 'a\0b', 'a\x7fb', 'a\rb', 'a\nb', 'a\r\n b', 'a\r\n\tb', 'a\n\nGET / HTTP/1.1', '\x01', 'x'.repeat(9000)),
);
const ordinaryHeader = tuple(name, mostly(constantFrom(': ', ':'), constantFrom(':  ', ' :', ' : ', ':\t', '', '=', '::')), value).map((parts) => parts.join(''));
const specialHeader = oneof(
  { arbitrary: constantFrom('Connection: keep-alive', 'Connection: Keep-Alive', 'connection:keep-alive', 'Accept-Encoding: gzip, br', 'Connection: close', 'connection: Close', 'Cookie: a=b', 'X-Forwarded-For: 192.0.2.1', 'Via: 1.1 a'), weight: 8 },
  { arbitrary: constantFrom('Connection: keep-alive, close', 'Connection: upgrade', 'Connection: X, keep-alive', 'Connection: ', 'Connection: content-length', 'Proxy-Connection: close', 'Keep-Alive: timeout=1', 'Expect: 100-continue', 'Expect: x', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA', 'TE: trailers', 'Trailer: x', 'Content-Encoding: identity'), weight: 2 },
  { arbitrary: constantFrom('Transfer-Encoding: chunked', 'transfer-encoding: identity', 'Transfer-Encoding: gzip, chunked', 'Transfer-Encoding:\tchunked', 'Transfer_Encoding: chunked', 'Transfer-Encoding: xchunked', 'X: a\nTransfer-Encoding: chunked', 'X: a\rTransfer-Encoding: chunked'), weight: 1 },
);
const host = mostly(constantFrom('Host: test', 'host:a:80', 'Host: ', 'HOST: [::1]:80'), constantFrom('', 'Host : test', 'Host: a\r\nHost: b', 'Host: a b', 'Host\r\n: a'));
const lengthForm = mostly(
  constant((length: number) => `Content-Length: ${length}`),
  constantFrom(
    ...['+', '-', '0', '00', ' ', '0x', ''].map((before) => (length: number): string => `Content-Length: ${before}${length}`),
    ...[' ', '\t', '.0', 'e0', ', ', ',', ';', 'x'].map((suffix) => (length: number): string => `Content-Length: ${length}${suffix}`),
    (length: number) => `Content-Length: ${length}, ${length}`, (length: number) => `Content-Length: ${length}\r\nContent-Length: ${length}`,
    (length: number) => `Content-Length: ${length}\r\nContent-Length: ${length + 1}`, (length: number) => `Content-Length: ${length + 1}`, (length: number) => `Content-Length: ${Math.max(0, length - 1)}`,
    (length: number) => `Content-Length: ${length}\r\nTransfer-Encoding: chunked`, (length: number) => `Transfer-Encoding: chunked\r\nContent-Length: ${length}`, (length: number) => `content-length:${length}`,
    (length: number) => `Content_Length: ${length}`, () => 'Content-Length: ', () => 'Content-Length: 99999999999999999999', () => 'X: y',
  ),
);
const body = oneof(
  { arbitrary: constantFrom('', 'x', 'Hello, world', '{"a":1}', '\xe9\xff\0', '\r\n\r\n', 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n', '0\r\n\r\n', '5\r\nhello\r\n0\r\n\r\n'), weight: 6 },
  { arbitrary: string({ maxLength: 60 }), weight: 1 },
);
const end = mostly(constant('\r\n\r\n'), constantFrom('\n\n', '\r\n\n', '\n\r\n', '\r\r', '\r\n', '\r\n \r\n\r\n', '\r\n\r\n\r\n'));

const request = record({ front: mostly(constant(''), constantFrom('\r\n', '\n', ' ', '\0')), requestLine, host, headers: array(oneof({ arbitrary: ordinaryHeader, weight: 5 }, { arbitrary: specialHeader, weight: 1 }), { maxLength: 3 }), lengthForm, body, end, place: nat(), line: mostly(constant('\r\n'), constantFrom('\n', '\r')), tail: mostly(constant(''), constantFrom('x', '\r\n', '\0')), odd: integer({ min: 0, max: 9 }) })
  .map(({ front, requestLine: first, host: named, headers, lengthForm: form, body: text, end: last, place, line, tail, odd }) => {
    const hasBody = first.startsWith('POST') ? odd > 0 : odd === 0;
    const length = Buffer.byteLength(text, 'latin1');
    const lines = [...headers];
    lines.splice(place % (lines.length + 1), 0, named);
    if (hasBody) lines.splice((place >> 3) % (lines.length + 1), 0, form(length));
    return Buffer.from(`${front}${[first, ...lines.filter((one) => one !== '')].join(line)}${last}${hasBody ? text : ''}${tail}`, 'latin1');
  });

interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly repeated: readonly string[];
  readonly body: string;
}

/** A server of Node's own that writes down what it was asked. */
async function bareServer(t: Scope): Promise<{ port: number; take: () => Seen[] }> {
  let seen: Seen[] = [];
  const server: Server = createServer({ requireHostHeader: false }, (incoming: IncomingMessage, response) => {
    const parts: Buffer[] = [];
    incoming.on('data', (part: Buffer) => void parts.push(part)).on('end', () => {
      seen.push({ method: incoming.method!, url: incoming.url!, headers: { ...incoming.headers }, repeated: repeatedIn(incoming.rawHeaders), body: Buffer.concat(parts).toString('latin1') });
      response.end('.');
    });
  });
  const port = await listening(server);
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return { port, take: () => {
    const taken = seen;
    seen = [];
    return taken;
  } };
}

/** Everything that comes for some bytes, until it is so much or the server closes. */
function answers(port: number, bytes: Buffer, isEnough: (text: string) => boolean): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    socket.setEncoding('latin1').on('data', (part: string) => {
      text += part;
      if (isEnough(text)) socket.destroy();
    });
    socket.on('error', reject).on('close', () => resolve(text));
  });
}

/** Is sent right after a request: it is read as a request of its own only where nothing of the request before is left, and nothing of it was taken. */
const NEXT = requestBytes('GET', '/next', { Connection: 'close' });
const NEXT_SEEN: Seen = { method: 'GET', url: '/next', headers: { host: 'localhost', connection: 'close' }, repeated: [], body: '' };

/** What the routes of the fast path go by: the path taken apart. */
function routeOf({ method, path: segments }: PlainHead): { url: string; topic: string | undefined } | undefined {
  const [first, topic, last] = segments;
  if (method === 'OPTIONS') return undefined;
  if (method === 'POST') return segments.length === 2 && first === 'topics' ? { url: '/topics/:topic', topic: topic! } : undefined;
  if (segments.length === 1 && first === 'events') return { url: '/events', topic: undefined };
  return segments.length === 3 && first === 'topics' && last === 'events' ? { url: '/topics/:topic/events', topic: topic! } : undefined;
}

/** What the router found, where the routes do nothing else. */
interface Routed {
  readonly url: string | undefined;
  readonly params: Readonly<Record<string, unknown>>;
  readonly query: Readonly<Record<string, unknown>>;
  readonly body: string;
}

/** Compares, and tells what was different. Objects count by what is in them. */
function same(what: string, found: unknown, expected: unknown): void {
  if (!isDeepStrictEqual(found, expected)) throw new Error(`${what}: ${inspect(found, { depth: 5 })}, and on the fast path: ${inspect(expected, { depth: 5 })}`);
}

t.test('Node reads each plain request as the same one, and the framework finds the same route, path and query', async (t) => {
  const bare = await bareServer(t);
  let routed: Routed | undefined;
  const app = await serve(t, fakeService(), { fastPath: false, rules: [], prepare: (instance) => {
    instance.addHook('onRoute', (route) => {
      delete route.schema;
      delete route.sse;
      route.handler = (incoming, reply) => {
        const { params, query: found, body: bytes } = incoming as { params: object; query: object; body: unknown };
        routed = { url: incoming.routeOptions.url, params: { ...params }, query: { ...found }, body: Buffer.isBuffer(bytes) ? bytes.toString('latin1') : '' };
        return reply.send('routed');
      };
    });
  } });
  const kinds = { plain: 0, 'for a route': 0, 'the last of its connection': 0, 'with a header that was repeated': 0 };
  await fc.assert(fc.asyncProperty(request, async (bytes) => {
    const found = readHead(bytes);
    if (found.kind !== 'plain' || found.length !== bytes.length) return;
    const read = found.head;
    kinds.plain++;
    if (!read.keepsAlive) kinds['the last of its connection']++;
    if (read.repeated.length > 0) kinds['with a header that was repeated']++;
    const text = bytes.toString('latin1', found.bodyStart, found.length);
    // After the last request of its connection Node refuses to read on.
    const answer = await answers(bare.port, read.keepsAlive ? Buffer.concat([bytes, NEXT]) : bytes, () => false);
    same('Node keeps the connection', !/connection: close/i.test(answer.split('\r\n\r\n', 1)[0]!), read.keepsAlive);
    const [seen, ...others] = bare.take();
    same('Node reads', seen, { method: read.method, url: read.url, headers: { ...read.headers }, repeated: read.repeated, body: text });
    same('after it comes', others, read.keepsAlive ? [NEXT_SEEN] : []);

    const route = routeOf(read);
    // A topic that is empty is refused by the route, whichever the router takes it for.
    if (route === undefined || route.topic === '') return;
    kinds['for a route']++;
    routed = undefined;
    const came = await answers(app.port, bytes, (some) => some.includes('\r\n\r\n'));
    same('The router finds', routed ?? came, { url: route.url, params: route.topic === undefined ? {} : { topic: route.topic }, query: { ...read.query }, body: text });
  }), { numRuns: RUNS });
  t.ok(kinds.plain > PLAIN_MIN && kinds['for a route'] > PLAIN_MIN / 2 && kinds['the last of its connection'] > PLAIN_MIN / 10 && kinds['with a header that was repeated'] > 20, `of ${RUNS} requests there were ${inspect(kinds)}`);
});

const saying = record({
  route: constantFrom('POST /topics/a', 'POST /topics/a?event=e', 'POST /topics/%C3%A9', 'POST /topics/a.*', 'POST /topics/a?event=error', 'GET /topics/a/events', 'GET /topics/a.%3E/events?control=0', 'GET /events?topic=a&topic=b', 'GET /events', 'GET /topics/a/events?after=start', 'GET /topics/a/events?after=x&control=2', 'GET /topics/a/events?sicne=1m', 'GET /events?topic[]=a', 'GET /topics/a/events?last_event_id=start', 'POST /topics/a?_=1&evnet=x'),
  host: mostly(constantFrom('localhost', 'localhost:443', '127.0.0.1:80'), constantFrom('', 'evil.example', '127.0.0.1.evil.example', '[::1]', 'a.localhost.', 'localhost:x')),
  headers: array(oneof(
    tuple(constant('Content-Type'), constantFrom('', 'a', 'a/b', '/', 'a/', 'a/.', 'a/-', 'a/+', 'a1/b', 'application/json', 'APPLICATION/JSON', 'application/json;charset=utf-8', 'application/json; charset=UTF-8', 'application/json; charset="utf-8"', 'application/json;charset=utf-16', 'text/plain;', 'text/plain; charset=', 'text/plain;charset=us-ascii', 'a/b; charset=utf-8x', 'multipart/form-data; boundary=x', 'application/x-www-form-urlencoded', 'application/vnd.x+json', 'text/plain, text/html')),
    tuple(constant('Tidings-Event'), constantFrom('', 'e', 'f', 'open', '$x', 'a b', 'x'.repeat(129))),
    tuple(constant('TTL'), constantFrom('', '0', '1', '01', '+1', '1.5', '999999999999', 'x', '1, 2')),
    tuple(constant('Idempotency-Key'), constantFrom('', 'k', '"k"', '"k', 'a, b', '"a\\b"', 'x'.repeat(256))),
    tuple(constant('Origin'), constantFrom('', 'null', 'http://localhost', 'https://localhost', 'capacitor://localhost', 'https://app.example', 'https://APP.example', 'https://evil.example', 'x')),
    tuple(constant('Sec-Fetch-Site'), constantFrom('', 'none', 'same-origin', 'same-site', 'cross-site', 'Same-Origin')),
    tuple(constant('Accept'), constantFrom('', '*/*', 'text/event-stream', 'text/event-stream;q=0', 'text/html', 'text/*', '*/*, text/event-stream;q=0')),
    tuple(constant('Last-Event-ID'), constantFrom('', 'start', 'abcdefgh-7', 'x', 'abcdefgh-7, abcdefgh-8')),
    tuple(constantFrom('Content-Encoding', 'Authorization', 'If-None-Match', 'Range', 'X-HTTP-Method-Override', 'X-Forwarded-Host', 'Access-Control-Request-Method', 'Access-Control-Request-Headers'), constantFrom('', 'identity', 'gzip', '*', 'PUT', 'bytes=0-1')),
  ), { maxLength: 4 }),
  body: constantFrom('', 'x', '{}', '{', '"\xc3\xa9"', '\xff', 'x'.repeat(100), 'x'.repeat(101)),
});

t.test('both ways answer a plain request alike', async (t) => {
  const refused = { hasRoomFor: () => false, makeRoom: () => false, open: (): never => {
    throw new Error('No stream is begun.');
  }, end: () => undefined, positionOf: () => ({ epoch: 'abcdefgh', seq: 0 }), changeFilter: () => ({ epoch: 'abcdefgh', seq: 0 }), drained: () => undefined, closed: () => undefined, refuse: (options: object, outlet: { write(bytes: Uint8Array): boolean; destroySoon(): void }) => {
    outlet.write(Buffer.from(JSON.stringify(options)));
    outlet.destroySoon();
  } };
  const service = (): Service => fakeService({ streams: refused }, { CORS_ORIGINS: 'https://app.example', MESSAGE_BYTES: '100' });
  const [fast, ordinary] = [await serve(t, service()), await serve(t, service(), { fastPath: false })];
  const all = (text: string): string => text.split('\r\n').filter((line) => !/^date: /i.test(line)).map((line) => (line.includes(': ') ? line.toLowerCase() : line)).sort().join('\n');
  const whole = (text: string): boolean => {
    const [head, answer] = text.split('\r\n\r\n', 2);
    return answer !== undefined && answer.length === Number(/content-length: ([0-9]+)/i.exec(head!)?.[1]);
  };
  await fc.assert(fc.asyncProperty(saying, async ({ route, host: named, headers, body: text }) => {
    const lines = [`${route} HTTP/1.1`, `Host: ${named}`, ...headers.map(([one, said]) => `${one}: ${said}`), ...(route.startsWith('POST') ? [`Content-Length: ${text.length}`] : [])];
    const bytes = Buffer.from(`${lines.join('\r\n')}\r\n\r\n${route.startsWith('POST') ? text : ''}`, 'latin1');
    const [one, other] = [await answers(fast.port, bytes, whole), await answers(ordinary.port, bytes, whole)];
    same('The ordinary path answers', all(other), all(one));
  }), { numRuns: ANSWERED });
  t.equal(ordinary.ordinary(), fast.sockets.length);
  t.ok(fast.ordinary() < 0.8 * ordinary.ordinary(), `${fast.ordinary()} of ${ordinary.ordinary()} took the ordinary path where there were two`);
});

/** The names, in lower case, that came more than once; one for each time after the first. Node tells headers as name, value, name, value. */
function repeatedIn(rawHeaders: readonly string[]): string[] {
  const names = rawHeaders.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase());
  return names.filter((name, index) => names.indexOf(name) < index);
}
