import t from 'tap';
import { SECURITY_HEADERS } from '../../src/http/output/security-headers.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { exchange, RawConnection, requestBytes } from '../support/raw.ts';
import { until } from '../support/until.ts';

/** HTTP below the routes: versions, HEAD, pipelining, and how connections end, seen byte by byte. */

const instance = await startInstance(t, { LOG_LEVEL: 'warn' });
const http = new Http(t, instance.url);

const STREAM = { Accept: 'text/event-stream' };

/** The frames of a stream's body. */
const frames = (body: string): string[] => body.split('\n\n').slice(0, -1);

async function noStreams(): Promise<void> {
  await until('no stream is open', async () => await http.metric('streams') === 0);
}

await t.test('a client of HTTP/1.0 gets its stream without chunks, ended by the close', async (t) => {
  const connection = await RawConnection.open(t, instance);
  connection.send('GET /topics/one.zero/events HTTP/1.0\r\n\r\n');
  await connection.until('$open', () => connection.text.includes('event: $open') && connection.text.endsWith('\n\n'));
  await http.publish('one.zero', 'first');
  const id = await http.publish('one.zero', 'a\nb');
  await connection.until('the messages', () => connection.text.includes(`id: ${id}\n\n`));
  const [answer] = connection.answers('GET');
  t.equal(answer!.status, 200);
  t.equal(answer!.headers['transfer-encoding'], undefined);
  t.equal(answer!.headers['content-length'], undefined);
  t.equal(answer!.headers['connection'], 'close');
  const [open, ...messages] = frames(answer!.body);
  t.match(open, /^event: \$open\nretry: [0-9]+\ndata: \{"cursor":"[a-z0-9]+-[0-9]+","stream":\{[^\n]*\}\}\nid: /, 'not even the size of a chunk stands before it');
  t.match(messages, ['data: first\nid: ', `data: a\ndata: b\nid: ${id}`]);
  connection.end();
  await connection.untilClosed();
  await noStreams();
});

await t.test('a client of HTTP/1.0 publishes and reads', async (t) => {
  const connection = await RawConnection.open(t, instance);
  connection.send('POST /topics/one.zero HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi');
  await connection.untilClosed();
  t.match(connection.answers('POST'), [{ status: 201, complete: true, headers: { connection: 'close' } }]);
  const page = await RawConnection.open(t, instance);
  page.send('GET /topics/one.zero/messages HTTP/1.0\r\n\r\n');
  await page.untilClosed();
  t.match(page.answers('GET'), [{ status: 200, headers: { 'transfer-encoding': undefined }, body: /"data":"hi"/ }]);
});

await t.test('what follows a body of no length is no request', async (t) => {
  const connection = await RawConnection.open(t, instance);
  connection.send('POST /topics/lengthless HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n\r\nPOST /topics/lengthless HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx');
  await connection.untilClosed();
  t.match(connection.answers('POST'), [{ status: 411, headers: { connection: 'close' }, complete: true }]);
  t.equal(connection.answers('POST').length, 1);
  t.strictSame((await http.json<{ messages: unknown[] }>('/topics/lengthless/messages')).messages, []);
});

