import { createServer, IncomingMessage, ServerResponse } from 'node:http';
import { connect, Socket, type AddressInfo } from 'node:net';
import { t } from 'tap';
import type { HistoryPage } from '../../../src/delivery/long-polls.ts';
import { buildApp } from '../../../src/http/app.ts';
import { takeOver } from '../../../src/http/sockets/takeover.ts';
import { OutgoingBytes } from '../../../src/http/output/outgoing-bytes.ts';
import { Message } from '../../../src/model/message.ts';
import { Budget } from '../../../src/runtime/sharing/budget.ts';
import { Counters } from '../../../src/runtime/counters.ts';
import { TestClock } from '../../support/clock.ts';
import { heldBytes } from '../../support/garbage.ts';
import { listening } from '../../support/listening.ts';
import { fakeService } from '../../support/service.ts';
import type { Scope } from '../../support/temp.ts';
import { until } from '../../support/until.ts';

/** Answers that their clients do not take. */

const MIB = 1024 * 1024;
const large = new Message('abcdefgh', 1, 0, 0, { topic: 'a', event: undefined, json: true, data: Buffer.alloc(8 * MIB, '1') });

/** A service each of whose pages is 8 MiB. */
async function serve(t: Scope) {
  let asked = 0;
  const page = (): Promise<HistoryPage> => {
    asked++;
    return Promise.resolve({ messages: [large], cursor: large.id, more: false, gap: undefined, clean: () => true });
  };
  const service = fakeService({ history: { page, message: () => Promise.resolve(large) } });
  const app = buildApp(service);
  t.teardown(() => app.close());
  await app.listen({ host: '127.0.0.1', port: 0 });
  t.teardown(() => app.server.closeAllConnections());
  const { port } = app.server.address() as AddressInfo;
  const read = async (): Promise<number> => {
    const answer = await fetch(`http://127.0.0.1:${port}/topics/a/messages`);
    await answer.arrayBuffer();
    return answer.status;
  };
  return { app, port, read, asked: () => asked, counters: service.counters };
}

/** A client that asks so many times at once and takes nothing of the answers. */
async function greedy(t: Scope, port: number, requests: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1').on('error', () => undefined);
  t.teardown(() => socket.destroy());
  socket.pause();
  await new Promise<void>((sent) => void socket.write('GET /topics/a/messages HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(requests), () => sent()));
  return socket;
}

t.test('answers that are not taken are held up to a bound, then refused', async (t) => {
  const { port, read, asked } = await serve(t);
  const before = heldBytes('arrayBuffers');
  const socket = await greedy(t, port, 100);
  await until('all were asked for', () => asked() === 100);
  // What nobody holds any more does not count; it is given back some time after the collection, by another thread.
  await until('160 MiB are held at most, for 800 MiB of answers', () => heldBytes('arrayBuffers') - before < 160 * MIB);
  socket.resume();
  let text = '';
  socket.setEncoding('latin1').on('data', (piece: string) => void (text += piece.match(/HTTP\/1.1 [0-9]{3}/g)?.join(' ') ?? ''));
  await until('it is told so, in its turn', () => text.includes('HTTP/1.1 503'));
  t.equal(await read(), 200);
});

t.test('answers that nobody takes keep nobody else out: the connection that holds most is cut', async (t) => {
  const { port, read, asked, counters } = await serve(t);
  const sockets = await Promise.all(Array.from({ length: 6 }, () => greedy(t, port, 4)));
  await until('all were asked for', () => asked() === 24);
  const closed = new Set<Socket>();
  for (const socket of sockets) socket.once('close', () => void closed.add(socket)).on('end', () => socket.destroy());
  for (let count = 0; count < 5; count++) t.equal(await read(), 200);
  t.ok(counters.evicted.answers > 0);
  for (const socket of sockets) socket.resume();
  await until('they hear of it', () => closed.size === counters.evicted.answers);
});

t.test('a client that takes nothing makes room where nobody holds more, and one that takes a little does not', async (t) => {
  const counters = new Counters();
  const clock = new TestClock();
  const outgoing = new OutgoingBytes(new Budget(128 * MIB, { gate: 'answers', counters, clock }));
  const sockets = Array.from({ length: 16 }, () => Object.assign(new Socket(), { _handle: { writeQueueSize: 8 * MIB, bytesWritten: 8 * MIB, close: () => undefined } }));
  const body = Buffer.alloc(8 * MIB);
  const admit = (socket: Socket): boolean => outgoing.admit(() => ({ socket, response: new ServerResponse(new IncomingMessage(socket)), holder: ['address', socket] }), body);
  for (const socket of sockets) t.ok(admit(socket));
  t.notOk(admit(new Socket()), 'nothing has stood for long');
  clock.spend(1_000);
  for (const { _handle: handle } of sockets.slice(0, 15)) handle.writeQueueSize -= 1000;
  t.ok(admit(new Socket()));
  t.same(sockets.map(({ destroyed }) => destroyed).indexOf(true), 15);
  t.equal(counters.evicted.answers, 1);
});

t.test('a client that leaves gives the room of all its answers back, also of those after the first', async (t) => {
  const { port, read, asked } = await serve(t);
  const socket = await greedy(t, port, 100);
  await until('all were asked for', () => asked() === 100);
  socket.destroy();
  await until('there is room', async () => await read() === 200);
  for (let count = 0; count < 20; count++) t.equal(await read(), 200, 'and not just for one');
});

t.test('a connection whose client has stopped taking its answer is closed after a while', async (t) => {
  const { app, port, asked } = await serve(t);
  t.ok(app.server.timeout > 50_000, 'a long poll is no standstill');
  app.server.timeout = 200;
  const began = performance.now();
  const socket = await greedy(t, port, 1);
  await until('it was asked for', () => asked() === 1);
  await until('the server has closed it', () => new Promise((resolve) => app.server.getConnections((_error, count) => resolve(count === 0))));
  t.ok(performance.now() - began >= 190, 'not at once');
  socket.destroy();
});

t.test('a stream is not: its connection may stand still', async (t) => {
  const taken = Promise.withResolvers<Socket>();
  const server = createServer((_request, response) => {
    response.writeHead(200);
    takeOver(response, taken.resolve);
  });
  server.timeout = 50_000;
  t.teardown(() => void server.close());
  t.teardown(() => server.closeAllConnections());
  const client = connect(await listening(server), '127.0.0.1', () => void client.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'));
  t.teardown(() => client.destroy());
  t.equal((await taken.promise).timeout, 0);
});
