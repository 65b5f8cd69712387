import t, { type Test } from 'tap';
import { now } from '../../bench/load/clock.ts';
import { Load } from '../../bench/load/load.ts';
import type { Delivered, PublishOptions } from '../../bench/load/protocol.ts';
import { FaultyServer, type Faults, type Message, type Stream } from './faulty-server.ts';

/** The load generator finds what a server does wrong, and nothing else. */

const STREAMS = 8;
const MESSAGES = 60;
const ONE = { name: 'a.t{i}', count: 1 };
/** After so much silence, what is missing is lost: longer than a busy machine keeps anybody waiting. */
const QUIET_MS = 1500;

/** How often it is tried to stop a process in the middle of what it does. */
const ATTEMPTS = 5;

const load = await Load.start();
t.teardown(() => load.stop());
t.afterEach(() => load.close());

async function open(server: FaultyServer, count = STREAMS, topics = 'a.t0', reconnectMs?: number): Promise<void> {
  const opened = await load.open({ ...server.target, streams: { count, topics }, ...reconnectMs === undefined ? {} : { reconnectMs } });
  if (opened.open !== count) throw new Error(`not open: ${JSON.stringify(opened)}`);
}

function publish(server: FaultyServer, options: Partial<PublishOptions> = {}): Promise<Delivered> {
  return load.publish({ ...server.target, rate: 200, seconds: MESSAGES / 200, bytes: 60, topics: ONE, quietMs: QUIET_MS, ...options });
}

/** What was found of a server with these faults. */
async function found(t: Test, faults: Faults, options: Partial<PublishOptions> = {}): Promise<Delivered> {
  const server = await FaultyServer.start(t, faults);
  await open(server);
  return publish(server, options);
}

function same(t: Test, delivered: Delivered, faults: Partial<Delivered> = {}): void {
  const { accepted, refused, expected, lost, doubled, reordered, unasked, ended, gaps } = delivered;
  const none = { accepted: MESSAGES, refused: 0, expected: MESSAGES * STREAMS, lost: 0, doubled: 0, reordered: 0, unasked: 0, ended: 0, gaps: 0 };
  t.same({ accepted, refused, expected, lost, doubled, reordered, unasked, ended, gaps }, { ...none, ...faults });
}

t.test('of a server without a fault, none is found', async (t) => {
  const delivered = await found(t, {});
  same(t, delivered);
  t.equal(delivered.scheduled, MESSAGES);
  t.equal(delivered.delivered, MESSAGES * STREAMS);
  t.equal(delivered.latency.count, MESSAGES * STREAMS);
  t.equal(delivered.answer.count, MESSAGES);
  t.ok(delivered.busy > 0 && delivered.seconds >= (MESSAGES - 1) / 200);
  t.notOk('caughtUpAt' in delivered || 'slow' in delivered);
});

t.test('a message that a stream does not get is lost: in the middle, the first, and the last', async (t) => {
  const dropped = new Map([[0, 10], [3, 1], [4, MESSAGES], [5, 10]]);
  same(t, await found(t, { deliver: (stream, message) => dropped.get(stream.number) === message.seq || stream.write(message) }), { lost: 4 });
});

t.test('a message that nobody gets is lost on every stream', async (t) => {
  same(t, await found(t, { deliver: (stream, message) => message.seq === 7 || stream.write(message) }), { lost: STREAMS });
});

t.test('a message that comes twice is doubled: at once, and later', async (t) => {
  const held = new Map<Stream, Message>();
  same(t, await found(t, {
    deliver(stream, message) {
      stream.write(message);
      if (stream.number === 2 && message.seq === 5) stream.write(message);
      if (stream.number === 0 && message.seq === 9) held.set(stream, message);
      if (stream.number === 0 && message.seq === 14) stream.write(held.get(stream)!);
    },
  }), { doubled: 2 });
});

t.test('messages that change places are reordered', async (t) => {
  const held = new Map<Stream, Message>();
  same(t, await found(t, {
    deliver(stream, message) {
      if ((stream.number === 0 && message.seq === 20) || (stream.number === 6 && message.seq === 30)) {
        held.set(stream, message);
        return;
      }
      stream.write(message);
      const before = held.get(stream);
      if (before !== undefined) stream.write(before);
      held.delete(stream);
    },
  }), { reordered: 2 });
});

t.test('a message of a topic that the stream had not asked for is found', async (t) => {
  let isDone = false;
  const server = await FaultyServer.start(t, {
    deliver(stream, message) {
      stream.write(message);
      if (message.seq !== 8 || isDone) return;
      isDone = true;
      for (const other of server.streams) if (other.topic !== message.topic) other.write(message);
    },
  });
  await open(server, STREAMS, 'a.t{i%2}');
  same(t, await publish(server, { topics: { name: 'a.t{i}', count: 2 } }), { expected: MESSAGES * STREAMS / 2, unasked: STREAMS / 2 });
});

