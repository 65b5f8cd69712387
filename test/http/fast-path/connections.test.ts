import { createServer, type Server } from 'node:http';
import { connect, type Socket } from 'node:net';
import { t } from 'tap';
import type { Admission } from '../../../src/http/admission/admission.ts';
import type { FastPathHandler, FastPathRequest, OpenConnection } from '../../../src/http/fast-path/connection-host.ts';
import { FastPathConnections } from '../../../src/http/fast-path/connections.ts';
import { EVERYBODY } from '../../../src/access/credentials/identity.ts';
import { HeldHeads } from '../../../src/http/held-heads.ts';
import { answerClientError } from '../../../src/http/output/client-error.ts';
import type { Service } from '../../../src/http/service.ts';
import type { Receipt } from '../../../src/log/publisher/receipt.ts';
import type { Start } from '../../../src/model/gap.ts';
import { Filter } from '../../../src/model/topic.ts';
import { Budget } from '../../../src/runtime/sharing/budget.ts';
import { UNNAMED } from '../../../src/runtime/sharing/fair-shares.ts';
import { listening } from '../../support/listening.ts';
import { exchange, RawConnection, requestBytes, type Answer } from '../../support/raw.ts';
import { fakeService } from '../../support/service.ts';
import type { Scope } from '../../support/temp.ts';
import { openSpine } from './spine.ts';
import { connectTo, sendApart, serve, turns, type Pair } from './ways.ts';

/** What happens on connections of the fast path, and where they are handed over. */

const PUBLISH = requestBytes('POST', '/topics/a', {}, 'Hello');
const STREAM = requestBytes('GET', '/topics/a/events', { Accept: 'text/event-stream' });
/** Nothing that the fast path takes. */
const ODD = requestBytes('GET', '/healthz');

function publish(text: string): Buffer {
  return requestBytes('POST', '/topics/a', {}, text);
}

/** A service whose publishes are answered when the test says so, with a number each. */
function slowPublisher(): { service: Service; waiting: (() => void)[]; published: string[] } {
  const waiting: (() => void)[] = [];
  const published: string[] = [];
  const service = fakeService({ publisher: { publish: (_grant, [draft]) => {
    published.push(Buffer.from(draft!.data).toString());
    const first = published.length;
    return new Promise<Receipt>((resolve) => void waiting.push(() => resolve({ epoch: 'abcdefgh', first, time: 0, replayed: false })));
  } } });
  return { service, waiting, published };
}

function locations(answers: readonly Answer[]): (string | undefined)[] {
  return answers.map(({ headers }) => headers['location']);
}

t.test('hundreds of requests follow one another on a connection, and none takes the ordinary path', async (t) => {
  const { service, store } = await openSpine(t);
  const served = await serve(t, service);
  const { client } = await connectTo(t, served);
  for (let count = 1; count <= 500; count++) {
    client.text = '';
    client.send(publish(String(count)));
    const [answer] = await client.answered(1, 'POST');
    if (answer!.headers['location'] !== `/messages/e00001xx-${count}`) t.fail(`${count} was answered with ${JSON.stringify(answer)}`);
  }
  t.same(store.messages.map(({ data }) => Buffer.from(data).toString()), Array.from({ length: 500 }, (_, index) => String(index + 1)));
  t.equal(served.ordinary(), 0);
});

t.test('pipelined requests are answered in their order, however they are packed', async (t) => {
  const { service, store } = await openSpine(t);
  const served = await serve(t, service);
  const texts = Array.from({ length: 100 }, (_, index) => `text ${index} ${'x'.repeat(index * 7)}`);
  const requests = texts.map(publish);
  for (const [how, send] of [
    ['all at once', (pair: Pair) => sendApart(pair, Buffer.concat(requests))],
    ['each by itself', (pair: Pair) => sendApart(pair, ...requests)],
    ['one, and the rest', (pair: Pair) => sendApart(pair, requests[0]!, Buffer.concat(requests.slice(1)))],
    ['in pieces that end anywhere', (pair: Pair) => sendApart(pair, ...pieces(Buffer.concat(requests), 333))],
    ['in pieces that are large', (pair: Pair) => sendApart(pair, ...pieces(Buffer.concat(requests), 20_000))],
    ['as fast as they can be written', (pair: Pair) => requests.forEach((request) => pair.client.send(request))],
  ] as const) {
    store.messages = [];
    const pair = await connectTo(t, served);
    await send(pair);
    const answers = await pair.client.answered(100, ...texts.map(() => 'POST'));
    t.same(locations(answers), texts.map((_, index) => `/messages/e00001xx-${index + 1}`), how);
    t.same(store.messages.map(({ data }) => Buffer.from(data).toString()), texts, how);
    pair.client.destroy();
  }
});

