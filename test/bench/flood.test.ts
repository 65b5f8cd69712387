import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import type { Duplex } from 'node:stream';
import t from 'tap';
import { Load } from '../../bench/load/load.ts';
import { listening } from '../support/listening.ts';
import { FaultyServer } from './faulty-server.ts';

/** After so much silence, what is missing is lost: longer than a busy machine keeps anybody waiting. */
const QUIET_MS = 1500;

const load = await Load.start({ processes: 2 });
t.teardown(() => load.stop());
t.afterEach(() => load.close());

t.test('a flood sends on each connection after the last answer, and counts accepted messages', async (t) => {
  const server = await FaultyServer.start(t, { status: (before) => (before % 10 === 9 ? 429 : 201) });
  await load.open({ ...server.target, streams: { count: 3, topics: 'a.{i%2}' } });
  const flooded = await load.flood({ ...server.target, connections: 5, seconds: 0.3, bytes: 80, topics: { name: 'a.{i}', count: 2 }, key: true, quietMs: QUIET_MS });
  const { requests, messages } = server;
  t.equal(flooded.accepted, messages.length);
  t.equal(flooded.accepted + flooded.refused, requests.length);
  t.same(flooded.reasons, { 'status 429': flooded.refused });
  t.equal(new Set(requests.map(({ socket }) => socket)).size, 5);
  t.equal(new Set(requests.map(({ key }) => key)).size, requests.length, 'each with a key of its own');
  t.equal(new Set(requests.map(({ body }) => body)).size, requests.length, 'no two messages are the same');
  t.ok(requests.every(({ body }) => body.length === 80));
  t.equal(flooded.answer.count, requests.length);
  t.ok(flooded.perSecond > 0 && flooded.busy > 0);
  const wanted = messages.filter(({ topic }) => topic === 'a.0').length * 2 + messages.filter(({ topic }) => topic === 'a.1').length;
  t.match(flooded.delivery, { expected: wanted, delivered: wanted, lost: 0, doubled: 0, reordered: 0, unasked: 0 }, 'streams that are open get it');
});

t.test('a flood of batches counts messages', async (t) => {
  const server = await FaultyServer.start(t);
  const flooded = await load.flood({ ...server.target, connections: 2, seconds: 0.2, bytes: 50, batch: 7, topics: { name: 'a', count: 1 } });
  t.equal(flooded.accepted, 7 * server.requests.length);
  t.equal(server.messages.length, flooded.accepted);
  t.equal(new Set(server.messages.map(({ data }) => data)).size, flooded.accepted);
  t.equal(flooded.answer.count, server.requests.length);
  t.notOk('delivery' in flooded);
});

t.test('an open-loop publish of batches reaches every stream', async (t) => {
  const server = await FaultyServer.start(t);
  await load.open({ ...server.target, streams: { count: 3, topics: 'a' } });
  const delivered = await load.publish({ ...server.target, rate: 500, seconds: 0.2, bytes: 50, batch: 10, topics: { name: 'a', count: 1 }, quietMs: QUIET_MS });
  t.match(delivered, { scheduled: 100, accepted: 100, expected: 300, delivered: 300, lost: 0, doubled: 0, reordered: 0 });
  t.equal(server.requests.length, 10);
});

t.test('with fewer connections than topics, each topic keeps to one of them', async (t) => {
  const server = await FaultyServer.start(t);
  await load.publish({ ...server.target, rate: 500, seconds: 0.1, bytes: 50, topics: { name: 'a.{i}', count: 3 }, connections: 2 });
  const sockets = (topic: number): Set<unknown> => new Set(server.requests.filter(({ path }) => path === `/topics/a.${topic}`).map(({ socket }) => socket));
  t.same([0, 1, 2].map((topic) => sockets(topic).size), [1, 1, 1]);
  t.equal(new Set(server.requests.map(({ socket }) => socket)).size, 2);
});

