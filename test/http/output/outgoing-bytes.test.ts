import { createServer } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { t } from 'tap';
import type { HistoryPage } from '../../../src/delivery/long-polls.ts';
import { buildApp } from '../../../src/http/app.ts';
import { takeOver } from '../../../src/http/takeover.ts';
import { Message } from '../../../src/model/message.ts';
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
    return Promise.resolve({ messages: [large], cursor: large.id, more: false, gap: undefined });
  };
  const app = buildApp(fakeService({ history: { page, message: () => Promise.resolve(large) } }));
  t.teardown(() => app.close());
  await app.listen({ host: '127.0.0.1', port: 0 });
  t.teardown(() => app.server.closeAllConnections());
  const { port } = app.server.address() as AddressInfo;
  const read = async (): Promise<number> => {
    const answer = await fetch(`http://127.0.0.1:${port}/topics/a/messages`);
    await answer.arrayBuffer();
    return answer.status;
  };
  return { app, port, read, asked: () => asked };
}

/** A client that asks so many times at once and takes nothing of the answers. */
async function greedy(t: Scope, port: number, requests: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1').on('error', () => undefined);
  t.teardown(() => socket.destroy());
  socket.pause();
  await new Promise<void>((sent) => void socket.write('GET /topics/a/messages HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(requests), () => sent()));
  return socket;
}

t.test('answers that are not taken are held up to a bound, then refused; who takes them has room again', async (t) => {
  const { port, read, asked } = await serve(t);
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const before = process.memoryUsage().arrayBuffers;
  const socket = await greedy(t, port, 100);
  await until('all were asked for', () => asked() === 100);
  // What nobody holds any more does not count; it is given back some time after the collection, by another thread.
  await until('160 MiB are held at most, for 800 MiB of answers', () => {
    collect();
    return process.memoryUsage().arrayBuffers - before < 160 * MIB;
  });
  t.equal(await read(), 503, 'there is no room for others, and they hear so');

  socket.resume();
  await until('the client has taken them', async () => await read() === 200);
});

t.test('a client that leaves gives the room of all its answers back, also of those after the first', async (t) => {
  const { port, read, asked } = await serve(t);
  const socket = await greedy(t, port, 100);
  await until('all were asked for', () => asked() === 100);
  t.equal(await read(), 503);
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