function pieces(bytes: Buffer, length: number): Buffer[] {
  return Array.from({ length: Math.ceil(bytes.length / length) }, (_, index) => bytes.subarray(index * length, (index + 1) * length));
}

t.test('plain requests and odd ones follow one another', async (t) => {
  const { service } = await openSpine(t);
  const served = await serve(t, service);
  for (const [first, ...others] of [
    [PUBLISH, ODD, PUBLISH, ODD], [ODD, PUBLISH, ODD, PUBLISH], [PUBLISH, PUBLISH, requestBytes('POST', '/messages', { 'Content-Type': 'application/json' }, '[{"topic":"a","data":1}]'), PUBLISH],
    [PUBLISH, Buffer.from('POST /topics/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHello\r\n0\r\n\r\n'), PUBLISH], [PUBLISH, publish('x'.repeat(200_000)), PUBLISH], [publish('x'.repeat(200_000)), PUBLISH, ODD],
  ] as const) {
    const all = [first, ...others];
    for (const [how, send] of [
      ['each after the answer', async (pair: Pair) => {
        for (const [index, request] of all.entries()) {
          pair.client.send(request);
          await pair.client.answered(index + 1, ...all.map(() => 'GET'));
        }
      }],
      ['each by itself', (pair: Pair) => sendApart(pair, ...all)],
      ['all at once', (pair: Pair) => sendApart(pair, Buffer.concat(all))],
    ] as const) {
      const pair = await connectTo(t, served);
      await send(pair);
      const answers = await pair.client.answered(all.length, ...all.map(() => 'GET'));
      const wanted = all.map((request) => (request.subarray(0, 4).toString() === 'POST' ? 201 : 200));
      t.same(answers.map(({ status }) => status), wanted, `${how}: ${all.map((request) => request.toString('latin1').slice(0, 14)).join(', ')}`);
      pair.client.destroy();
    }
  }
});

t.test('a refusal after a publish, and a publish after a refusal', async (t) => {
  const { service, waiting, published } = slowPublisher();
  const served = await serve(t, service);
  const pair = await connectTo(t, served);
  await sendApart(pair, PUBLISH, publish('two').subarray(0, 60), Buffer.concat([publish('two').subarray(60), requestBytes('POST', '/topics/a..b', {}, 'x'), Buffer.from('no HTTP\r\n\r\n')]));
  t.same(published, ['Hello'], 'what follows is not carried out before the answer');
  t.equal(pair.client.text, '');
  waiting[0]!();
  await turns('the second', () => waiting.length === 2);
  waiting[1]!();
  await pair.client.untilClosed();
  const answers = pair.client.answers('POST', 'POST', 'POST', 'GET');
  t.same(answers.map(({ status }) => status), [201, 201, 400, 400]);
  t.same(published, ['Hello', 'two']);
});

t.test('a request that is cut anywhere into two packets is the same request', async (t) => {
  const { service, store } = await openSpine(t);
  const served = await serve(t, service);
  const two = Buffer.concat([publish('first'), publish('second')]);
  for (let cut = 1; cut < two.length; cut++) {
    store.messages = [];
    const pair = await connectTo(t, served);
    await sendApart(pair, two.subarray(0, cut), two.subarray(cut));
    const answers = await pair.client.answered(2, 'POST', 'POST');
    const stored = store.messages.map(({ data }) => Buffer.from(data).toString());
    if (answers.some(({ status }) => status !== 201) || stored.join() !== 'first,second') t.fail(`cut at ${cut}: ${JSON.stringify(answers)}, stored ${stored.join()}`);
    pair.client.destroy();
  }
  for (let cut = 1; cut < STREAM.length; cut++) {
    const pair = await connectTo(t, served);
    await sendApart(pair, STREAM.subarray(0, cut), STREAM.subarray(cut));
    await pair.client.until(`cut at ${cut}: $open`, () => pair.client.text.includes('event: $open'));
    pair.client.destroy();
  }
  t.pass('at every byte');
});

