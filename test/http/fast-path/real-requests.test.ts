import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { Agent, request as httpRequest, type RequestOptions } from 'node:http';
import { join } from 'node:path';
import t from 'tap';
import { chromiumKinds } from '../../clients/support/chromium.ts';
import { programs, type Kind } from '../../clients/support/kinds.ts';
import type { Balancer } from '../../support/balancer.ts';
import { startCaddy } from '../../support/caddy.ts';
import { Child } from '../../support/child.ts';
import { openStream } from '../../support/client.ts';
import { PATIENT_CHECKS, startHaproxy, startPlainHaproxy } from '../../support/haproxy.ts';
import { startNginx, startPlainNginx } from '../../support/nginx.ts';
import { need } from '../../support/programs.ts';
import { exchange, RawConnection } from '../../support/raw.ts';
import { tempFolder, type Scope } from '../../support/temp.ts';
import { until } from '../../support/until.ts';
import { REAL_HEADS } from './real-heads.ts';
import { serveRows, type PublishRow, type Row, type StreamRow } from './real-rows.ts';
import { connectTo, sendApart } from './ways.ts';

/**
 * What clients and proxies send that we did not write, and the way that it takes. Publishes and streams take the fast path, whoever sends them and
 * whatever is between; a row that does not names its reason.
 */

const BODY = 'news of the day';
const JSON_BODY = '{"news":"of the day"}';
const JSON_TYPE = 'Content-Type: application/json';
/** Above what the fast path reads, 64 KiB. */
const LARGE_BODY = 'x'.repeat(70_000);

const LARGE = 'the body is larger than what the fast path holds';
const CHUNKED = 'the body comes in chunks, and nobody knows its length before';
const UPGRADE = 'it asks for an upgrade to HTTP/2';

const chromium = await chromiumKinds(t);
const { served, url, check } = await serveRows(t, { CORS_ORIGINS: new URL(chromium.page.url()).origin, RETRY_MIN_MS: '10', RETRY_MAX_MS: '20' });
const { port } = served;

const folder = tempFolder(t);
const jsonFile = join(folder, 'news.json');
const largeFile = join(folder, 'large');
writeFileSync(jsonFile, JSON_BODY);
writeFileSync(largeFile, LARGE_BODY);

/** Runs a program to its end, and resolves with what it printed. */
function output(command: string, args: readonly string[], input = ''): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(command, args, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`${error.message}\n${stderr}`));
    });
    child.stdin!.end(input);
  });
}

/** Starts a program that reads a stream for as long as the test takes. */
function reading(t: Scope, command: string, args: readonly string[]): () => string {
  const child = new Child(t, command, args);
  return () => child.output;
}

/** Nothing that is set around the tests may send it elsewhere. */
const CURL = ['-sS', '--noproxy', '*'];

function curl(what: string, args: (topic: string) => readonly string[], ordinary?: string, input?: string): PublishRow {
  return { what: `curl ${what}`, ordinary, publish: async (topic) => Number(await output('curl', [...CURL, '-o', join(folder, 'answer'), '-w', '%{http_code}', ...args(topic)], input)) };
}

function curlN(what: string, args: (topic: string) => readonly string[], ordinary?: string): StreamRow {
  return { what: `curl -N ${what}`, ordinary, stream: (scope, topic) => reading(scope, 'curl', [...CURL, '-N', ...args(topic)]) };
}

