import type { AddressInfo } from 'node:net';
import { t } from 'tap';
import type { HistoryPage } from '../../src/delivery/long-polls.ts';
import { buildApp } from '../../src/http/app.ts';
import { URL_MAX_BYTES } from '../../src/http/admission/server-limits.ts';
import type { Service } from '../../src/http/service.ts';
import { exchange, RawConnection, requestBytes, type Answer } from '../support/raw.ts';
import { fakeService } from '../support/service.ts';
import type { Scope } from '../support/temp.ts';

/** What happens on connections, as seen by a client that writes bytes. */

async function serve(t: Scope, service: Service = fakeService()): Promise<{ port: number }> {
  const app = buildApp(service);
  t.teardown(() => app.close());
  await app.listen({ host: '127.0.0.1', port: 0 });
  t.teardown(() => app.server.closeAllConnections());
  return { port: (app.server.address() as AddressInfo).port };
}

function code({ body }: Answer): string {
  return (JSON.parse(body) as { code: string }).code;
}

t.test('bytes that are no HTTP get a problem, and the end of their connection', async (t) => {
  const server = await serve(t);
  const padding = 'x'.repeat(2 * URL_MAX_BYTES);
  for (const [bytes, status, expected] of [
    ['garbage\r\n\r\n', 400, 'invalid-request'],
    ['\u0000\u0001\r\n\r\n', 400, 'invalid-request'],
    ['NOSUCH / HTTP/1.1\r\nHost: localhost\r\n\r\n', 400, 'invalid-request'],
    ['GET /healthz HTTP/1.1\r\nHost: localhost\r\nbad header\r\n\r\n', 400, 'invalid-request'],
    ['POST /topics/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n', 400, 'invalid-request'],
    ['POST /topics/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n', 400, 'invalid-request'],
    [`GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ${padding}\r\n\r\n`, 431, 'header-too-large'],
    [`GET /messages?topic=${padding} HTTP/1.1\r\nHost: localhost\r\n\r\n`, 431, 'header-too-large'],
  ] as const) {
    const connection = await RawConnection.open(t, server);
    connection.send(bytes);
    await connection.untilClosed();
    const [answer] = connection.answers('GET');
    t.match(answer, { status, complete: true, headers: { 'content-type': 'application/problem+json', connection: 'close' } }, bytes.slice(0, 60));
    t.equal(code(answer!), expected, bytes.slice(0, 60));
  }
});

t.test('a URL of 100 long topics fits, and a longer one is 414', async (t) => {
  const server = await serve(t);
  const path = `/messages?${Array.from({ length: 100 }, (_, index) => `topic=${String(index).padStart(3, '0')}${'a'.repeat(252)}`).join('&')}`;
  t.equal((await exchange(t, server, requestBytes('GET', path))).status, 200);
  const answer = await exchange(t, server, requestBytes('GET', `/messages?topic=${'a'.repeat(URL_MAX_BYTES)}`));
  t.equal(answer.status, 414);
  t.equal(code(answer), 'uri-too-long');
});

t.test('HTTP/1.1 without Host is refused, HTTP/1.0 is served', async (t) => {
  const server = await serve(t);
  t.match(await exchange(t, server, 'GET /healthz HTTP/1.1\r\n\r\n'), { status: 400, body: /"field":"Host"/ });
  const connection = await RawConnection.open(t, server);
  connection.send('POST /topics/a HTTP/1.0\r\nContent-Length: 1\r\n\r\nx');
  await connection.untilClosed();
  t.match(connection.answers('POST'), [{ status: 201 }]);
});

