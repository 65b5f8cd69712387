import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { t, type Test } from 'tap';
import { RULES } from '../../src/http/admission/admission.ts';
import type { Rule } from '../../src/http/admission/rule.ts';
import { Problem } from '../../src/model/problem.ts';
import { collectGarbage } from '../support/garbage.ts';
import { openSocket, type Frame, type SocketClient } from '../support/web-socket.ts';
import { openSpine, type Spine } from './fast-path/spine.ts';
import { serve, turns, type Served } from './fast-path/ways.ts';

/** WebSockets on the real service, in this process: what a client can make it hold, and what is left of one. */

interface Opened extends Served {
  readonly spine: Spine;
  readonly open: (path?: string) => Promise<SocketClient>;
}

async function opened(t: Test, rules: readonly Rule[] = RULES, environment: Readonly<Record<string, string>> = {}): Promise<Opened> {
  const spine = await openSpine(t, environment);
  const served = await serve(t, spine.service, { rules });
  return { ...served, spine, open: (path = '/topics/a/events') => openSocket(t, `http://127.0.0.1:${served.port}${path}`) };
}

/** RFC 6455, section 5.5: a control frame holds no more. */
const PING_BYTES = 125;

const codeOf = ({ event, data }: Frame): string => `${event} ${(data as { code?: string }).code}`;

t.test('a rule that refuses requests other than GET refuses a frame\'s request, too', async (t) => {
  const asked: string[] = [];
  const rule: Rule = ({ method, url, headers }) => {
    asked.push(`${method} ${url} ${headers.host !== undefined}`);
    return method === 'GET' ? undefined : new Problem('forbidden', 'Nobody may do anything.');
  };
  const { open, spine } = await opened(t, [rule, ...RULES]);
  const socket = await open();
  for (const frame of [{ publish: 'a/é', data: 1 }, { add: ['b'] }]) t.equal(codeOf(await socket.ask(frame)), '$error forbidden');
  t.same(asked, ['GET /topics/a/events true', 'POST /topics/a%2F%C3%A9 true', 'PATCH /streams/this true']);
  t.equal(spine.store.messages.length, 0);
});

t.test('the received bytes of frames count, and the largest holder gives way', async (t) => {
  const { open, sockets } = await opened(t, RULES, { REQUEST_BYTES: '256KiB', BATCH_BYTES: '192KiB', MESSAGE_BYTES: '192KiB' });
  const [large, small, whole] = [await open(), await open(), await open()];
  const piece = 'x'.repeat(60 * 1024);
  const received = sockets.map((socket) => socket.bytesRead);
  /** Sends a fragment, and waits until the service has it. */
  const send = async (client: SocketClient, index: number): Promise<void> => {
    client.webSocket.send(piece, { fin: false });
    client.webSocket.ping('between');
    received[index]! += piece.length;
    await turns('it has arrived', () => sockets[index]!.destroyed || sockets[index]!.bytesRead >= received[index]!);
  };
  await send(small, 1);
  for (let count = 0; count < 5 && large.closed === undefined; count++) await send(large, 0);
  t.match(await large.end(), { code: 1013, reason: /^overloaded/ });
  t.equal(small.closed, undefined);
  for (let count = 0; count < 10; count++) t.equal((await whole.ask({ publish: 'a', data: piece })).event, '$answer', 'a frame that is whole holds nothing');
});

t.test('frames are no heads: what a client sends after its handshake does not count as one', async (t) => {
  for (const mode of ['on', 'off']) {
    const { open, spine, sockets } = await opened(t, RULES, { REQUEST_BYTES: '256KiB', BATCH_BYTES: '192KiB', MESSAGE_BYTES: '192KiB', HTTP_FAST_PATH: mode });
    const socket = await open();
    const data = '\n'.repeat(20_000);
    for (let count = 0; count < 20; count++) t.equal((await socket.ask({ publish: 'a', text: data })).event, '$answer');
    t.same([socket.closed, sockets[0]!.destroyed, spine.service.counters.evicted.bodies], [undefined, false, 0], `fast path ${mode}`);
  }
});

t.test('a client that sends pings and takes no pongs makes nothing queue', async (t) => {
  const { open, sockets } = await opened(t);
  const socket = await open();
  const pong = once(socket.webSocket, 'pong');
  socket.webSocket.ping('once');
  await pong;
  const [server] = sockets;
  socket.webSocket.pause();
  let largest = 0;
  const before = server!.bytesRead;
  const pings = 40_000;
  for (let count = 0; count < pings; count++) {
    socket.webSocket.ping('x'.repeat(PING_BYTES));
    if (count % 500 !== 0) continue;
    await turns('the service reads them', () => server!.bytesRead - before >= count * PING_BYTES || server!.destroyed);
    largest = Math.max(largest, server!.writableLength);
  }
  t.ok(largest < 128 * 1024, `${largest} bytes waited at most, of ${pings * PING_BYTES}`);
  t.equal(server!.destroyed, false);
});

t.test('nothing follows a close frame, and nothing of the connection is left', async (t) => {
  const { open, spine, app, sockets } = await opened(t);
  const requests: WeakRef<object>[] = [];
  app.server.on('upgrade', (request: IncomingMessage) => void requests.push(new WeakRef(request)));
  const clients = await Promise.all(Array.from({ length: 20 }, () => open()));
  await turns('an open one keeps nothing of its handshake', () => {
    collectGarbage();
    return requests.every((request) => request.deref() === undefined);
  });
  const late: unknown[] = [];
  for (const socket of sockets) socket.on('error', ({ code }: NodeJS.ErrnoException) => code === 'ERR_STREAM_WRITE_AFTER_END' && late.push(code));
  // The message is stored when the close frame has been read.
  clients[0]!.send({ publish: 'a', data: 'last words' });
  clients[0]!.webSocket.close(1000, 'enough');
  clients[1]!.webSocket.close();
  clients[2]!.webSocket.terminate();
  // While they leave, messages come.
  for (let count = 0; count < 50; count++) {
    await clients[3]!.ask({ publish: 'a', data: count });
    if (clients.slice(0, 3).every(({ closed }) => closed !== undefined) && count > 5) break;
  }
  t.same([await clients[0]!.end(), (await clients[1]!.end()).code], [{ code: 1000, reason: 'enough' }, 1005]);
  for (const client of clients.slice(3)) client.webSocket.close();
  t.same(late, []);
  const { counters } = spine.service;
  await turns('all have left', () => counters.sockets.closed === 20);
  t.same([spine.streams.size, counters.opened, counters.closed], [0, 20, 20]);
});