void t.test('curl', async (t) => check(t, [
  curl('-d', (topic) => ['-d', BODY, `${url}/topics/${topic}`]),
  curl('-d @file, JSON', (topic) => ['-d', `@${jsonFile}`, '-H', JSON_TYPE, `${url}/topics/${topic}`]),
  curl('--data-binary with an Idempotency-Key', (topic) => ['--data-binary', BODY, '-H', 'Idempotency-Key: 5f1c', '-H', 'TTL: 60', `${url}/topics/${topic}?event=note`]),
  curl('to a topic with %2F', (topic) => ['-d', BODY, `${url}/topics/${topic}%2Fgoals`]),
  curl('to a topic in UTF-8', (topic) => ['-d', BODY, `${url}/topics/${topic}.größe`]),
  curl('--http1.0', (topic) => ['--http1.0', '-d', BODY, `${url}/topics/${topic}`]),
  curl("-H 'Connection: close'", (topic) => ['-H', 'Connection: close', '-d', BODY, `${url}/topics/${topic}`]),
  curl('--http2', (topic) => ['--http2', '-d', BODY, `${url}/topics/${topic}`], UPGRADE),
  curl('-T -', (topic) => ['-X', 'POST', '-T', '-', `${url}/topics/${topic}`], CHUNKED, BODY),
  curl("-H 'Expect: 100-continue'", (topic) => ['-H', 'Expect: 100-continue', '-d', BODY, `${url}/topics/${topic}`], 'it sends the body only when it is told to go on'),
  curl('-d @file, 70 KB', (topic) => ['-d', `@${largeFile}`, `${url}/topics/${topic}`], LARGE),
  curlN('of a topic', (topic) => [`${url}/topics/${topic}/events`]),
  curlN('of several topics', (topic) => [`${url}/events?topic=other.*&topic=${topic}`]),
  curlN('of several topics, one with %2F', (topic) => [`${url}/events?topic=gr%C3%B6%C3%9Fe.%3E&topic=${topic}&topic=a%2Fb`]),
  curlN('with the headers of an EventSource', (topic) => ['-H', 'Accept: text/event-stream', '-H', 'Cache-Control: no-cache', '-H', 'Last-Event-ID: otherlog-1', `${url}/topics/${topic}/events`]),
  curlN('--http1.0', (topic) => ['--http1.0', `${url}/topics/${topic}/events`]),
  curlN("-H 'Connection: close'", (topic) => ['-H', 'Connection: close', `${url}/topics/${topic}/events`]),
  curlN('--compressed', (topic) => ['--compressed', `${url}/topics/${topic}/events`]),
  curlN('--http2', (topic) => ['--http2', `${url}/topics/${topic}/events`], UPGRADE),
  { ...curlN('of a topic with %2F', (topic) => [`${url}/topics/${topic}%2Fgoals/events`]), within: '%2Fgoals' },
  { ...curlN('of a topic in UTF-8', (topic) => [`${url}/topics/${topic}.größe/events`]), within: '.gr%C3%B6%C3%9Fe' },
]));

const PYTHON = join(import.meta.dirname, 'real-client.py');

void t.test("Python's http.client and requests", async (t) => check(t, ['http.client', 'requests'].flatMap((library): Row[] => [
  { what: `${library}, a publish`, publish: async (topic) => Number(await output(need('python3'), [PYTHON, library, 'publish', url, `/topics/${topic}`])) },
  { what: `${library}, a stream`, stream: (scope, topic) => reading(scope, need('python3'), [PYTHON, library, 'stream', url, `/topics/${topic}/events`]) },
])));

/** A publish with node:http, its body written in parts. */
function send(topic: string, options: RequestOptions, ...parts: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest(`${url}/topics/${topic}`, { method: 'POST', ...options }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode!));
    });
    for (const part of parts.slice(0, -1)) outgoing.write(part);
    outgoing.on('error', reject).end(parts.at(-1));
  });
}

/** A publish with what Node and browsers have in common. */
function fetched(what: string, options: RequestInit, ordinary?: string): PublishRow {
  return { what: `fetch, ${what}`, ordinary, publish: async (topic) => (await fetch(`${url}/topics/${topic}`, { method: 'POST', ...options })).status };
}