t.test('a body that is too large gets its answer, however it is sent', async (t) => {
  const server = await serve(t);
  const body = 'x'.repeat(3 * 1024 * 1024);
  const chunked = `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
  for (const bytes of [
    requestBytes('POST', '/topics/a', {}, body),
    Buffer.from(`POST /topics/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n${chunked}`),
    requestBytes('POST', '/topics/a', { 'Content-Length': '10000000000' }),
  ]) {
    const answer = await exchange(t, server, bytes);
    t.equal(answer.status, 413);
    t.equal(code(answer), 'too-large');
  }
});

t.test('the bodies of refused requests are passed over, and the connection lives', async (t) => {
  const connection = await RawConnection.open(t, await serve(t));
  connection.send(Buffer.concat([
    requestBytes('POST', '/nowhere', {}, 'x'.repeat(5000)), requestBytes('PUT', '/topics/a', {}, 'x'), requestBytes('POST', '/topics/a', { 'Content-Encoding': 'gzip' }, 'x'), requestBytes('POST', '/topics/a', {}, 'x'),
  ]));
  const answers = await connection.answered(4, 'POST', 'PUT', 'POST', 'POST');
  t.same(answers.map(({ status }) => status), [404, 405, 415, 201]);
});

t.test('every method but its own is 405 at every path, with Allow', async (t) => {
  const server = await serve(t);
  const read = 'GET, HEAD';
  for (const [path, allow] of [
    ['/topics/a', 'POST'], ['/messages', 'GET, HEAD, POST'], ['/topics/a/messages', 'DELETE, GET, HEAD'], ['/topics/a/events', read], ['/events', read], ['/messages/x', 'DELETE, GET, HEAD'],
    ['/healthz', read], ['/readyz', read], ['/metrics', read], ['/openapi.json', read], ['/messages?topic=%zz', 'GET, HEAD, POST'],
  ] as const) {
    for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'PROPFIND', 'QUERY']) {
      if (allow.split(', ').includes(method)) continue;
      const answer = await exchange(t, server, requestBytes(method, path));
      t.match(answer, { status: 405, headers: { allow, 'content-type': 'application/problem+json' } }, `${method} ${path}`);
      t.equal(answer.body === '', method === 'HEAD', `${method} ${path}`);
    }
  }
});

t.test('unknown paths are 404, also those with a slash at the end', async (t) => {
  const server = await serve(t);
  for (const path of ['/index', '/topics/', '/topics/a/', '/topics/a/b', '/topics/a/messages/', '/messages/', '/healthz/', '//healthz', '/Healthz', '/events/', '/*']) {
    const answer = await exchange(t, server, requestBytes('GET', path));
    // A part of a path may be empty, which no topic and no id is.
    t.match([answer.status, code(answer)].join(' '), /^404 (message-)?not-found$|^405 method-not-allowed$/, path);
  }
});

t.test('a path or query that is not percent-encoded UTF-8 is 400', async (t) => {
  const server = await serve(t);
  for (const [method, path] of [['POST', '/topics/%FF'], ['POST', '/topics/%'], ['GET', '/topics/%c3%28/messages'], ['GET', '/messages?topic=%FF'], ['GET', '/messages?topic=a&x=%'], ['POST', '/topics/a?event=%ff']] as const) {
    const answer = await exchange(t, server, requestBytes(method, path, {}, method === 'POST' ? 'x' : ''));
    t.equal(answer.status, 400, path);
    t.equal(code(answer), 'invalid-request', path);
  }
});

t.test('HEAD has the headers of GET, and no body', async (t) => {
  const server = await serve(t);
  for (const path of ['/healthz', '/readyz', '/topics/a/messages', '/messages?topic=a', '/openapi.json']) {
    const [get, head] = [await exchange(t, server, requestBytes('GET', path)), await exchange(t, server, requestBytes('HEAD', path))];
    t.equal(head.body, '', path);
    t.equal(head.headers['content-length'], get.headers['content-length'], path);
    t.equal(head.headers['content-type'], get.headers['content-type'], path);
  }
});

t.test('pages of the origins that are allowed may read and publish, others not', async (t) => {
  const server = await serve(t, fakeService({}, { CORS_ORIGINS: 'https://app.example' }));
  const preflight = await exchange(t, server, requestBytes('OPTIONS', '/topics/a', { Origin: 'https://app.example', 'Access-Control-Request-Method': 'POST', 'Access-Control-Request-Headers': 'ttl' }));
  t.match(preflight, { status: 204, headers: { 'access-control-allow-origin': 'https://app.example', 'access-control-allow-methods': /POST/, 'access-control-allow-headers': /TTL/, vary: /Origin/ } });
  for (const [method, path] of [['GET', '/topics/a/messages'], ['GET', '/nowhere'], ['GET', '/messages'], ['POST', '/topics/a']] as const) {
    const answer = await exchange(t, server, requestBytes(method, path, { Origin: 'https://app.example', 'Sec-Fetch-Site': 'cross-site' }, method === 'POST' ? 'x' : ''));
    t.match(answer.headers, { 'access-control-allow-origin': 'https://app.example', 'access-control-expose-headers': /Location.*Retry-After/ }, `${method} ${path}`);
    const other = await exchange(t, server, requestBytes(method, path, { Origin: 'https://evil.example', 'Sec-Fetch-Site': 'cross-site' }, method === 'POST' ? 'x' : ''));
    t.equal(other.headers['access-control-allow-origin'], undefined, `${method} ${path}`);
    if (method === 'POST') t.same([answer.status, other.status, code(other)], [201, 403, 'cross-origin']);
  }
});

t.test('without CORS_ORIGINS no page of another origin may do anything', async (t) => {
  const server = await serve(t);
  const headers = { Origin: 'http://localhost:3000', 'Sec-Fetch-Site': 'same-site' };
  t.equal((await exchange(t, server, requestBytes('OPTIONS', '/topics/a', { ...headers, 'Access-Control-Request-Method': 'POST' }))).status, 405);
  t.equal((await exchange(t, server, requestBytes('GET', '/topics/a/messages', headers))).headers['access-control-allow-origin'], undefined);
  for (const path of ['/topics/a', '/messages']) t.equal((await exchange(t, server, requestBytes('POST', path, headers, 'x'))).status, 403, path);
});

t.test('a client that leaves ends its long poll', async (t) => {
  const { promise: asked, resolve: ask } = Promise.withResolvers<AbortSignal>();
  const { promise: left, resolve: leave } = Promise.withResolvers<void>();
  const server = await serve(t, fakeService({ history: { message: () => Promise.resolve(undefined), page: async ({ signal }) => {
    ask(signal);
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    leave();
    return { messages: [], cursor: 'abcdefgh-7', more: false, gap: undefined, clean: () => true };
  } } }));
  const connection = await RawConnection.open(t, server);
  connection.send(requestBytes('GET', '/topics/a/messages?wait=50'));
  t.equal((await asked).aborted, false);
  connection.destroy();
  await left;
});

t.test('nothing is written into an answer that is under way', async (t) => {
  const app = buildApp(fakeService());
  t.teardown(() => app.close());
  app.get('/half', { config: { endpoint: { url: '/half', methods: ['GET'], access: 'health', once: [] } } }, (_request, reply) => {
    reply.hijack();
    reply.raw.write('the first half');
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
  const connection = await RawConnection.open(t, app.server.address() as AddressInfo);
  connection.send(requestBytes('GET', '/half'));
  await connection.until('the half is there', () => connection.text.includes('the first half'));
  connection.send('garbage\r\n\r\n');
  await connection.untilClosed();
  t.match(connection.answers('GET'), [{ status: 200, body: 'the first half', complete: false }]);
  t.equal(connection.text.split('HTTP/1.1').length, 2);
});

t.test('what follows a stream that waits for its turn is passed over, and a flood of it ends the connection', async (t) => {
  const { promise: polled, resolve: answerPoll } = Promise.withResolvers<HistoryPage>();
  let streams = 0;
  const server = await serve(t, fakeService({
    history: { page: () => polled, message: () => Promise.resolve(undefined) },
    streams: { hasRoomFor: () => false, makeRoom: () => false, open: () => {
      throw new Error('No stream is begun.');
    }, end: () => undefined, positionOf: () => ({ epoch: 'abcdefgh', seq: 0 }), changeFilter: () => ({ epoch: 'abcdefgh', seq: 0 }), drained: () => undefined, closed: () => undefined, refuse: (_options, outlet) => {
      streams++;
      outlet.destroySoon();
    } },
  }));
  const before = `${requestBytes('GET', '/topics/a/messages?wait=50').toString()}${requestBytes('GET', '/topics/a/events').toString()}`;
  const later = requestBytes('GET', '/healthz').toString();
  const [few, many] = [await RawConnection.open(t, server), await RawConnection.open(t, server)];
  few.send(before + later.repeat(50));
  many.send(before + later.repeat(5000));
  await many.untilClosed();
  t.equal(many.text, '');
  t.equal(few.closed, false);
  answerPoll({ messages: [], cursor: 'abcdefgh-7', more: false, gap: undefined, clean: () => true });
  await few.untilClosed();
  t.match(few.answers('GET', 'GET'), [{ status: 200, headers: { 'content-type': 'application/json' } }, { status: 200, headers: { 'content-type': 'text/event-stream; charset=utf-8' } }]);
  t.equal(streams, 1);
});