t.test('a request that is cut anywhere, after a request that is under way, waits for it', async (t) => {
  const { service, waiting, published } = slowPublisher();
  const served = await serve(t, service);
  const second = publish('second');
  for (let cut = 1; cut < second.length; cut++) {
    published.length = waiting.length = 0;
    const pair = await connectTo(t, served);
    await sendApart(pair, publish('first'), second.subarray(0, cut));
    // Its answer leaves between the two pieces of the second request, or after both.
    if (cut % 2 === 0) {
      waiting[0]!();
      await pair.client.answered(1, 'POST');
      await sendApart(pair, second.subarray(cut));
    } else {
      await sendApart(pair, second.subarray(cut));
      waiting[0]!();
    }
    await turns(`cut at ${cut}: the second`, () => waiting.length === 2);
    waiting[1]!();
    const answers = await pair.client.answered(2, 'POST', 'POST');
    if (locations(answers).join() !== '/messages/abcdefgh-1,/messages/abcdefgh-2' || published.join() !== 'first,second') t.fail(`cut at ${cut}: ${JSON.stringify(answers)}, ${published.join()}`);
    pair.client.destroy();
  }
  t.pass('at every byte');
});

t.test('a stream after a publish on one connection begins after its answer', async (t) => {
  const { service, streams } = await openSpine(t);
  const served = await serve(t, service);
  for (const pieces of [[PUBLISH, STREAM], [PUBLISH, STREAM.subarray(0, 9), STREAM.subarray(9)], [Buffer.concat([PUBLISH, STREAM])], [PUBLISH, Buffer.concat([STREAM, PUBLISH, PUBLISH])]]) {
    const pair = await connectTo(t, served);
    await sendApart(pair, ...pieces);
    await pair.client.until('the stream', () => pair.client.text.includes('$open'));
    await exchange(t, served, publish('live'));
    await pair.client.until('the message', () => pair.client.text.includes('data: live'));
    t.match(pair.client.answers('POST', 'GET'), [{ status: 201 }, { status: 200, headers: { 'content-type': 'text/event-stream; charset=utf-8' } }]);
    pair.client.end();
    await pair.client.untilClosed();
    await turns('it is gone', () => streams.size === 0);
  }
});

t.test('a client that sends and closes its side gets its answer, and the end', async (t) => {
  const { service, waiting } = slowPublisher();
  const served = await serve(t, service);
  const { client, server } = await connectTo(t, served);
  client.send(PUBLISH);
  client.end();
  await turns('its end is seen', () => server.readableEnded);
  waiting[0]!();
  await client.untilClosed();
  t.match(client.answers('POST'), [{ status: 201, complete: true, headers: { connection: 'close', 'keep-alive': undefined } }]);
  t.equal(client.reset, false);

  const pipelined = await connectTo(t, served);
  await sendApart(pipelined, PUBLISH, publish('two'));
  pipelined.client.end();
  waiting[1]!();
  await turns('the second', () => waiting.length === 3);
  waiting[2]!();
  await pipelined.client.untilClosed();
  t.match(pipelined.client.answers('POST', 'POST'), [{ status: 201, headers: { connection: 'keep-alive' } }, { status: 201, headers: { connection: 'close' } }]);

  const silent = await connectTo(t, served);
  silent.client.end();
  await silent.client.untilClosed();
  t.equal(silent.client.text, '');
});

