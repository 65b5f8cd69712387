import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { connect } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import t from 'tap';
import { closeQueues, countConnections, openQueues, sharedPort } from '../../src/http/sockets/accept-queues.ts';
import { listening } from '../support/listening.ts';
import { freePort } from '../support/ports.ts';
import { until } from '../support/until.ts';

const CONNECTIONS = 256;

/** Connects so often, keeps everything open until the last connection is, and ends. */
const CLIENT = `
  const { connect } = require('node:net');
  const [port, count] = process.argv.slice(1).map(Number);
  let left = count;
  for (let index = 0; index < count; index++) connect(port, '127.0.0.1', () => --left === 0 && process.exit(0));
`;

const onLinux = process.platform === 'linux' ? {} : { skip: 'only Linux shares connections out' };

async function serve(port: number): Promise<Server> {
  const server = createServer();
  server.listen({ ...await sharedPort('127.0.0.1', port), backlog: CONNECTIONS });
  await once(server, 'listening');
  await openQueues(server, CONNECTIONS);
  return server;
}

t.test('connections that came during a long turn are accepted many in each of the next turns', onLinux, async (t) => {
  const port = await freePort();
  const server = await serve(port);
  let accepted = 0;
  server.on('connection', () => void accepted++);
  // The kernel completes the handshakes, while this turn goes on.
  t.equal(spawnSync(process.execPath, ['-e', CLIENT, String(port), String(CONNECTIONS)], { env: {} }).status, 0);
  let turns = 0;
  for (; accepted < CONNECTIONS; turns++) await nextTurn();
  t.ok(turns < CONNECTIONS / 4, `${CONNECTIONS} connections took ${turns} turns`);
  server.close();
  server.closeAllConnections();
  await closeQueues(server);
});

t.test('connections are counted over all queues, and none is accepted once the queues are closed', onLinux, async (t) => {
  const port = await freePort();
  const server = await serve(port);
  const clients = Array.from({ length: 40 }, () => connect(port, '127.0.0.1').on('error', () => undefined));
  const count = (): Promise<number> => new Promise((resolve) => countConnections(server, resolve));
  await until('all are accepted', async () => await count() === clients.length);
  for (const client of clients) client.destroy();
  await until('all have ended', async () => await count() === 0);
  server.close();
  await closeQueues(server);
  const [error] = await once(connect(port, '127.0.0.1'), 'error') as [NodeJS.ErrnoException];
  t.equal(error.code, 'ECONNREFUSED');
});

t.test('a port that another program listens on is not shared with it', onLinux, async (t) => {
  const alone = createServer();
  const shared = await serve(0);
  t.teardown(() => alone.close());
  t.teardown(() => closeQueues(shared));
  t.teardown(() => shared.close());
  const sharedAt = shared.address();
  if (typeof sharedAt !== 'object' || sharedAt === null) throw new Error('It does not listen on a port.');
  for (const port of [await listening(alone), sharedAt.port]) await t.rejects(sharedPort('127.0.0.1', port), { code: 'EADDRINUSE' });
});
