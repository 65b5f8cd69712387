import { createServer, type Socket } from 'node:net';
import t from 'tap';
import { now } from '../../bench/load/clock.ts';
import { Counting } from '../../bench/load/events.ts';
import { Histogram } from '../../bench/load/histogram.ts';
import { Ledger } from '../../bench/load/ledger.ts';
import { Load } from '../../bench/load/load.ts';
import { makeMarker, stamp } from '../../bench/load/marker.ts';
import type { Run } from '../../bench/load/run.ts';
import { Streams } from '../../bench/load/streams.ts';
import { listening } from '../support/listening.ts';
import { until } from '../support/until.ts';
import { BUSY_MS, FaultyServer, type Faults } from './faulty-server.ts';

/** Streams that are away for a while go on where they were, and what they miss or get twice is found. */

const STREAMS = 20;
const RATE = 200;
/** Most of it comes after the cut, also where the machine takes its time to cut. */
const SECONDS = 2;
const MESSAGES = RATE * SECONDS;

const load = await Load.start();
t.teardown(() => load.stop());
t.afterEach(() => load.close());

const flow = { rate: RATE, seconds: SECONDS, bytes: 60, topics: { name: 'a', count: 1 }, quietMs: 1500 };

async function start(t: { teardown(handler: () => unknown): unknown }, faults: Faults = {}, reconnectMs?: number): Promise<FaultyServer> {
  const server = await FaultyServer.start(t, faults);
  const opened = await load.open({ ...server.target, streams: { count: STREAMS, topics: 'a' }, ...reconnectMs === undefined ? {} : { reconnectMs } });
  if (opened.open !== STREAMS) throw new Error(`not open: ${JSON.stringify(opened)}`);
  return server;
}

const expected = { expected: MESSAGES * STREAMS, lost: 0, doubled: 0, reordered: 0, ended: 0 };

t.test('streams that are cut and come back have missed nothing', async (t) => {
  const server = await start(t);
  const publishing = load.publish({ ...server.target, ...flow });
  await until('some are published', () => server.messages.length > 20);
  const at = await load.cut();
  t.same(await load.streams(), { open: 0, away: STREAMS });
  const back = await load.reopen({ afterMs: 150 });
  t.equal(back.open, STREAMS);
  t.ok(back.at >= at + 150);
  const delivered = await publishing;
  t.match(delivered, expected);
  // The messages of at least 150 ms were caught up on.
  t.ok(delivered.caughtUpAt! >= at + 150, 'the moment is after their return');
  t.ok(delivered.latency.max >= 140, `${delivered.latency.max}`);
  t.equal(server.resumed.length, 2 * STREAMS);
  t.ok(server.resumed.slice(STREAMS).every((id) => Number(id?.split('-')[1]) > 0));
});

t.test('a server that forgets one on the way back has lost it; one that goes back too far has doubled', async (t) => {
  for (const { resume, faults } of [{ resume: (after: number) => after + 1, faults: { lost: STREAMS } }, { resume: (after: number) => after - 1, faults: { doubled: STREAMS } }]) {
    const server = await start(t, { resume });
    const publishing = load.publish({ ...server.target, ...flow });
    await until('some are published', () => server.messages.length > 20);
    await load.cut();
    await load.reopen({ afterMs: 50 });
    t.match(await publishing, { ...expected, ...faults });
    await load.close();
  }
});

t.test('streams whose server is killed come back by themselves when there is one again', async (t) => {
  const server = await start(t, { isBusy: (before) => before >= STREAMS && before < STREAMS + 5 }, 30);
  const publishing = load.publish({ ...server.target, ...flow });
  await until('some are published', () => server.messages.length > 20);
  const port = server.target.ports[0]!;
  server.stop();
  await until('all are away', async () => (await load.streams()).away === STREAMS);
  const killed = now();
  // Longer than they wait before they come back: they are refused, and try again.
  await new Promise((resolve) => setTimeout(resolve, 100));
  await server.listen(port);
  const returned = now();
  const back = await load.whole();
  t.equal(back.open, STREAMS);
  t.ok(back.retried >= 1, `${back.retried} were refused`);
  t.equal(back.busyAnswers, 5);
  t.ok(back.at >= killed + 100 + BUSY_MS);
  const delivered = await publishing;
  // The answers that were under way when it was killed are unknown, and what came of them too; the others count.
  t.ok(delivered.refused > 0 && delivered.accepted > 20, `${delivered.refused} refused, ${delivered.accepted} accepted`);
  t.match(delivered, { ...expected, expected: delivered.accepted * STREAMS, ended: STREAMS });
  t.ok(delivered.caughtUpAt! >= returned);
});

t.test('cut anywhere, a stream goes on after the last event that it has whole', async (t) => {
  const run: Run = { number: 5, base: now(), topics: { name: 'a', count: 1 }, bytes: 34, inOrder: true, slow: 0, quietMs: 100 };
  const frames = Array.from({ length: 4 }, (_, seq) => {
    const frame = Buffer.from(`data: "${makeMarker(5, 0)}"\nid: bench-${seq + 10}\n\n`);
    stamp(frame, 7, seq, 0);
    return frame;
  });
  const chunk = (text: Buffer): Buffer => Buffer.concat([Buffer.from(`${text.length.toString(16)}\r\n`), text, Buffer.from('\r\n')]);
  const body = Buffer.concat([chunk(frames[0]!), chunk(Buffer.concat([frames[1]!, frames[2]!])), chunk(Buffer.from(':\n')), chunk(frames[3]!)]);
  const head = Buffer.from('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n');
  const cutAt = new Map<string, number>();
  const resumed = new Map<string, string>();
  const sockets = new Set<Socket>();
  // Each stream has a topic of its own, by which it is known again.
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.once('data', (request) => {
      const topic = /\/sub\/(\S+)/.exec(request.toString())![1]!;
      const id = /Last-Event-ID: (\S+)/.exec(request.toString())?.[1];
      if (!cutAt.has(topic)) {
        cutAt.set(topic, Number(topic));
        socket.write(head);
        socket.end(body.subarray(0, Number(topic)));
        return;
      }
      resumed.set(topic, id ?? 'none');
      const from = id === undefined ? 0 : Number(id.split('-')[1]) - 9;
      socket.write(Buffer.concat([head, ...frames.slice(from).map(chunk)]));
    });
  });
  const port = await listening(server);
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const count = body.length + 1;
  const ledger = new Ledger({ topics: run.topics, inOrder: true });
  for (let number = 0; number < count; number++) ledger.add({ number, names: ['a'] }, true);
  const streams = new Streams(() => undefined, () => undefined);
  t.teardown(() => streams.close());
  const counting = new Counting(run, ledger, new Histogram(), new Histogram());
  streams.sink = counting;
  await streams.open({ wire: 'nchan', ports: [port], topics: '{i}', reconnectMs: 1 }, { first: 0, step: 1, count });
  await until('all have come back and have everything', () => resumed.size === count && counting.delivered === count * frames.length);

  t.equal(ledger.doubled + ledger.reordered + ledger.unasked, 0);
  const wanted = (cut: number): string => {
    const whole = frames.filter((frame) => body.indexOf(frame) + frame.length <= cut).length;
    return whole === 0 ? 'none' : `bench-${whole + 9}`;
  };
  t.same([...resumed].filter(([topic, id]) => id !== wanted(Number(topic))), []);
});