await t.test('HEAD is answered on every path that GET is, with the same headers and nothing else', async (t) => {
  const id = await http.publish('head', 'x');
  const paths = ['/topics/head/messages', '/messages?topic=head', `/messages/${id}`, '/healthz', '/readyz', '/metrics', '/openapi.json', '/topics/head/events', '/events?topic=head'];
  for (const path of paths) {
    const connection = await RawConnection.open(t, instance);
    connection.send(requestBytes('HEAD', path));
    await connection.answered(1, 'HEAD');
    // What follows on the connection begins right after the head: nothing of a body stood between.
    connection.send(requestBytes('HEAD', '/healthz', { Connection: 'close' }));
    await connection.untilClosed();
    const [head, next] = connection.answers('HEAD', 'HEAD');
    t.equal(head!.status, 200, path);
    t.equal(next!.status, 200, `${path}: the connection goes on`);
    if (path.includes('events')) {
      t.match(head!.headers, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache, no-transform', 'x-accel-buffering': 'no', 'content-length': undefined }, path);
      continue;
    }
    const { headers } = await exchange(t, instance, requestBytes('GET', path));
    const names = ['content-type', 'cache-control', ...(path === '/metrics' ? [] : ['content-length'])];
    t.strictSame(names.map((name) => head!.headers[name]), names.map((name) => headers[name]), path);
  }
  t.equal((await http.send('HEAD', '/messages/abcdefgh-1')).status, 404);
  t.equal((await http.send('HEAD', '/topics/a..b/messages')).status, 400);
  t.equal((await http.send('HEAD', '/events')).status, 400);
  const refused = await http.send('HEAD', '/topics/a');
  t.strictSame([refused.status, refused.headers.allow, refused.body], [405, 'POST', '']);
  await noStreams();
  const began = performance.now();
  t.equal((await http.send('HEAD', '/topics/nothing/messages?wait=50')).status, 200);
  t.ok(performance.now() - began < 25_000, 'HEAD does not wait for a message');
});

await t.test('a stream that is pipelined after a publish begins after its answer', async (t) => {
  const connection = await RawConnection.open(t, instance);
  connection.send(Buffer.concat([
    requestBytes('POST', '/topics/pipe', {}, 'one'),
    requestBytes('POST', '/topics/pipe', {}, 'two'),
    requestBytes('GET', '/topics/pipe/events?after=start', STREAM),
  ]));
  await connection.until('both messages', () => /data: two\nid: .*\n\n/.test(connection.text));
  const three = await http.publish('pipe', 'three');
  await connection.until('a live message', () => connection.text.includes(`id: ${three}\n\n`));
  const [one, two, stream] = connection.answers('POST', 'POST', 'GET');
  t.match([one, two], [{ status: 201, complete: true }, { status: 201, complete: true }]);
  t.equal(stream!.status, 200);
  t.match(frames(stream!.body), [/^event: \$open\n/, /^data: one\n/, /^data: two\n/, /^data: three\n/]);
  connection.destroy();
  await noStreams();
});

await t.test('what follows a stream on its connection is never carried out', async (t) => {
  const head = await http.metric('log_head');
  const connection = await RawConnection.open(t, instance);
  const publish = requestBytes('POST', '/topics/behind', {}, 'must not be stored');
  connection.send(Buffer.concat([requestBytes('GET', '/topics/behind/events', STREAM), publish, requestBytes('GET', '/events?topic=behind', STREAM), publish]));
  await connection.until('$open', () => connection.text.includes('event: $open'));
  connection.send(publish);
  connection.send('this is no HTTP at all\r\n\r\n');
  await http.publish('behind', 'from elsewhere');
  await connection.until('the message', () => connection.text.includes('from elsewhere'));
  t.equal(await http.metric('streams'), 1, 'the second stream was not opened');
  connection.send(publish);
  // The server reads the end of the connection after everything that was sent before.
  connection.end();
  await connection.untilClosed();
  const answers = connection.answers('GET');
  t.equal(answers.length, 1, 'nothing else was answered');
  t.match(frames(answers[0]!.body), [/^event: \$open\n/, /^data: from elsewhere\n/]);
  t.equal(answers[0]!.body.match(/\$open/g)!.length, 1);
  t.equal(await http.metric('log_head'), head + 1, 'only the message from elsewhere was stored');
});

await t.test('a publish after a stream that is refused is not carried out either, and the end of the connection says so', async (t) => {
  const head = await http.metric('log_head');
  for (const refused of ['/topics/a..b/events', '/events', '/topics/a/events?after=x', '/topics/a/events?control=x']) {
    const connection = await RawConnection.open(t, instance);
    connection.send(Buffer.concat([requestBytes('GET', refused, STREAM), requestBytes('POST', '/topics/behind', {}, 'x')]));
    await connection.untilClosed();
    const [answer, ...others] = connection.answers('GET', 'POST');
    t.match(answer, { status: 400, complete: true, headers: { 'content-type': 'application/problem+json' } }, refused);
    t.strictSame(others, [], refused);
  }
  t.equal(await http.metric('log_head'), head);
  await noStreams();
});

await t.test('the half-close of a client ends its stream', async (t) => {
  const connections = [];
  for (const path of ['/topics/half/events', '/events?topic=half', '/topics/%3E/events?control=0']) {
    const connection = await RawConnection.open(t, instance);
    connection.send(requestBytes('GET', path, STREAM));
    await connection.until('the first frame', () => connection.text.includes('retry:'));
    connections.push(connection);
  }
  t.equal(await http.metric('streams'), 3);
  const closed = await http.metric('streams_closed_total');
  for (const connection of connections) {
    connection.end();
    await connection.untilClosed();
    t.equal(connection.reset, false);
    t.equal(connection.answers('GET')[0]!.complete, false, 'without a last chunk, which some clients would take for the end of it all');
  }
  await noStreams();
  t.equal(await http.metric('streams_closed_total'), closed + 3);
});

await t.test('a client that closes its side after its request gets its answer, and the end', async (t) => {
  const chunked = Buffer.from('POST /topics/half.closed HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n');
  const batch = requestBytes('POST', '/messages', { 'Content-Type': 'application/json' }, '[{"topic":"half.closed","data":1}]');
  const publish = requestBytes('POST', '/topics/half.closed', {}, 'x');
  for (const [what, request, statuses] of [
    ['a publish', publish, [201]], ['a publish in chunks', chunked, [201]], ['a batch', batch, [201]], ['a publish that is refused', requestBytes('POST', '/topics/a..b', {}, 'x'), [400]], ['a body that is refused', requestBytes('POST', '/topics/a', { 'Content-Encoding': 'gzip' }, 'x'), [415]],
    ['history', requestBytes('GET', '/topics/half.closed/messages'), [200]], ['a long poll', requestBytes('GET', '/topics/half.none/messages?wait=50'), [200]], ['readiness', requestBytes('GET', '/readyz'), [200]], ['HEAD', requestBytes('HEAD', '/topics/half.closed/events'), [200]],
    ['what there is not', requestBytes('DELETE', '/topics/half.closed'), [405]], ['a pipeline', Buffer.concat([batch, publish, chunked, requestBytes('GET', '/healthz')]), [201, 201, 201, 200]],
  ] as const) {
    const connection = await RawConnection.open(t, instance);
    connection.send(request);
    connection.end();
    await connection.untilClosed();
    const answers = connection.answers(...request.toString().startsWith('HEAD') ? ['HEAD'] : []);
    t.strictSame(answers.map(({ status, complete }) => [status, complete]), statuses.map((status) => [status, true]), what);
    t.equal(connection.reset, false, what);
  }
  t.equal((await http.json<{ messages: unknown[] }>('/topics/half.closed/messages')).messages.length, 6);
});

await t.test('a client that is gone at once leaves nothing behind', async (t) => {
  const opened = await http.metric('streams_opened_total');
  for (let round = 0; round < 20; round++) {
    const connection = await RawConnection.open(t, instance);
    connection.send(requestBytes('GET', '/topics/gone/events?after=start', STREAM));
    if (round % 2 === 0) connection.end();
    else connection.destroy();
  }
  // One that comes after them all: when it is served, they have been.
  const last = await RawConnection.open(t, instance);
  last.send(requestBytes('GET', '/topics/gone/events', STREAM));
  await last.until('$open', () => last.text.includes('$open'));
  last.destroy();
  await noStreams();
  t.ok(await http.metric('streams_opened_total') > opened);
});

await t.test('a connection is good for more after errors', async (t) => {
  const connection = await RawConnection.open(t, instance);
  const requests = [
    requestBytes('POST', '/topics/a..b', {}, 'x'),
    requestBytes('GET', '/nothing/here'),
    requestBytes('DELETE', '/topics/a', {}, 'a body that nobody wants'),
    requestBytes('POST', '/topics/a', { 'Content-Encoding': 'gzip' }, 'x'),
    requestBytes('POST', '/topics/a', { 'Content-Type': 'application/json' }, '{'),
    requestBytes('GET', '/messages/abcdefgh-1'),
    requestBytes('POST', '/topics/after.errors', {}, 'stored'),
  ];
  const methods = requests.map((request) => request.toString('latin1').split(' ', 1)[0]!);
  for (const request of requests) connection.send(request);
  const answers = await connection.answered(requests.length, ...methods);
  t.strictSame(answers.map(({ status }) => status), [400, 404, 405, 415, 400, 404, 201]);
  t.equal(connection.closed, false);
  connection.send(requestBytes('GET', '/topics/after.errors/messages', { Connection: 'close' }));
  await connection.untilClosed();
  const page = connection.answers(...methods, 'GET').at(-1)!;
  t.equal(page.headers['connection'], 'close');
  t.match(page.body, /"data":"stored"/);
});

await t.test('a body that is announced as far too large is refused before it is sent, and its connection ends', async (t) => {
  const connection = await RawConnection.open(t, instance);
  connection.send('POST /topics/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n');
  await connection.answered(1, 'POST');
  t.match(connection.answers('POST')[0], { status: 413, headers: { connection: 'close' } });
  await connection.untilClosed();
});

await t.test('a body that ends before its length is refused', async (t) => {
  const head = await http.metric('log_head');
  for (const request of ['POST /topics/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nshort', 'POST /topics/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n']) {
    const connection = await RawConnection.open(t, instance);
    connection.send(request);
    connection.end();
    await connection.untilClosed();
    t.match(connection.answers('POST'), [{ status: 400, headers: { 'content-type': 'application/problem+json' }, body: /"code":"invalid-request"/ }]);
  }
  t.equal(await http.metric('log_head'), head);
});

await t.test('bytes that are no HTTP after a request do not take its answer', async (t) => {
  const head = await http.metric('log_head');
  const short = 'POST /topics/short HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi, of which the length told only a part\r\n\r\n';
  const whole = requestBytes('POST', '/topics/short', {}, 'hi').toString();
  for (const [name, bytes, statuses] of [
    ['a body that is longer than its length', short, [201, 400]],
    ['the same in a pipeline', whole + whole + short, [201, 201, 201, 400]],
    ['after a last request', requestBytes('POST', '/topics/short', { Connection: 'close' }, 'hi').toString() + whole, [201]],
    ['after one that waits', `${requestBytes('GET', '/topics/none/messages?wait=1').toString()}${short}`, [200, 201, 400]],
  ] as const) {
    const connection = await RawConnection.open(t, instance);
    connection.send(bytes);
    await connection.untilClosed();
    t.strictSame(connection.answers(...Array<string>(4).fill('POST')).map(({ status }) => status), statuses, name);
  }
  t.equal(await http.metric('log_head'), head + 6, 'what was answered with 201 was stored, and nothing else');
  const stream = await RawConnection.open(t, instance);
  stream.send(Buffer.concat([requestBytes('GET', '/topics/short/events', STREAM), Buffer.from('this is no HTTP\r\n\r\n')]));
  await stream.until('$open', () => stream.text.includes('$open'));
  const id = await http.publish('short', 'x');
  await stream.until('a message', () => stream.text.includes(`id: ${id}\n\n`));
  stream.destroy();
  await noStreams();
});

await t.test('a client that waits to be told to go on with its body is told', async (t) => {
  const connection = await RawConnection.open(t, instance);
  connection.send('POST /topics/expect HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n');
  await connection.until('100', () => connection.text.includes('HTTP/1.1 100 '));
  connection.send('hello');
  const answers = await connection.answered(2, 'POST');
  t.strictSame(answers.map(({ status }) => status), [100, 201]);
  const other = await exchange(t, instance, requestBytes('POST', '/topics/expect', { Expect: 'the-unexpected' }, 'x'));
  t.match(other, { status: 417, body: /"code":"expectation-failed"/ }, 'nothing else may be expected');
});

await t.test('the head of a stream names its type and forbids buffering', async (t) => {
  for (const path of ['/topics/headers/events', '/events?topic=headers']) {
    for (const accept of [STREAM, { Accept: '*/*' }, { Accept: 'text/html, text/*;q=0.5' }, {}]) {
      const connection = await RawConnection.open(t, instance);
      connection.send(requestBytes('GET', path, accept));
      await connection.until('$open', () => connection.text.includes('$open'));
      const { date, connection: persistence, ...headers } = connection.answers('GET')[0]!.headers;
      t.match(date, / GMT$/);
      t.strictSame(headers, {
        'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache, no-transform', 'x-accel-buffering': 'no', ...SECURITY_HEADERS, 'transfer-encoding': 'chunked',
      }, `${path} ${JSON.stringify(accept)}`);
      // Who will get the last chunk must not think that the connection goes on after it.
      t.equal(persistence, accept === STREAM ? 'keep-alive' : 'close');
      connection.destroy();
    }
  }
  await noStreams();
});

await t.test('nothing that is read once may be kept by a cache', async (t) => {
  const id = await http.publish('cache', 'x');
  for (const path of ['/topics/cache/messages', '/messages?topic=cache', `/messages/${id}`, '/healthz', '/readyz', '/metrics']) {
    t.equal((await http.get(path)).headers['cache-control'], 'no-store', path);
  }
});