t.test('messages that are late show in the latency, and are no other fault', async (t) => {
  const delivered = await found(t, {
    deliver: (stream, message) => void (stream.number === 1 ? setTimeout(() => stream.write(message), 150) : stream.write(message)),
  });
  same(t, delivered);
  t.ok(delivered.latency.p90 >= 150, `${delivered.latency.p90}`);
  t.ok(delivered.latency.p50 < delivered.latency.p90);
});

t.test('a server that stands still is late for every message that was due meanwhile', async (t) => {
  const delivered = await found(t, {
    published({ seq }) {
      if (seq !== 10) return;
      const end = now() + 300;
      while (now() < end);
    },
  }, { rate: 200, seconds: 0.5 });
  same(t, delivered, { accepted: 100, expected: 100 * STREAMS });
  // 60 of the 100 were due in those 300 ms: half of them waited for 150 ms and more. Counted from when they could be sent, it would be one.
  t.ok(delivered.latency.p50 >= 30, `${delivered.latency.p50}`);
  t.ok(delivered.latency.p90 >= 240, `${delivered.latency.p90}`);
  t.ok(delivered.answer.p90 >= 240, `${delivered.answer.p90}`);
});

t.test('when the load itself stands still, that shows too', async (t) => {
  for (let attempt = 1; ; attempt++) {
    const server = await FaultyServer.start(t, {
      published({ seq }) {
        if (seq !== 10) return;
        const publisher = load.pids.at(-1)!;
        process.kill(publisher, 'SIGSTOP');
        setTimeout(() => process.kill(publisher, 'SIGCONT'), 300);
      },
    });
    await open(server);
    const delivered = await publish(server, { seconds: 0.5 });
    same(t, delivered, { accepted: 100, expected: 100 * STREAMS });
    // Where this process itself stood still, it stopped one that had sent everything.
    if (delivered.sent.p90 < 240 && attempt < ATTEMPTS) {
      await load.close();
      continue;
    }
    for (const { p90 } of [delivered.sent, delivered.latency, delivered.answer]) t.ok(p90 >= 240, `${p90}`);
    return;
  }
});

t.test('a refused message is not expected, and is no loss', async (t) => {
  const delivered = await found(t, { status: (before) => (before % 5 === 4 ? 503 : 201) });
  same(t, delivered, { accepted: MESSAGES * 0.8, refused: MESSAGES * 0.2, expected: MESSAGES * 0.8 * STREAMS });
  t.same(delivered.reasons, { 'status 503': MESSAGES * 0.2 });
});

t.test('refused messages hide no loss, in any number', async (t) => {
  const delivered = await found(t, {
    status: (before) => (before % 2 === 1 ? 503 : 201),
    deliver: (stream, message) => (stream.number === 3 && message.seq === 10) || stream.write(message),
  }, { rate: 1000, seconds: 0.4 });
  same(t, delivered, { accepted: 200, refused: 200, expected: 200 * STREAMS, lost: 1 });
});

t.test('over several connections any order is right if all readers see the same', async (t) => {
  // Every other message overtakes the one before it.
  let held: { message: Message; streams: Set<Stream> } | undefined;
  const deliver = (stream: Stream, message: Message): void => {
    if (message.seq % 2 === 1) {
      held = { message, streams: held?.message === message ? held.streams.add(stream) : new Set([stream]) };
      return;
    }
    stream.write(message);
    if (held?.streams.delete(stream) === true) stream.write(held.message);
  };
  await t.test('one order', async (t) => same(t, await found(t, { deliver }, { connections: 4 })));
  await t.test('one stream has another', async (t) => {
    held = undefined;
    let kept: Message | undefined;
    same(t, await found(t, {
      deliver(stream, message) {
        if (stream.number !== STREAMS - 1) stream.write(message);
        else if (message.seq === 10) kept = message;
        else if (message.seq === 11) for (const one of [message, kept!]) stream.write(one);
        else stream.write(message);
      },
    }, { connections: 4 }), { reordered: 1 });
  });
  await t.test('what nobody got is lost', async (t) => {
    same(t, await found(t, { deliver: (stream, message) => message.seq === 3 || stream.write(message) }, { connections: 4 }), { lost: STREAMS });
  });
});

t.test('a slow stream gets everything when it reads on, and is told apart in the latency', async (t) => {
  const server = await FaultyServer.start(t, { deliver: (stream, message) => message.seq === 12 || stream.write(message) });
  await open(server);
  const delivered = await publish(server, { slow: 0.25 });
  same(t, delivered, { lost: STREAMS });
  t.equal(delivered.slow?.streams, 2);
  t.equal(delivered.slow?.latency.count, 2 * (MESSAGES - 1));
  t.equal(delivered.latency.count, 6 * (MESSAGES - 1));
  // The first message waited until the last was delivered to the others.
  t.ok(delivered.slow!.latency.max >= 1000 * (MESSAGES - 1) / 200);
});

t.test('a stream that ends is found, and its missing messages count as lost', async (t) => {
  same(t, await found(t, {
    deliver(stream, message) {
      if (stream.number === 4 && message.seq === 41) stream.end();
      else stream.write(message);
    },
  }), { ended: 1, lost: MESSAGES - 40 });
});
