import t from 'tap';
import type { Reader } from '../../src/delivery/reader/reader.ts';
import { isOfAge, UNWATCHED_MAX_AGE_MS } from '../../src/delivery/unwatched-age.ts';
import type { RowFilter, SendQueue } from '../../src/runtime/sockets/tcp-rows.ts';
import type { TcpTable } from '../../src/runtime/sockets/tcp-table.ts';
import { settle } from '../support/clock.ts';
import { begin, type TestOutlet } from '../support/spine.ts';
import type { Scope } from '../support/temp.ts';

const PORT = 8080;
const SERVER = '10.0.0.1';
const CLIENT = '10.0.0.2';
/** As test/support/spine.ts sets it. */
const STALL_MS = 30_000;

/** A kernel whose table the test writes. */
class TestTable implements TcpTable {
  readonly filters: RowFilter[] = [];
  rows: SendQueue[] | undefined = [];
  failure: Error | undefined;

  read(filter: RowFilter): Promise<readonly SendQueue[] | undefined> {
    this.filters.push(filter);
    return this.failure === undefined ? Promise.resolve(this.rows) : Promise.reject(this.failure);
  }
}

function row(remotePort: number, bytes: number, unanswered: number, remoteAddress = CLIENT): SendQueue {
  return { localAddress: SERVER, remoteAddress, remotePort, bytes, unanswered };
}

async function watch(t: Scope, heartbeatMs = 10_000) {
  const table = new TestTable();
  const spine = await begin(t, { table, heartbeatMs });
  let opened = 0;
  const connected = (remoteAddress = CLIENT, remotePort = 50_000 + opened++): { outlet: TestOutlet; reader: Reader } => {
    const stream = spine.open(['a']);
    Object.assign(stream.outlet, { localAddress: SERVER, localPort: PORT, remoteAddress, remotePort });
    return stream;
  };
  return { ...spine, table, connected };
}

t.test('a client whose kernel does not answer for STALL_SECONDS is gone, and nobody else is', async (t) => {
  const { connected, table, clock, counters, streams } = await watch(t);
  const [gone, answers, other, namesake, missing] = [connected(), connected(), connected(), connected('10.0.0.3', 50_000), connected()];
  await settle();
  for (let seconds = 0; seconds < 60; seconds += 1) {
    const tries = 1 + Math.floor(Math.log2(1 + seconds));
    table.rows = [
      row(50_000, 2 + seconds, tries),
      // Each of its tries is answered, some of them late.
      row(50_001, 500, seconds % 10 < 5 ? 1 + seconds % 5 : 0),
      row(50_002, 1_000_000, 0),
      row(60_000, 2, tries),
      { ...row(50_003, 2, tries), localAddress: '10.0.0.9' },
    ];
    await clock.advance(1_000);
    if (seconds < STALL_MS / 1000) t.equal(gone.outlet.ended, undefined, `${seconds}`);
  }
  t.equal(gone.outlet.ended, 'now');
  for (const { outlet } of [answers, other, namesake, missing]) t.equal(outlet.ended, undefined);
  t.same([counters.cut.gone, counters.stalled], [1, 0]);
  t.ok(table.filters.every(({ localPort, remotePorts }) => localPort === PORT && remotePorts.size === 0));
  streams.closed(gone.reader);
  t.equal(streams.size, 4);
});

t.test('one that answers in between, or is missing in between, begins anew', async (t) => {
  // With how often it has been tried at the look after that.
  for (const [between, next] of [[[row(50_000, 100, 0)], 10], [[row(50_000, 99, 9)], 10], [[row(50_000, 100, 1)], 2], [[], 10]] as const) {
    const { connected, table, clock } = await watch(t);
    const { outlet } = connected();
    let tries = 2;
    const silence = async (milliseconds: number): Promise<void> => {
      for (let past = 0; past < milliseconds; past += 5_000) {
        table.rows = [row(50_000, 100, tries++)];
        await clock.advance(5_000);
      }
    };
    await silence(STALL_MS - 5_000);
    table.rows = [...between];
    await clock.advance(5_100);
    tries = next;
    await silence(STALL_MS - 5_000);
    t.equal(outlet.ended, undefined);
    await silence(2 * STALL_MS);
    t.equal(outlet.ended, 'now');
  }
});