t.test('a client that leaves before its answer has still published', async (t) => {
  const { service, waiting, published } = slowPublisher();
  const served = await serve(t, service);
  const left: Socket[] = [];
  for (let count = 0; count < 20; count++) {
    const { client, server } = await connectTo(t, served);
    client.send(PUBLISH);
    await turns('it is under way', () => waiting.length === count + 1);
    const isAlone = count % 2 === 0;
    if (!isAlone) client.send(publish('second'));
    client.destroy();
    if (isAlone) await turns('its end is seen', () => server.readableEnded);
    left.push(server);
  }
  await turns('all are gone', () => {
    for (const answer of waiting.splice(0)) answer();
    return left.every(({ destroyed }) => destroyed);
  });
  t.ok(published.length >= 20);
  t.equal((await exchange(t, served, ODD)).status, 200);
});

const ADMITTED: Admission = { identity: EVERYBODY, headers: {}, member: undefined, outcome: { kind: 'served' }, clientAddress: () => '', holder: () => UNNAMED };

/** A server with nothing but the fast path before it, and limits that end within the test. */
async function bare(t: Scope, handler: FastPathHandler, limits: { firstRequestMs: number; keepAliveMs: number }): Promise<{ server: Server; port: number; sockets: Socket[] }> {
  const server = createServer((_request, response) => void response.end('ordinary')).on('clientError', answerClientError);
  new FastPathConnections({ server, find: () => handler, admit: () => ADMITTED, limits, parts: new Budget(Infinity), heads: new HeldHeads(server, new Budget(Infinity)) });
  const sockets: Socket[] = [];
  server.on('connection', (socket) => void sockets.push(socket));
  const port = await listening(server);
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return { server, port, sockets };
}

const LONG = 60_000;
const LARGE = 'x'.repeat(50_000);
const DONE = { status: 200, head: '', body: 'done' };
const answering: FastPathHandler = ({ connection }) => {
  connection.answer(DONE, false);
  return true;
};

t.test('a connection on which nothing is said is told so, and closed', async (t) => {
  const { port } = await bare(t, answering, { firstRequestMs: 100, keepAliveMs: LONG });
  const connection = await RawConnection.open(t, { port });
  await connection.untilClosed();
  t.match(connection.answers('GET'), [{ status: 408, complete: true, headers: { 'content-type': 'application/problem+json', connection: 'close' }, body: /"code":"request-timeout"/ }]);
});

t.test('a connection is kept a little longer than its client was told, and then closed without a word', async (t) => {
  const { port } = await bare(t, answering, { firstRequestMs: LONG, keepAliveMs: 1000 });
  const connection = await RawConnection.open(t, { port });
  const began = performance.now();
  connection.send(PUBLISH);
  await connection.answered(1, 'POST');
  await connection.untilClosed();
  t.ok(performance.now() - began >= 1500, `it was kept for ${performance.now() - began} ms`);
  t.match(connection.answers('POST'), [{ status: 200, headers: { connection: 'keep-alive', 'keep-alive': 'timeout=1' } }]);
});

t.test('a request that is under way is not cut off by the limits for connections', async (t) => {
  const taken: OpenConnection[] = [];
  const { port, sockets } = await bare(t, ({ connection }) => {
    taken.push(connection);
    return true;
  }, { firstRequestMs: LONG, keepAliveMs: LONG });
  const connection = await RawConnection.open(t, { port });
  connection.send(PUBLISH);
  await turns('it is under way', () => taken.length === 1);
  // The limit ends now, and not before the request is there.
  sockets[0]!.setTimeout(1);
  await new Promise<void>((resolve) => void sockets[0]!.once('timeout', resolve));
  taken[0]!.answer(DONE, false);
  t.match(await connection.answered(1, 'POST'), [{ status: 200, body: 'done' }]);
  connection.send(PUBLISH);
  await turns('it is there for another', () => taken.length === 2);
});

t.test('an error in what takes requests ends nothing: the request takes the ordinary path', async (t) => {
  const { port } = await bare(t, () => {
    throw new RangeError('of the inside');
  }, { firstRequestMs: LONG, keepAliveMs: LONG });
  t.match(await exchange(t, { port }, PUBLISH), { status: 200, body: 'ordinary' });
});