t.test('old messages are read, and their faults found', async (t) => {
  const cases = [
    { title: 'nothing', wrong: {}, faults: {} },
    { title: 'one is missing', wrong: { 500: [] }, faults: { lost: 4 } },
    { title: 'one comes twice', wrong: { 500: [500, 500] }, faults: { doubled: 4 } },
    { title: 'one comes again', wrong: { 500: [500, 400] }, faults: { doubled: 4 } },
    { title: 'two change places', wrong: { 500: [501], 501: [500] }, faults: { reordered: 4 } },
  ] satisfies { title: string; wrong: Record<number, number[]>; faults: object }[];
  for (const { title, wrong, faults } of cases) {
    await t.test(title, async (t) => {
      const server = await FaultyServer.start(t, {
        deliver(stream, message) {
          for (const seq of (wrong as Record<number, number[]>)[message.seq] ?? [message.seq]) stream.write({ ...message, seq });
        },
      });
      for (let seq = 1; seq <= 1000; seq++) server.messages.push({ seq, topic: 'a', data: JSON.stringify(`line ${seq}`) });
      const result = await load.read({ ...server.target, count: 4, topics: 'a', after: 'start', expected: 1000, contiguous: true, quietMs: QUIET_MS });
      t.match(result, { failed: 0, events: 4000 - ('lost' in faults ? 4 : 0), lost: 0, doubled: 0, reordered: 0, gaps: 0, first: { count: 4 }, ...faults });
      t.equal(result.caughtUp.count, 'lost' in faults ? 0 : 4);
    });
  }
});

t.test('streams that cannot be opened are counted by their reasons', async (t) => {
  const server = await FaultyServer.start(t, { isBusy: (before) => before < 3 });
  const opened = await load.open({ ...server.target, streams: { count: 10, topics: 'a' }, rate: 500 });
  t.match(opened, { open: 7, failed: 3, reasons: { busy: 3 } });
  t.ok(opened.seconds >= 9 / 500 / 2, 'not faster than the rate');
  const { ports } = server.target;
  server.stop();
  t.match(await load.open({ wire: 'tidings', ports, streams: { count: 4, topics: 'a' } }), { failed: 4, reasons: { ECONNREFUSED: 4 } });
});

t.test('a load that is warmed first is as new', async (t) => {
  const server = await FaultyServer.start(t);
  const warmed = await Load.start({ warm: true });
  t.teardown(() => warmed.stop());
  t.same(await warmed.streams(), { open: 0, away: 0 });
  t.match(await warmed.open({ ...server.target, streams: { count: 5, topics: 'a' } }), { open: 5, failed: 0 });
  t.match(await warmed.publish({ ...server.target, rate: 100, seconds: 0.1, bytes: 50, topics: { name: 'a', count: 1 } }), { expected: 50, delivered: 50, lost: 0, doubled: 0, ended: 0 });
});

t.test('Socket.IO: a stream joins its topic, answers pings, and gets its messages', async (t) => {
  const rooms = new Map<string, Set<Duplex>>();
  let pongs = 0;
  const say = (socket: Duplex, words: string): void => {
    const payload = Buffer.from(words);
    socket.write(Buffer.concat([Buffer.of(0x81, payload.length), payload]));
  };
  const server = createServer((request, response) => void (async () => {
    const data = await text(request);
    for (const socket of rooms.get(request.url!.split('/')[2]!) ?? []) {
      say(socket, `42${JSON.stringify(['message', data])}`);
      say(socket, '2');
    }
    response.writeHead(201).end();
  })());
  const sockets = new Set<Duplex>();
  server.on('upgrade', (request: IncomingMessage, socket: Duplex) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    const accept = createHash('sha1').update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
    say(socket, '0{"sid":"x","pingInterval":25000,"pingTimeout":20000}');
    let held = Buffer.alloc(0);
    socket.on('data', (bytes: Buffer) => {
      held = Buffer.concat([held, bytes]);
      for (let length = held[1]! & 127; held.length >= 6 + length; length = held[1]! & 127) {
        const mask = held.subarray(2, 6);
        const words = Buffer.from(held.subarray(6, 6 + length).map((byte, index) => byte ^ mask[index % 4]!)).toString();
        held = held.subarray(6 + length);
        if (words === '40') say(socket, '40{"sid":"y"}');
        else if (words === '3') pongs++;
        else {
          const topic = (JSON.parse(/^420(\[.*\])$/.exec(words)![1]!) as [string, string])[1];
          rooms.set(topic, (rooms.get(topic) ?? new Set()).add(socket));
          say(socket, '430[]');
        }
        if (held.length < 2) break;
      }
    });
  });
  const port = await listening(server);
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
    server.closeAllConnections();
  });
  const target = { wire: 'socket.io', ports: [port] } as const;
  t.match(await load.open({ ...target, streams: { count: 6, topics: 'a.{i%2}' } }), { open: 6, failed: 0 });
  const delivered = await load.publish({ ...target, rate: 200, seconds: 0.2, bytes: 60, topics: { name: 'a.{i}', count: 2 }, quietMs: QUIET_MS });
  t.match(delivered, { accepted: 40, expected: 120, delivered: 120, lost: 0, doubled: 0, reordered: 0, unasked: 0, ended: 0 });
  t.ok(pongs > 0 && pongs <= 120);
});
