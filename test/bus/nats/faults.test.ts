import { createServer, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { systemClock, type Clock } from '../../../src/runtime/clock.ts';
import { takeConsole } from '../../../src/runtime/console-lines.ts';
import { Ear, message } from '../../contract/bus.ts';
import { bothAre, busOf, busPair, flows, leftBeside, loggedOnce, openBus, openResources } from '../../support/bus.ts';
import { heldBytes } from '../../support/garbage.ts';
import { Link } from '../../support/link.ts';
import { listening } from '../../support/listening.ts';
import { quietLogger, recordingLogger } from '../../support/logger.ts';
import { startNats } from '../../support/nats.ts';
import { freePort } from '../../support/ports.ts';
import { until } from '../../support/until.ts';

/** The faults of the bus on Redis, on NATS. */

const MIB = 1024 * 1024;
/** The bound that the bus promises, under the same name there. */
const UNCONFIRMED_MAX_BYTES = 8 * MIB;
const LOG_ID = 'log-faults';

const { logger } = recordingLogger();

t.jobs = 2;

t.test('NATS goes and comes back: it tries for ever, says so once each, and looks at the log', async (t) => {
  const nats = await startNats(t);
  const { bus, other, otherEar: ear, lines } = await busPair(t, nats.url, LOG_ID);
  await nats.stop();
  await bothAre({ bus, other }, 'degraded');
  bus.publish([message(1)]);
  let attempts = 0;
  const impostor = createServer((socket) => {
    attempts += 1;
    socket.on('error', () => undefined).destroy();
  });
  await listening(impostor, nats.port);
  await until('it was tried often', () => attempts >= 10);
  t.equal(bus.state, 'degraded');
  await new Promise((resolve) => impostor.close(resolve));
  const { wakes } = ear;
  await nats.start();
  await bothAre({ bus, other }, 'up');
  t.ok(ear.wakes > wakes);
  await flows(bus, ear);
  t.notOk(ear.seqs.includes(1), 'what was published meanwhile was dropped');
  loggedOnce(t, lines, 1);
});

t.test('NATS away at first: joining returns, and the bus finds NATS once it is there', async (t) => {
  const nats = await startNats(t);
  await nats.stop();
  const { bus, ear, lines } = openBus(t, nats.url, LOG_ID);
  t.equal(bus.state, 'degraded');
  bus.publish([message(1)]);
  await until('it is logged', () => lines.length > 0);
  await nats.start();
  await until('it is up', () => bus.state === 'up');
  t.equal(ear.wakes, 1);
  t.match(lines, [/is degraded/, /is up/]);
});

t.test('cut connections are made again, and it looks at the log', async (t) => {
  const nats = await startNats(t);
  const link = await Link.start(t, nats.port);
  const { bus, other, otherEar: ear } = await busPair(t, link.url.replace('http', 'nats'), LOG_ID);
  for (const round of [1, 2, 3]) {
    const { wakes } = ear;
    link.reset();
    await until('it was woken', () => ear.wakes > wakes && bus.state === 'up' && other.state === 'up');
    bus.publish([message(round)]);
    await ear.hears(round);
  }
  t.same(ear.seqs, [1, 2, 3]);
});

t.test('frozen for long, its connections are given up; when it goes on, messages flow', async (t) => {
  const nats = await startNats(t);
  const { bus, other, otherEar: ear } = await busPair(t, nats.url, LOG_ID);
  process.kill(nats.pid, 'SIGSTOP');
  t.teardown(() => nats.stop());
  bus.publish([message(1)]);
  await bothAre({ bus, other }, 'degraded');
  process.kill(nats.pid, 'SIGCONT');
  await bothAre({ bus, other }, 'up');
  await flows(bus, ear);
  t.pass('they do');
});

t.test('a NATS that takes nothing holds a bounded memory', async (t) => {
  const nats = await startNats(t);
  const link = await Link.start(t, nats.port);
  const { bus } = await busPair(t, link.url.replace('http', 'nats'), LOG_ID);
  const before = heldBytes('arrayBuffers');
  link.silence(true);
  const data = Buffer.alloc(100_000, 'x');
  for (let seq = 1; seq <= 1_000; seq++) bus.publish([message(seq, data)]);
  const held = heldBytes('arrayBuffers') - before;
  // What is unconfirmed is in the client's buffers, and in those of the socket that the link does not read.
  t.ok(held < 3 * UNCONFIRMED_MAX_BYTES, `${held} bytes are held of ${1_000 * data.length}`);
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

t.test('a server that takes each connection and drops it is met less and less often', async (t) => {
  const waits: number[] = [];
  const clock: Clock = { ...systemClock, after: (ms, task) => {
    waits.push(ms);
    return systemClock.after(0, task);
  } };
  const { url } = await impostorOf(t, INFO, () => true, (socket, pings) => void (pings === 2 && socket.end()));
  const bus = busOf({ url, clock, logger });
  t.teardown(() => bus.close());
  bus.join(LOG_ID, new Ear());
  await until('it has tried often', () => waits.length >= 8);
  // Half of a wait is chance.
  t.ok(waits[7]! > waits[0]!, waits.join(' '));
  t.ok(waits[7]! >= 2_500, waits.join(' '));
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

t.test('closed, it leaves nothing behind', async (t) => {
  const nats = await startNats(t);
  const before = openResources();
  const bus = busOf({ url: nats.url, logger });
  bus.join(LOG_ID, new Ear());
  await until('it is up', () => bus.state === 'up');
  bus.tell('note', 'nobody', () => undefined);
  await bus.close();
  t.equal(await leftBeside(before), '');
});
