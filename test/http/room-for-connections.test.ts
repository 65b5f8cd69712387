import { connect, type AddressInfo, type Socket } from 'node:net';
import t from 'tap';
import { closeQueues, openQueues } from '../../src/http/sockets/accept-queues.ts';
import { buildApp } from '../../src/http/app.ts';
import { requestBytes } from '../support/raw.ts';
import { fakeService } from '../support/service.ts';
import type { Scope } from '../support/temp.ts';
import { until } from '../support/until.ts';
import { openSpine } from './fast-path/spine.ts';
import { connectTo, serve as serveApp } from './fast-path/ways.ts';

const MAX_CONNECTIONS = 40;

async function serve(t: Scope, environment: Record<string, string> = {}) {
  const service = { ...fakeService({}, environment), maxConnections: MAX_CONNECTIONS };
  const app = buildApp(service);
  t.teardown(() => app.close());
  const listening = { host: '127.0.0.1', port: 0, reusePort: process.platform === 'linux' };
  await app.listen(listening);
  await openQueues(app.server, MAX_CONNECTIONS);
  t.teardown(() => closeQueues(app.server));
  t.teardown(() => app.server.closeAllConnections());
  const { port } = app.server.address() as AddressInfo;
  /** A connection from an address of its own on which a request has begun and does not go on. */
  const stall = async (localAddress: string): Promise<Socket> => {
    const socket = connect({ port, host: '127.0.0.1', localAddress }).on('error', () => undefined);
    t.teardown(() => socket.destroy());
    await new Promise<void>((resolve) => {
      socket.once('close', resolve).write(requestBytes('POST', '/topics/a', {}, 'xx').subarray(0, -1), () => resolve());
    });
    return socket;
  };
  const ask = async (localAddress: string): Promise<string> => {
    const socket = connect({ port, host: '127.0.0.1', localAddress }).on('error', () => undefined).setEncoding('latin1');
    t.teardown(() => socket.destroy());
    socket.write(requestBytes('GET', '/healthz'));
    return new Promise((resolve) => void socket.once('data', (text: string) => resolve(text.slice(9, 12))).once('close', () => resolve('closed')));
  };
  return { app, service, stall, ask };
}

/** @returns How many are open. */
const open = (sockets: readonly Socket[]): number => sockets.filter(({ destroyed, readableEnded }) => !destroyed && !readableEnded).length;

t.test('where all connections are in use, the address with most of them loses one to each newcomer from another', async (t) => {
  const { service, stall, ask } = await serve(t);
  const greedy: Socket[] = [];
  for (let count = 0; count < MAX_CONNECTIONS; count++) greedy.push((await stall('127.0.0.2')).resume());
  const others: Socket[] = [];
  for (let count = 0; count < 12; count++) others.push((await stall('127.0.0.3')).resume());
  await until('the greedy one has lost some', () => service.counters.evicted.connections >= 10);
  t.equal(await ask('127.0.0.4'), '200');
  t.equal(open(others), others.length);
  await until('it hears of it', () => open(greedy) <= MAX_CONNECTIONS - others.length);
});

t.test('where every address has one connection, none loses it to another', async (t) => {
  const { app, service, stall } = await serve(t);
  const accepted: Socket[] = [];
  app.server.on('connection', (socket: Socket) => void accepted.push(socket));
  const sockets: Socket[] = [];
  for (let count = 0; count < MAX_CONNECTIONS; count++) {
    sockets.push((await stall(`127.0.0.${2 + count}`)).resume());
    // Until then it may look idle.
    await until('its request has begun', () => (accepted[count]?.bytesRead ?? 0) > 0);
  }
  const late = (await stall('127.0.0.100')).resume();
  await until('there is no room for one more', () => late.destroyed || late.readableEnded);
  t.equal(open(sockets), MAX_CONNECTIONS);
  t.equal(service.counters.evicted.connections, 0);
});

t.test('the connections of a trusted proxy belong to many clients, and none is ended', async (t) => {
  const { service, stall } = await serve(t, { TRUST_PROXY: '127.0.0.2' });
  const proxied: Socket[] = [];
  for (let count = 0; count < MAX_CONNECTIONS - 3; count++) proxied.push((await stall('127.0.0.2')).resume());
  for (let count = 0; count < 3; count++) await stall('127.0.0.3');
  t.equal(open(proxied), proxied.length);
  t.equal(service.counters.evicted.connections, 0);
});

t.test('a stream takes none of the room of other connections, on whichever edge it was opened', async (t) => {
  for (const mode of ['on', 'off']) {
    const { service: whole, streams } = await openSpine(t, { HTTP_FAST_PATH: mode });
    const served = await serveApp(t, { ...whole, maxConnections: MAX_CONNECTIONS });
    for (let count = 0; count < MAX_CONNECTIONS - 8; count++) {
      const { client } = await connectTo(t, served);
      client.send(requestBytes('GET', '/topics/a/events'));
      await client.until('it is open', () => client.text.includes('$open'));
    }
    const others = await Promise.all(Array.from({ length: 6 }, async () => {
      const { client } = await connectTo(t, served);
      client.send(requestBytes('GET', '/healthz'));
      return (await client.answered(1, 'GET'))[0]?.status;
    }));
    t.same(others, Array(6).fill(200), mode);
    t.equal(streams.size, MAX_CONNECTIONS - 8);
    t.equal(whole.counters.evicted.connections, 0);
  }
});
