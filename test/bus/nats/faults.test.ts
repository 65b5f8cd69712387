import { createServer, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { systemClock } from '../../../src/runtime/clock.ts';
import { takeConsole } from '../../../src/runtime/logging/console-lines.ts';
import { Ear, message } from '../../contract/bus.ts';
import { busFaults } from '../../contract/bus-faults.ts';
import { busOf, openBus } from '../../support/bus.ts';
import { Link } from '../../support/link.ts';
import { listening } from '../../support/listening.ts';
import { quietLogger, recordingLogger } from '../../support/logger.ts';
import { startNats } from '../../support/nats.ts';
import { freePort } from '../../support/ports.ts';
import { until } from '../../support/until.ts';

const LOG_ID = 'log-faults';

busFaults(async (t) => {
  const nats = await startNats(t);
  const link = await Link.start(t, nats.port);
  return { url: link.url.replace('http', 'nats'), link, restore: () => link.lead(nats.port), pid: nats.pid };
});

t.test('garbage in the place of NATS: it goes on trying, and finds the real one', async (t) => {
  const port = await freePort();
  const greetings = ['HTTP/1.1 400 Bad Request\r\n\r\n', 'INFO {}\r\n', 'INFO not json\r\n', '\0\0\0\0\r\n', 'INFO {"max_payload":1048576,"version":"2.9.0"}\r\nMSG\r\nMSG x\r\n+OK\r\n-ERR \'Nonsense\'\r\n'];
  let connections = 0;
  const sockets = new Set<Socket>();
  const impostor = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).end(greetings[connections++ % greetings.length]!);
  });
  await listening(impostor, port);
  const { bus, lines } = openBus(t, `nats://127.0.0.1:${port}`, LOG_ID);
  await until('all was tried', () => connections > greetings.length);
  t.equal(bus.state, 'degraded');
  t.equal(lines.length, 1);
  for (const socket of sockets) socket.destroy();
  await new Promise((resolve) => impostor.close(resolve));
  await bus.close();
});

/** A server that greets as NATS does, and answers as long as `mayAnswer` says so. */
async function impostorOf(t: Test, info: string, mayAnswer: (pings: number) => boolean, connected: (socket: Socket, pings: number) => void): Promise<{ readonly url: string; readonly sockets: Set<Socket> }> {
  const sockets = new Set<Socket>();
  const impostor = createServer((socket) => {
    sockets.add(socket);
    let pings = 0;
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket)).write(`INFO ${info}\r\n`);
    socket.on('data', (data) => {
      for (const _ of data.toString().matchAll(/PING\r\n/g)) {
        if (mayAnswer(++pings)) socket.write('PONG\r\n');
        connected(socket, pings);
      }
    });
  });
  const port = await freePort();
  await listening(impostor, port);
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    impostor.close();
  });
  return { url: `nats://127.0.0.1:${port}`, sockets };
}

const INFO = '{"max_payload":1048576,"version":"2.9.10","proto":1}';

t.test('garbage after the handshake: the client\'s lines about it come through the logger, few and short', async (t) => {
  const { logger, lines } = recordingLogger();
  const methods = { ...console };
  t.teardown(() => Object.assign(console, methods));
  const written: unknown[] = [];
  Object.assign(console, { log: (...parts: unknown[]) => void written.push(parts) });
  takeConsole(console, logger);
  let rounds = 0;
  const { url } = await impostorOf(t, INFO, () => true, (socket, pings) => {
    if (pings === 2) socket.end(`${String(++rounds).padEnd(30_000, 'x')}\r\n`);
  });
  const bus = busOf({ url, logger: quietLogger, clock: { ...systemClock, after: (_, task) => systemClock.after(0, task) } });
  t.teardown(() => bus.close());
  bus.join(LOG_ID, new Ear());
  await until('it was tried often', () => rounds >= 20);
  t.same(written, []);
  t.ok(lines.length >= 1 && lines.length <= 10, `${lines.length} lines`);
  for (const line of lines) t.ok(line.length < 500 && JSON.parse(line).msg === 'a library wrote to the console', line.slice(0, 500));
});

t.test('closed while its subscriptions do not hold yet, it leaves no connection', async (t) => {
  let isOpening = false;
  // The PING behind the subscriptions is the second one.
  const { url, sockets } = await impostorOf(t, INFO, (pings) => pings !== 2, (socket, pings) => {
    isOpening ||= pings === 2;
    // The client asks whether it still lives: the answer comes, and so does the late one.
    if (pings === 3) socket.write('PONG\r\n');
  });
  const { bus } = openBus(t, url, LOG_ID);
  await until('it has subscribed', () => isOpening);
  await bus.close();
  await until('the connection is gone', () => sockets.size === 0);
  t.equal(bus.state, 'degraded');
});

t.test('a connection that is lost before its subscriptions hold is made again', async (t) => {
  let drops = 0;
  const { url } = await impostorOf(t, INFO, (pings) => pings === 1 || drops >= 2, (socket, pings) => {
    if (pings !== 2 || drops >= 2) return;
    drops++;
    socket.destroy();
  });
  const { bus, lines } = openBus(t, url, LOG_ID);
  await until('it is up', () => bus.state === 'up');
  t.equal(drops, 2);
  t.match(lines, [/is degraded/, /is up/]);
});

t.test('a server that tells nonsense of itself does not make publishing throw', async (t) => {
  const { url } = await impostorOf(t, INFO.replace('1048576', 'null'), () => true, () => undefined);
  const { bus } = openBus(t, url, LOG_ID);
  await until('it is up', () => bus.state === 'up');
  bus.publish([message(1)]);
  bus.wake();
  bus.tell('note');
  t.pass('nothing was thrown');
});