t.test('a client that does not take its answers is not read from', async (t) => {
  const { port, sockets } = await bare(t, ({ connection }) => {
    connection.answer({ ...DONE, body: LARGE }, false);
    return true;
  }, { firstRequestMs: LONG, keepAliveMs: LONG });
  const socket = connect(port, '127.0.0.1');
  t.teardown(() => socket.destroy());
  socket.on('error', () => undefined).pause();
  await turns('it is accepted', () => sockets.length === 1);
  const server = sockets[0]!;
  let held = 0;
  let sent = 0;
  // One by one, so that each is plain; more than the kernel takes.
  for (; sent < 400; sent++) {
    const read = server.bytesRead;
    socket.write(PUBLISH);
    await turns('it is read', () => server.bytesRead > read);
    held = Math.max(held, server.writableLength);
  }
  t.ok(held > 0 && held < 200_000, `${held} bytes were held for it`);
  let answers = 0;
  socket.setEncoding('latin1').on('data', (text: string) => void (answers += text.split('HTTP/1.1 200').length - 1));
  socket.resume();
  await turns('every request is answered', () => answers === sent, () => `${answers} of ${sent}`);
});

t.test('bytes sent on an open stream are thrown away', async (t) => {
  const { service, store } = await openSpine(t);
  const served = await serve(t, service);
  const { client, server } = await connectTo(t, served);
  client.send(STREAM);
  await client.until('it is open', () => client.text.includes('$open'));
  const before = server.bytesRead;
  let held = 0;
  const flood = Buffer.alloc(1_000_000, PUBLISH);
  for (let count = 0; count < 20; count++) {
    client.send(flood);
    await turns('it is read', () => {
      held = Math.max(held, server.readableLength);
      return server.bytesRead === before + (count + 1) * flood.length;
    });
  }
  t.ok(held < 200_000, `${held} bytes were held`);
  t.equal(store.messages.length, 0);
  await exchange(t, served, publish('live'));
  await client.until('the message', () => client.text.includes('data: live'));
});

t.test('bytes after a stream that is still being opened wait within bounds, and are thrown away', async (t) => {
  const { promise: start, resolve: begin } = Promise.withResolvers<Start>();
  const { service, store } = await openSpine(t);
  const real = service.starts;
  const served = await serve(t, { ...service, starts: { isReady: true, resolve: () => start } });
  const { client, server } = await connectTo(t, served);
  await sendApart({ client, server }, STREAM);
  const socket = connect(served.port, '127.0.0.1');
  t.teardown(() => socket.destroy());
  client.send(Buffer.alloc(20_000_000, PUBLISH));
  for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve));
  t.ok(server.bytesRead < 1_000_000, `${server.bytesRead} bytes were read`);
  begin(await real.resolve({ kind: 'now' }, { filter: new Filter(['a']), hasLeft: () => false }));
  await client.until('it is open', () => client.text.includes('$open'));
  await turns('all is read', () => server.bytesRead === STREAM.length + 20_000_000);
  t.equal(store.messages.length, 0);
  client.end();
  await client.untilClosed();
});

t.test('a client that leaves before its stream is open gets none, and nothing is left of it', async (t) => {
  const { promise: start, resolve: begin } = Promise.withResolvers<Start>();
  const { service, streams } = await openSpine(t);
  const real = service.starts;
  const served = await serve(t, { ...service, starts: { isReady: true, resolve: () => start } });
  const pairs: Pair[] = [];
  for (let count = 0; count < 10; count++) {
    const pair = await connectTo(t, served);
    await sendApart(pair, STREAM);
    if (count % 2 === 0) pair.client.end();
    else pair.client.destroy();
    await turns('its end is seen', () => pair.server.readableEnded || pair.server.destroyed);
    pairs.push(pair);
  }
  begin(await real.resolve({ kind: 'now' }, { filter: new Filter(['a']), hasLeft: () => false }));
  await turns('all are gone', () => pairs.every(({ server }) => server.destroyed));
  t.same(pairs.map(({ client }) => client.text), pairs.map(() => ''));
  t.same([streams.size, service.counters.opened], [0, 0]);
});

