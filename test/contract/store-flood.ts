import type { Test } from 'tap';
import type { Bus } from '../../src/bus/bus.ts';
import { Publisher } from '../../src/log/publisher/publisher.ts';
import { Retention } from '../../src/log/retention/retention.ts';
import { StoreClock } from '../../src/log/tail/store-clock.ts';
import { Tail } from '../../src/log/tail/tail.ts';
import { FULL_GRANT } from '../../src/model/grant.ts';
import { systemClock as clock } from '../../src/runtime/clock.ts';
import { Counters } from '../../src/runtime/counters.ts';
import { quietLogger as logger } from '../support/logger.ts';
import { until } from '../support/until.ts';
import { draft, openStore, range, type StoreFactory } from './store-kit.ts';

const MIB = 1024 * 1024;
const BOUND_BYTES = MIB;
const BOUND_KEYS = 1_000;

/** What may be held beyond a bound: what retention lets publishers owe, and two commits; less than a quarter of what is sent. */
const BEYOND_BYTES = 14 * MIB;
const BEYOND_KEYS = 25_000;

const NO_BUS: Bus = { join: () => undefined, publish: () => undefined, tell: () => undefined, wake: () => undefined, state: 'up', receivers: undefined, close: () => Promise.resolve() };

/** How much is published: batches, and messages of each. */
const BATCHES = 64;
const BATCH_MESSAGES = 1_000;

/** Publishes as fast as the store takes it, and answers with the most that was held meanwhile. */
async function flood(t: Test, factory: StoreFactory, dataBytes: number, key?: (index: number) => string): Promise<{ bytes: number; keys: number }> {
  const store = await openStore(t, await factory(t));
  const counters = new Counters();
  const retention = new Retention({ store, clock, counters, logger, maxAge: 0, maxBytes: BOUND_BYTES, maxKeys: BOUND_KEYS });
  const tail = new Tail({ store, clock, storeClock: new StoreClock(clock), counters, logger, maxBytes: MIB, pollMs: 1_000 });
  await tail.open(await store.state(), { append: () => undefined, moveEnd: (change) => change(), epochAdded: () => undefined, erased: () => undefined });
  const publisher = new Publisher({ store, tail, bus: NO_BUS, clock, counters, logger, pace: retention, maxMessages: 10_000, maxBytes: 64 * MIB });
  t.teardown(() => {
    publisher.stop();
    retention.stop();
    tail.stop();
  });
  retention.run();
  const data = Buffer.alloc(dataBytes, 'x');
  const most = { bytes: 0, keys: 0 };
  let next = 0;
  const publish = async (): Promise<void> => {
    while (next < BATCHES) {
      const batch = next++;
      const one = (index: number): Promise<unknown> => publisher.publish(FULL_GRANT, [draft(`flood.${index}`, data)], { scope: '', key: key!(index), fingerprint: new Uint8Array(32), window: 3_600_000 });
      const numbers = range(batch * BATCH_MESSAGES, (batch + 1) * BATCH_MESSAGES - 1);
      if (key === undefined) await publisher.publish(FULL_GRANT, numbers.map((index) => draft(`flood.${index}`, data)), undefined);
      else await Promise.all(numbers.map(one));
      // A look that deletes nothing.
      const held = await store.trim({ maxAge: 0, maxBytes: 0, rows: 1 });
      most.bytes = Math.max(most.bytes, held.bytes);
      most.keys = Math.max(most.keys, held.heldKeys);
    }
  };
  await Promise.all([publish(), publish(), publish(), publish()]);
  t.equal((await store.state()).head, BATCHES * BATCH_MESSAGES, 'nothing was refused');
  // While retention itself has the lock, a step does nothing.
  await until('the log is within its bounds', async () => {
    const { bytes, heldKeys } = await store.trim({ maxAge: 0, maxBytes: BOUND_BYTES, maxKeys: BOUND_KEYS, rows: 4_000 });
    return bytes <= BOUND_BYTES && heldKeys <= BOUND_KEYS;
  });
  return most;
}

/** The log's bounds hold however fast it is written. */
export function floods(t: Test, name: string, factory: StoreFactory): void {
  t.test(`${name}: batches never fill the disk beyond RETENTION_BYTES and a named rest`, async (t) => {
    const { bytes } = await flood(t, factory, 1_000);
    t.ok(bytes > BOUND_BYTES && bytes < BOUND_BYTES + BEYOND_BYTES, `${bytes} of ${BATCHES * BATCH_MESSAGES * 1_000} bytes were held`);
  });

  t.test(`${name}: idempotency keys never fill the disk beyond IDEMPOTENCY_MAX_KEYS and a named rest`, async (t) => {
    const { keys } = await flood(t, factory, 1, (index) => String(index).padStart(251, 'k'));
    t.ok(keys > BOUND_KEYS && keys < BOUND_KEYS + BEYOND_KEYS, `${keys} of ${BATCHES * BATCH_MESSAGES} keys were held`);
  });
}