t.test('one that is asked now and then whether it has room, and answers, is not gone', async (t) => {
  const { connected, table, clock } = await watch(t);
  const { outlet } = connected();
  // The question is on its way whenever the table is read.
  table.rows = [row(50_000, 1_000, 1)];
  await clock.advance(10 * STALL_MS);
  t.equal(outlet.ended, undefined);
});

/** Seen to fail where only a drained socket counts as progress: the stream was closed inside the message. */
t.test('a client that takes a large message byte by byte is not stalled, and is once it takes nothing', async (t) => {
  for (const kind of ['the socket', 'the kernel', 'the next write'] as const) {
    const { connected, table, publish, clock, counters } = await watch(t);
    const { outlet } = connected();
    await settle();
    outlet.isStuck = true;
    outlet._handle = { writeQueueSize: 8_000_000 };
    publish('a', 'x'.repeat(1000));
    let queued = 3_000_000;
    for (let past = 0; past < 5 * STALL_MS; past += STALL_MS / 2) {
      if (kind === 'the socket') outlet._handle.writeQueueSize--;
      else if (kind === 'the kernel') queued--;
      else outlet.writableLength--;
      table.rows = [row(50_000, queued, 0)];
      await clock.advance(STALL_MS / 2);
      t.equal(outlet.ended, undefined, kind);
    }
    t.ok(table.filters.at(-1)!.remotePorts.has(50_000));
    await clock.advance(STALL_MS / 2);
    t.equal(outlet.ended, undefined, 'not before the time is over');
    await clock.advance(STALL_MS);
    t.equal(outlet.ended, 'now', kind);
    t.same([counters.stalled, counters.cut.gone], [1, 0]);
  }
});

t.test('a client that vanished with a full socket is gone, not stalled', async (t) => {
  const { connected, table, publish, clock, counters } = await watch(t);
  const { outlet } = connected();
  await settle();
  outlet.isStuck = true;
  publish('a');
  for (let tries = 1; outlet.ended === undefined; tries++) {
    table.rows = [row(50_000, 1_000, tries)];
    await clock.advance(5_000);
  }
  t.same([counters.stalled, counters.cut.gone], [0, 1]);
});

t.test('where nothing shows which clients vanished, streams of other machines end with $busy, each at its own age', async (t) => {
  for (const table of [{ rows: undefined }, { failure: new Error('EACCES') }]) {
    const watched = await watch(t, 60_000);
    Object.assign(watched.table, table);
    const distant = Array.from({ length: 50 }, () => watched.connected());
    const near = watched.connected('::ffff:127.0.0.1');
    await watched.clock.advance(UNWATCHED_MAX_AGE_MS / 2 - 60_000);
    t.equal(watched.counters.cut.age, 0);
    await watched.clock.advance(UNWATCHED_MAX_AGE_MS / 4);
    const half = watched.counters.cut.age;
    t.ok(half > 0 && half < distant.length, `${half} of ${distant.length}`);
    await watched.clock.advance(UNWATCHED_MAX_AGE_MS / 2);
    t.equal(watched.counters.cut.age, distant.length);
    for (const { outlet } of distant) t.same([outlet.seen.at(-1), outlet.ended], ['$busy', 'soon']);
    t.equal(near.outlet.ended, undefined, 'a client on this machine cannot vanish');
    t.equal(watched.warnings.length, 'failure' in table ? 1 : 0);
  }
});

t.test('where the kernel tells, no stream ends for its age', async (t) => {
  const { connected, clock } = await watch(t, 60_000);
  const { outlet } = connected();
  await clock.advance(3 * UNWATCHED_MAX_AGE_MS);
  t.equal(outlet.ended, undefined);
});

t.test('any heartbeat of the second half of a life may be the last, and one of them is', async (t) => {
  for (const heartbeatMs of [1_000, 25_000, UNWATCHED_MAX_AGE_MS, 3_600_000]) {
    const last = Math.max(2, Math.floor(UNWATCHED_MAX_AGE_MS / heartbeatMs));
    t.equal(isOfAge(Math.ceil(last / 2) - 1, heartbeatMs, 0), false);
    t.equal(isOfAge(Math.ceil(last / 2), heartbeatMs, 0), true);
    t.equal(isOfAge(last - 1, heartbeatMs, 0.99), false);
    t.equal(isOfAge(last, heartbeatMs, 0.99), true);
  }
});