t.test('while the service drains, the answer that is due ends its connection, and the next request too', async (t) => {
  const { service, waiting } = slowPublisher();
  let draining = false;
  const served = await serve(t, Object.defineProperty({ ...service }, 'draining', { get: () => draining }));
  const [busy, idle] = [await connectTo(t, served), await connectTo(t, served)];
  await sendApart(idle, PUBLISH);
  await sendApart(busy, PUBLISH);
  waiting[0]!();
  await idle.client.answered(1, 'POST');
  draining = true;
  waiting[1]!();
  await busy.client.untilClosed();
  t.match(busy.client.answers('POST'), [{ status: 201, headers: { connection: 'close' } }]);
  idle.client.send(PUBLISH);
  await turns('it is taken', () => waiting.length === 3);
  waiting[2]!();
  await idle.client.untilClosed();
  t.match(idle.client.answers('POST', 'POST'), [{ headers: { connection: 'keep-alive' } }, { status: 201, headers: { connection: 'close' } }]);
});

t.test('the end of the service ends idle connections at once, and the others after their answers', async (t) => {
  const { service, waiting, published } = slowPublisher();
  const served = await serve(t, service);
  const [silent, idle, busy, pipelined] = [await connectTo(t, served), await connectTo(t, served), await connectTo(t, served), await connectTo(t, served)];
  await sendApart(idle, PUBLISH);
  waiting[0]!();
  await idle.client.answered(1, 'POST');
  await sendApart(busy, PUBLISH);
  await sendApart(pipelined, PUBLISH, publish('second'));
  const closed = served.app.close();
  await Promise.all([silent.client.untilClosed(), idle.client.untilClosed()]);
  t.same([silent.client.text, idle.client.reset, busy.client.closed, pipelined.client.closed], ['', false, false, false]);
  waiting[1]!();
  waiting[2]!();
  await closed;
  for (const { client } of [busy, pipelined]) {
    await client.untilClosed();
    t.match(client.answers('POST'), [{ status: 201, complete: true, headers: { connection: 'close' } }]);
  }
  t.same(published, ['Hello', 'Hello', 'Hello'], 'what follows the last answer is not carried out');
});

t.test('the end of the service does not wait for stuck connections', async (t) => {
  const never = new Promise<never>(() => undefined);
  const { service, waiting } = slowPublisher();
  const outlets: { destroySoon(): void }[] = [];
  let isFull = false;
  const served = await serve(t, { ...service, starts: { isReady: true, resolve: () => never }, streams: {
    hasRoomFor: () => !isFull, makeRoom: () => !isFull,
    open: () => {
      throw new Error('No stream is begun.');
    }, end: () => undefined, positionOf: () => ({ epoch: 'abcdefgh', seq: 0 }), changeFilter: () => ({ epoch: 'abcdefgh', seq: 0 }), drained: () => undefined, closed: () => undefined, refuse: (_options, outlet) => void outlets.push(outlet),
  } });
  const [busy, opening, refused, halfSent, ordinary] = [await connectTo(t, served), await connectTo(t, served), await connectTo(t, served), await connectTo(t, served), await connectTo(t, served)];
  await sendApart(busy, PUBLISH);
  await sendApart(opening, STREAM);
  isFull = true;
  // It would be closed a little later, by the streams; but those have ended before the server does.
  await sendApart(refused, STREAM);
  await sendApart(halfSent, PUBLISH.subarray(0, 20));
  await sendApart(ordinary, ODD, PUBLISH);
  await turns('both publishes are under way', () => waiting.length === 2);
  await turns('the stream is refused', () => outlets.length === 1);
  const closed = served.app.close();
  served.app.server.closeAllConnections();
  await closed;
  for (const { client } of [busy, opening, refused, halfSent, ordinary]) await client.untilClosed();
  for (const answer of waiting) answer();
  t.pass('it has ended');
});

t.test('nothing is carried out on a connection that is being closed', async (t) => {
  const requests: FastPathRequest[] = [];
  const { port, sockets, server } = await bare(t, (request) => {
    requests.push(request);
    return answering(request);
  }, { firstRequestMs: LONG, keepAliveMs: LONG });
  const connection = await RawConnection.open(t, { port });
  connection.send(PUBLISH);
  await connection.answered(1, 'POST');
  // The end of our side is written when the turn is over; what is read until then comes too late.
  server.closeIdleConnections();
  sockets[0]!.emit('data', PUBLISH);
  await connection.untilClosed();
  t.equal(requests.length, 1);
  t.equal(connection.answers('POST', 'POST').length, 1);
});