async function fetchStream(t: Scope, topic: string): Promise<() => string> {
  const controller = new AbortController();
  t.teardown(() => controller.abort());
  const { body } = await fetch(`${url}/topics/${topic}/events`, { signal: controller.signal });
  let text = '';
  body!.pipeThrough(new TextDecoderStream()).pipeTo(new WritableStream({ write: (part) => void (text += part) })).catch(() => {
    // The test is over.
  });
  return () => text;
}

/** A connection that is kept, and one for each request. */
const [kept, single] = [new Agent({ keepAlive: true, maxSockets: 1 }), new Agent({ keepAlive: false })];
t.teardown(() => kept.destroy());

void t.test("Node's clients", async (t) => check(t, [
  { what: 'node:http with the default agent', publish: (topic) => send(topic, {}, BODY) },
  { what: 'node:http without keep-alive', publish: (topic) => send(topic, { agent: single }, BODY) },
  { what: 'node:http with keep-alive', publish: (topic) => send(topic, { agent: kept }, BODY) },
  { what: 'node:http with keep-alive, on the same connection', publish: (topic) => send(topic, { agent: kept }, BODY) },
  { what: 'node:http, a body in parts with its length', publish: (topic) => send(topic, { headers: { 'content-length': 6 } }, 'one', 'two') },
  { what: 'node:http, a body in parts', ordinary: CHUNKED, publish: (topic) => send(topic, { agent: single }, 'one', 'two') },
  { what: 'node:http, a stream', stream: async (scope, topic) => {
    const { events } = await openStream(scope, `${url}/topics/${topic}/events`);
    return () => JSON.stringify(events);
  } },
  fetched('a text', { body: BODY }),
  fetched('JSON', { body: JSON_BODY, headers: { 'Content-Type': 'application/json', 'Tidings-Event': 'note' } }),
  fetched('a form', { body: new URLSearchParams({ news: 'of the day' }) }),
  { what: 'fetch, a stream', stream: fetchStream },
]));

function follows(kind: Kind, path: (topic: string) => string, form: string): StreamRow {
  return { what: `${kind.name}, ${form}`, comesBack: true, stream: (scope, topic) => {
    const { received } = kind.open(scope, url + path(topic));
    return () => JSON.stringify(received);
  } };
}

for (const kind of [...programs, ...chromium.kinds]) {
  void t.test(`${kind.name}, which comes back with the id of the last event`, async (t) => check(t, [
    follows(kind, (topic) => `/topics/${topic}/events`, 'of a topic'),
    follows(kind, (topic) => `/events?topic=${topic}&topic=other.*`, 'of several topics'),
  ]));
}

/** A publish by a page of another origin, which CORS_ORIGINS names. */
function inPage(what: string, options: Readonly<Record<string, unknown>>, ordinary?: string): PublishRow {
  return { what: `fetch in Chromium, ${what}`, ordinary, publish: (topic) => chromium.page.evaluate<number>(
    `fetch(${JSON.stringify(`${url}/topics/${topic}`)}, ${JSON.stringify({ method: 'POST', ...options })}).then(({ status }) => status)`,
  ) };
}

void t.test('a page in Chromium that publishes', async (t) => check(t, [
  inPage('a text', { body: BODY }),
  inPage('JSON, after the browser has asked whether it may', { body: JSON_BODY, headers: { 'Content-Type': 'application/json', 'Idempotency-Key': '"one"', 'TTL': '60' } }),
  inPage('70 KB', { body: LARGE_BODY }, LARGE),
]));

function bytesOf(line: string, lines: readonly string[], body = ''): Buffer {
  return Buffer.from([`${line} HTTP/1.1`, ...lines, ...(body === '' ? [] : [`Content-Length: ${Buffer.byteLength(body)}`]), '', body].join('\r\n'));
}

