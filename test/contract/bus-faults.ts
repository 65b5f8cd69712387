import { createServer } from 'node:net';
import t, { type Test } from 'tap';
import { systemClock, type Clock } from '../../src/runtime/clock.ts';
import { bothAre, busOf, busPair, flows, leftBeside, loggedOnce, openBus, openResources } from '../support/bus.ts';
import { heldBytes } from '../support/garbage.ts';
import type { Link } from '../support/link.ts';
import { listening } from '../support/listening.ts';
import { quietLogger } from '../support/logger.ts';
import { freePort } from '../support/ports.ts';
import type { Scope } from '../support/temp.ts';
import { until } from '../support/until.ts';
import { Ear, message } from './bus.ts';

const MIB = 1024 * 1024;
/** The bound that such a bus promises, under the same name there. */
const UNCONFIRMED_MAX_BYTES = 8 * MIB;
/** The longest wait between two attempts, under the same name there. */
const RECONNECT_MAX_MS = 5_000;

/** A server of a bus, and the link over which the bus finds it. */
export interface FaultyServer {
  readonly url: string;
  readonly link: Link;
  /** Lets the link lead to the server again. */
  readonly restore: () => void;
  /** The process that is frozen. */
  readonly pid: number;
}

let logs = 0;

/** What a bus does about the faults of its server. @param prepare A server for one test; it may be the same for all. */
export function busFaults(prepare: (t: Scope) => Promise<FaultyServer>, options: { readonly skip?: string | false } = {}): void {
  const test = (name: string, run: (t: Test, server: FaultyServer, logId: string) => Promise<void>): void => {
    t.test(name, options, async (t) => run(t, await prepare(t), `log-faults-${process.pid}-${++logs}`));
  };

  test('the server goes and comes back: the bus tries for ever, says so once each, and looks at the log', async (t, { url, link, restore }, logId) => {
    const { bus, other, otherEar: ear, lines } = await busPair(t, url, logId);
    let attempts = 0;
    const impostor = createServer((socket) => {
      attempts += 1;
      socket.on('error', () => undefined).destroy();
    });
    link.lead(await listening(impostor, await freePort()));
    link.reset();
    await bothAre({ bus, other }, 'degraded');
    bus.publish([message(1)]);
    await until('it was tried often', () => attempts >= 10);
    t.equal(bus.state, 'degraded');
    await new Promise((resolve) => impostor.close(resolve));
    const { wakes } = ear;
    restore();
    await bothAre({ bus, other }, 'up');
    t.ok(ear.wakes > wakes);
    await flows(bus, ear);
    t.notOk(ear.seqs.includes(1), 'what was published meanwhile was dropped');
    loggedOnce(t, lines, 1);
  });

  test('the server is away at first: joining returns, and the bus finds it once it is there', async (t, { url, link, restore }, logId) => {
    link.lead(await freePort());
    const { bus, ear, lines } = openBus(t, url, logId);
    t.equal(bus.state, 'degraded');
    bus.publish([message(1)]);
    await until('it is logged', () => lines.length > 0);
    restore();
    await until('it is up', () => bus.state === 'up');
    await until('it looks at the log', () => ear.wakes > 0);
    t.equal(ear.wakes, 1);
    t.match(lines, [/is degraded/, /is up/]);
  });

  test('cut connections are made again, and the bus looks at the log', async (t, { url, link }, logId) => {
    const { bus, other, otherEar: ear } = await busPair(t, url, logId);
    for (const round of [1, 2, 3]) {
      const { wakes } = ear;
      link.reset();
      await until('it was woken', () => ear.wakes > wakes && bus.state === 'up' && other.state === 'up');
      bus.publish([message(round)]);
      await ear.hears(round);
    }
    t.same(ear.seqs, [1, 2, 3]);
  });

  test('frozen for long, its connections are given up; when it goes on, messages flow', async (t, { url, pid }, logId) => {
    const { bus, other, otherEar: ear } = await busPair(t, url, logId);
    process.kill(pid, 'SIGSTOP');
    t.teardown(() => process.kill(pid, 'SIGCONT'));
    bus.publish([message(1)]);
    await bothAre({ bus, other }, 'degraded');
    process.kill(pid, 'SIGCONT');
    await bothAre({ bus, other }, 'up');
    await flows(bus, ear);
    t.pass('they do');
  });

  test('a server that takes nothing holds a bounded memory', async (t, { url, link }, logId) => {
    const { bus } = await busPair(t, url, logId);
    const before = heldBytes('arrayBuffers');
    link.silence(true);
    t.teardown(() => link.heal());
    const data = Buffer.alloc(100_000, 'x');
    for (let seq = 1; seq <= 1_000; seq++) bus.publish([message(seq, data)]);
    const held = heldBytes('arrayBuffers') - before;
    // What is unconfirmed is in the client's buffers, and in those of the socket that the link does not read.
    t.ok(held < 3 * UNCONFIRMED_MAX_BYTES, `${held} bytes are held of ${1_000 * data.length}`);
  });

  test('a server that takes each connection and drops it is met less and less often', async (t, { url, link }, logId) => {
    const waits: number[] = [];
    // By this clock no connection lasts, however slow the machine is.
    const clock: Clock = { ...systemClock, monotonic: () => 0, after: (ms, task) => {
      if (ms > RECONNECT_MAX_MS) return systemClock.after(ms, task);
      waits.push(ms);
      return systemClock.after(0, task);
    } };
    const bus = busOf({ url, clock, logger: quietLogger });
    t.teardown(() => bus.close());
    bus.join(logId, new Ear());
    await until('it has tried often', () => {
      if (bus.state === 'up') link.reset();
      return waits.length >= 8;
    });
    // Half of a wait is chance.
    t.ok(waits[7]! > waits[0]!, waits.join(' '));
    t.ok(waits[7]! >= RECONNECT_MAX_MS / 2, waits.join(' '));
  });

  test('closed, it leaves nothing behind', async (t, { url }, logId) => {
    const before = openResources();
    const bus = busOf({ url, logger: quietLogger });
    bus.join(logId, new Ear());
    await until('it is up', () => bus.state === 'up');
    bus.tell('note', 'nobody', () => undefined);
    await bus.close();
    t.equal(await leftBeside(before), '');
  });
}