t.test('there are no more connections than there may be', async (t) => {
  const served = await serve(t, fakeService());
  served.app.server.maxConnections = 3;
  const open = [await connectTo(t, served), await connectTo(t, served), await connectTo(t, served)];
  const fourth = await RawConnection.open(t, served);
  await fourth.untilClosed();
  t.equal(fourth.text, '');
  open[0]!.client.destroy();
  await turns('there is room', () => open[0]!.server.destroyed);
  await sendApart(open[1]!, PUBLISH);
  await open[1]!.client.answered(1, 'POST');
  // One that was handed over counts once.
  await sendApart(open[2]!, ODD);
  await open[2]!.client.answered(1, 'GET');
  t.equal((await exchange(t, served, PUBLISH)).status, 201);
});

/** By a name of Node's own, which a test may know. */
function isParsedByNode(socket: Socket): boolean {
  return Boolean((socket as Socket & { readonly parser?: object | null }).parser);
}

t.test('a connection comes back to the fast path after an ordinary answer', async (t) => {
  const served = await serve(t, fakeService());
  const { client } = await connectTo(t, served);
  for (let count = 1; count <= 3; count++) {
    client.send(ODD);
    await client.answered(2 * count - 1, ...Array<string>(2 * count - 1).fill('POST'));
    await turns('it is back', () => !isParsedByNode(served.sockets[0]!));
    client.send(PUBLISH);
    await client.answered(2 * count, ...Array<string>(2 * count).fill('POST'));
    t.equal(served.ordinary(), count);
  }
  await served.app.close();
  await client.untilClosed();
});

t.test('a connection does not come back while the HTTP server has something of it', async (t) => {
  const { service, waiting } = slowPublisher();
  const served = await serve(t, service);
  const next = publish('next');
  const [front, rest] = [next.subarray(0, 20), next.subarray(20)];
  // What comes while an answer is due is read, but not taken; then the ordinary answer leaves, and then the rest comes.
  for (const { what, early, late, publishes } of [
    { what: 'a request', early: [next], late: [], publishes: 1 },
    { what: 'a request and a half', early: [next, front], late: [rest], publishes: 2 },
    { what: 'half a request', early: [front], late: [rest], publishes: 1 },
    { what: 'an empty line', early: [Buffer.from('\r\n')], late: [next], publishes: 1 },
  ]) {
    const pair = await connectTo(t, served);
    const before: number = waiting.length;
    await sendApart(pair, PUBLISH, ODD, ...early);
    waiting[before]!();
    await pair.client.answered(2, 'POST', 'GET');
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    for (const piece of late) pair.client.send(piece);
    for (let count = 1; count <= publishes; count++) {
      await turns(what, () => waiting.length > before + count);
      waiting[before + count]!();
    }
    const methods = Array<string>(2 + publishes).fill('POST');
    await pair.client.answered(methods.length, ...methods);
    t.same(pair.client.answers(...methods).map(({ status }) => status), [201, 200, ...Array<number>(publishes).fill(201)], what);
    pair.client.destroy();
  }
});

t.test('a request whose pieces come slowly is handed over, however few they are', async (t) => {
  const { service, waiting } = slowPublisher();
  const served = await serve(t, service);
  const pair = await connectTo(t, served);
  await sendApart(pair, PUBLISH.subarray(0, 10));
  const began = performance.now();
  // Each comes before the connection has been quiet for a second.
  for (let at = 10; at < 13; at++) {
    await new Promise((resolve) => setTimeout(resolve, 400));
    await sendApart(pair, PUBLISH.subarray(at, at + 1));
  }
  t.ok(performance.now() - began > 1_000);
  t.ok(isParsedByNode(served.sockets[0]!), 'the HTTP server has it');
  pair.client.send(PUBLISH.subarray(13));
  await turns('it is taken', () => waiting.length === 1);
  waiting[0]!();
  t.match(await pair.client.answered(1, 'POST'), [{ status: 201 }]);
  t.equal(served.ordinary(), 1);
});