/** Both kinds of request with these lines, byte by byte. */
function raw(who: string, to: { readonly port: number }, lines: readonly string[], ordinary?: string): [PublishRow, StreamRow] {
  return [
    { what: `${who}, a publish`, ordinary, publish: async (topic) => (await exchange(t, to, bytesOf(`POST /topics/${topic}`, [...lines, JSON_TYPE], JSON_BODY))).status },
    { what: `${who}, a stream`, ordinary, stream: async (scope, topic) => {
      const connection = await RawConnection.open(scope, to);
      connection.send(bytesOf(`GET /topics/${topic}/events`, lines));
      return () => connection.text;
    } },
  ];
}

const PIECES_BODY = LARGE_BODY.slice(0, 30_000);

/** Bodies from some 10 KB on are read in pieces, as their senders and the kernel have it: how many, changes from one to the next, so these are made here. */
function inPieces(what: string, ...ends: readonly number[]): PublishRow {
  return { what: `a publish ${what}`, publish: async (topic) => {
    const pair = await connectTo(t, served);
    const bytes = bytesOf(`POST /topics/${topic}`, ['Host: tidings.example'], PIECES_BODY);
    await sendApart(pair, ...[...ends, bytes.length].map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end)));
    return (await pair.client.answered(1))[0]!.status;
  } };
}

void t.test('bodies in pieces', async (t) => check(t, [
  inPieces('in one piece, as from curl'),
  inPieces('in two pieces, as through nginx and HAProxy', 8_000),
  inPieces('in two pieces, first the head, as from Python', -PIECES_BODY.length),
  inPieces('in four pieces, as through Caddy and from Chromium', 200, 4_300, 8_400),
]));

void t.test('heads as they are documented', async (t) => check(t, REAL_HEADS.flatMap(({ who, lines, ordinary }) => raw(who, served, lines, ordinary))));

/** What a client sends that has come through another proxy already. */
const PROXIED = ['Host: tidings.example', 'X-Forwarded-For: 203.0.113.9', 'X-Forwarded-Proto: https', 'Via: 1.1 other', 'Cookie: a=1', 'Cookie: b=2', 'User-Agent: Überwachung/1.0', 'Accept: text/event-stream, */*;q=0.1', 'TE: trailers', 'Connection: TE, keep-alive'];

function through(name: string, proxy: Balancer): Row[] {
  return [
    curl(`through ${name}`, (topic) => ['-d', BODY, `${proxy.url}/topics/${topic}`]),
    curlN(`through ${name}`, (topic) => [`${proxy.url}/topics/${topic}/events`]),
    ...raw(`another proxy before ${name}`, proxy, PROXIED),
  ];
}

/** As a browser has it: HTTP/2 to the proxy, which speaks HTTP/1.1 to the service. Firefox sends this TE with every request. */
function http2Through(name: string, proxy: Balancer): Row[] {
  const common = ['--http2-prior-knowledge', '-H', 'te: trailers', '-b', 'a=1; b=2'];
  return [
    curl(`--http2 through ${name}`, (topic) => [...common, '-d', BODY, `${proxy.url}/topics/${topic}`]),
    curlN(`--http2 through ${name}`, (topic) => [...common, `${proxy.url}/topics/${topic}/events`]),
  ];
}

/** @param args What a body of unknown length goes to the proxy with. */
function unknownLengthThrough(name: string, proxy: Balancer, args: readonly string[], ordinary?: string): PublishRow {
  return curl(`${[...args, '-T', '-'].join(' ')} through ${name}`, (topic) => [...args, '-X', 'POST', '-T', '-', `${proxy.url}/topics/${topic}`], ordinary, BODY);
}

/** What the documentation of nginx's proxy module recommends: connections that are kept, and who the client is. */
const KEPT = ['proxy_buffering off;', 'proxy_http_version 1.1;', 'proxy_set_header Connection "";'];
const FORWARDED = ['proxy_set_header Host $host;', 'proxy_set_header X-Real-IP $remote_addr;', 'proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;', 'proxy_set_header X-Forwarded-Proto $scheme;'];
/** What is copied for WebSocket, from where everybody copies it. */
const WEB_SOCKET = ['proxy_buffering off;', 'proxy_http_version 1.1;', 'proxy_set_header Upgrade $http_upgrade;', 'proxy_set_header Connection "upgrade";'];

void t.test('nginx', async (t) => {
  const [plain, recommended, webSocket, http2, shipped] = await Promise.all([
    startPlainNginx(t, port, ['proxy_buffering off;']), startPlainNginx(t, port, [...KEPT, ...FORWARDED]), startPlainNginx(t, port, WEB_SOCKET),
    startPlainNginx(t, port, KEPT, 'http2'), startNginx(t, [port, port, port]),
  ]);
  await check(t, [
    ...through('nginx with proxy_pass alone', plain),
    ...through('nginx with what it recommends', recommended),
    ...through('nginx with what is copied for WebSocket', webSocket),
    ...through('nginx with deploy/nginx.conf', shipped),
    ...http2Through('nginx', http2),
    // It reads a whole body before it sends it on, and then knows its length.
    unknownLengthThrough('nginx', recommended, []),
    unknownLengthThrough('nginx', http2, ['--http2-prior-knowledge']),
  ]);
});

void t.test('HAProxy', async (t) => {
  const [plain, http2, shipped] = await Promise.all([
    startPlainHaproxy(t, port, ['option http-no-delay', 'option forwardfor', 'http-request add-header Via "1.1 haproxy"', 'http-request set-header X-Forwarded-Proto http']),
    startPlainHaproxy(t, port, ['option http-no-delay'], 'proto h2'), startHaproxy(t, [port, port, port], { replace: PATIENT_CHECKS }),
  ]);
  await until('HAProxy knows that its servers are there', async () => (await exchange(t, shipped, bytesOf('GET /healthz', ['Host: tidings.example']))).status === 200);
  await check(t, [
    ...through('HAProxy with deploy/haproxy.cfg', shipped),
    ...through('HAProxy with forwardfor and Via', plain),
    ...http2Through('HAProxy', http2),
    unknownLengthThrough('HAProxy', plain, [], CHUNKED),
    unknownLengthThrough('HAProxy', http2, ['--http2-prior-knowledge'], CHUNKED),
  ]);
});

void t.test('Caddy', async (t) => {
  const caddy = await startCaddy(t, port);
  await check(t, [...through('Caddy', caddy), ...http2Through('Caddy', caddy), unknownLengthThrough('Caddy', caddy, [], CHUNKED), unknownLengthThrough('Caddy', caddy, ['--http2-prior-knowledge'], CHUNKED)]);
});

void t.test('a connection on which another request took the ordinary way', async (t) => {
  const [nginx, caddy] = await Promise.all([startPlainNginx(t, port, KEPT), startCaddy(t, port)]);
  const asked = async (proxy: Balancer, topic: string): Promise<number> => {
    const connection = await RawConnection.open(t, proxy);
    connection.send(Buffer.concat([bytesOf('GET /healthz', ['Host: tidings.example']), bytesOf(`POST /topics/${topic}`, ['Host: tidings.example'], BODY)]));
    return (await connection.answered(2))[1]!.status;
  };
  await check(t, [
    { what: 'node:http with keep-alive, after GET /healthz', publish: async (topic) => {
      await new Promise((resolve, reject) => void httpRequest(`${url}/healthz`, { agent: kept }, (response) => void response.resume().on('end', resolve)).on('error', reject).end());
      return send(topic, { agent: kept }, BODY);
    } },
    { what: 'nginx with kept connections, after GET /healthz', publish: (topic) => asked(nginx, topic) },
    { what: 'Caddy, after GET /healthz', publish: (topic) => asked(caddy, topic) },
  ]);
});

void t.test('where the fast path is off, a request that would take it is seen to take the ordinary way', async (t) => {
  const off = await serveRows(t, { HTTP_FAST_PATH: 'off' });
  await off.check(t, raw('a client', off.served, ['Host: tidings.example'], 'there is no other'));
});
