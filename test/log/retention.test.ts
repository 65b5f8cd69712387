import { t } from 'tap';
import { Retention } from '../../src/log/retention/retention.ts';
import { Counters } from '../../src/runtime/counters.ts';
import type { Logger } from '../../src/runtime/logging/logger.ts';
import { settle, TestClock } from '../support/clock.ts';
import { MemoryStore } from '../support/memory-store.ts';
import type { Scope } from '../support/temp.ts';

const HOUR = 3_600_000;

async function begin(t: Scope, policy: { maxAge?: number; maxBytes?: number; maxKeys?: number }) {
  const store = new MemoryStore();
  await store.open();
  const clock = new TestClock();
  const counters = new Counters();
  const said: string[] = [];
  const logger: Logger = { debug: () => undefined, info: (facts: object | string) => void said.push(typeof facts === 'string' ? facts : ''), warn: (_, text) => void said.push(text), error: (_, text) => void said.push(text) };
  /** Both clocks go on, as they do. */
  const pass = async (milliseconds: number): Promise<void> => {
    for (let left = milliseconds; left > 0; left -= 60_000) {
      store.now += Math.min(left, 60_000);
      await clock.advance(Math.min(left, 60_000));
    }
  };
  const another = (): Retention => {
    const other = new Retention({ store, clock, counters, logger, maxAge: 0, maxBytes: 0, maxKeys: 0, ...policy });
    t.teardown(() => other.stop());
    return other;
  };
  return { store, clock, counters, retention: another(), another, said, pass };
}

t.test('messages that are too old are deleted, in small batches, from the oldest on', async (t) => {
  const { store, clock, counters, retention, pass } = await begin(t, { maxAge: HOUR });
  for (let count = 0; count < 1_800; count++) store.commit();
  store.now += HOUR / 2;
  store.commit();
  retention.run();
  await pass(HOUR / 2 - 60_000);
  t.equal(store.log().oldest, 1);
  store.now += 61_000;
  await clock.advance(5_000);
  t.equal(counters.trimmed, 500, 'one batch');
  await clock.advance(100);
  t.equal(counters.trimmed, 1_800, 'and the next ones soon');
  t.equal(store.log().oldest, 1_801);
  t.equal(retention.bytes, 1);
});

t.test('above the size the oldest are deleted, and no more than needed', async (t) => {
  const { store, retention, pass } = await begin(t, { maxBytes: 100 });
  for (let count = 0; count < 30; count++) store.commit({ data: Buffer.alloc(10) });
  retention.run();
  await pass(10_000);
  t.equal(store.log().oldest, 21);
  t.equal(retention.bytes, 100);
});

t.test('a clock that jumps forward pauses deletion by age and is logged; deletion by size goes on; then it is back', async (t) => {
  const { store, retention, said, pass } = await begin(t, { maxAge: HOUR, maxBytes: 25 });
  retention.run();
  await pass(10_000);
  for (let count = 0; count < 3; count++) store.commit({ data: Buffer.alloc(10) });
  store.now += 100 * HOUR;
  await pass(10_000);
  t.equal(store.log().oldest, 2, 'by size only');
  t.match(said.join('; '), /the clock is far ahead/);
  t.equal(said.length, 1, 'said once');
  t.ok(Math.abs(retention.clockAhead - 100 * HOUR) < 60_000);
  store.now -= 100 * HOUR;
  await pass(10_000);
  t.equal(store.log().oldest, 2);
  t.match(said.at(-1), /believed again/);
  t.equal(retention.clockAhead, 0);
  await pass(HOUR);
  t.equal(store.log().oldest, 4, 'what has really become old is deleted');
});

t.test('instances that start with a clock far ahead do not believe it either; the believed clock catches up at four times the speed', async (t) => {
  const { store, retention, another, said, pass } = await begin(t, { maxAge: 4 * HOUR });
  store.commit();
  retention.run();
  await pass(10_000);
  retention.stop();
  store.now += 192 * HOUR;
  for (let start = 1; start <= 5; start++) {
    const instance = another();
    instance.run();
    await pass(HOUR / 6);
    instance.stop();
    t.equal(said.filter((text) => text.includes('the clock is far ahead')).length, start, 'each says it');
    t.equal(store.log().oldest, 1);
  }
  another().run();
  await pass(HOUR / 3);
  t.equal(store.log().oldest, 2, 'after somewhat more than an hour it seems four hours old');
});

t.test('after a time in which nothing ran, the believed clock catches up, and the clock is believed again', async (t) => {
  const { store, retention, another, said, pass } = await begin(t, { maxAge: 2 * HOUR });
  store.commit();
  retention.run();
  await pass(10_000);
  retention.stop();
  store.now += 3 * HOUR;
  another().run();
  await pass(HOUR / 3);
  t.match(said.join('; '), /the clock is far ahead/);
  t.equal(store.log().oldest, 1);
  await pass(HOUR * 2 / 3);
  t.match(said.at(-1), /believed again/);
  t.equal(store.log().oldest, 2);
});

t.test('a newest message from far ahead of the clock is logged once, and when that is over', async (t) => {
  const { store, retention, another, said, pass } = await begin(t, { maxAge: HOUR });
  store.commit({}, store.now + 2 * HOUR);
  retention.run();
  await pass(20_000);
  t.equal(said.length, 1);
  t.match(said[0], /newest message is from far ahead/);
  t.ok(Math.abs(retention.messageAhead - 2 * HOUR) < 60_000);
  await pass(HOUR);
  t.match(said.at(-1), /no longer ahead/);
  another().run();
  await pass(10_000);
  t.equal(said.length, 2, 'an instance that starts then has nothing to say');
  await pass(2 * HOUR);
  t.equal(retention.messageAhead, 0);
});

t.test('a clock that is set right after messages were stored by it: the lines do not contradict each other, and the metrics show it', async (t) => {
  const { store, retention, said, pass } = await begin(t, { maxAge: 1_000 * HOUR });
  store.commit();
  retention.run();
  await pass(10_000);
  store.now += 100 * HOUR;
  await pass(10_000);
  t.match(said.join('; '), /the clock is far ahead .*new messages get its time/);
  store.commit();
  store.now -= 100 * HOUR;
  await pass(10_000);
  t.equal(said.length, 3);
  t.equal(said[1], 'the clock is believed again');
  t.match(said[2], /newest message is from far ahead .*no TTL ends/);
  t.equal(retention.clockAhead, 0);
  t.ok(Math.abs(retention.messageAhead - 100 * HOUR) < 60_000);
});

t.test('a clock that jumps after it was looked at, just before the deletion, deletes nothing by age', async (t) => {
  const { store, retention, said, pass } = await begin(t, { maxAge: HOUR, maxBytes: 25 });
  for (let count = 0; count < 3; count++) store.commit({ data: Buffer.alloc(10) });
  retention.run();
  await pass(10_000);
  const trim = store.trim.bind(store);
  store.trim = (policy) => {
    store.now += 100 * HOUR;
    store.trim = trim;
    return trim(policy);
  };
  await pass(10_000);
  t.equal(store.log().oldest, 2, 'by size only');
  t.match(said.join('; '), /the clock is far ahead/);
});

t.test('a second jump is one too, also where the log stands ahead since the first', async (t) => {
  const { store, retention, said, pass } = await begin(t, { maxAge: HOUR });
  store.commit();
  store.commit({}, store.now + 100 * HOUR);
  retention.run();
  await pass(10_000);
  store.now += 100 * HOUR;
  await pass(10_000);
  t.equal(store.log().oldest, 1);
  t.match(said.join('; '), /the clock is far ahead/);
});

t.test('a log that cannot be written is tried again', async (t) => {
  const { store, retention, said, pass } = await begin(t, { maxBytes: 1 });
  store.failure = 'unavailable';
  retention.run();
  await pass(30_000);
  t.equal(said.length, 1);
  store.failure = undefined;
  store.commit({ data: Buffer.alloc(10) });
  await pass(10_000);
  t.equal(store.log().oldest, 2);
});

const MIB = 1024 * 1024;
const mebibytes = (store: MemoryStore, count: number): void => {
  for (let stored = 0; stored < count; stored++) store.commit({ data: Buffer.alloc(MIB) });
};

t.test('what this instance stores beyond the size is deleted at once, and not at the next look', async (t) => {
  const { store, clock, retention } = await begin(t, { maxBytes: 4 * MIB });
  retention.run();
  await clock.advance(1);
  mebibytes(store, 8);
  await clock.advance(100);
  t.equal(store.log().oldest, 1, 'another instance has stored it');
  retention.stored(8 * MIB, 0);
  await clock.advance(0);
  t.equal(store.log().oldest, 5);
  const steps = countSteps(store);
  retention.stored(1, 0);
  await clock.advance(1_000);
  t.equal(steps(), 0, 'a little beyond it waits for the next look');
});

t.test('while more is stored than small steps delete, steps are large and follow each other at once', async (t) => {
  const { store, clock, retention } = await begin(t, { maxBytes: 1_000 });
  retention.run();
  await clock.advance(1);
  for (let message = 0; message < 20_000; message++) store.commit({ data: Buffer.alloc(1) });
  retention.stored(2 * MIB, 0);
  await clock.advance(0);
  t.equal(store.log().oldest, 19_001);
});

t.test('publishers wait while retention cannot follow, and are told when they need not', async (t) => {
  const { store, clock, retention } = await begin(t, { maxBytes: 4 * MIB });
  let told = 0;
  retention.whenCaughtUp(() => told++);
  retention.stored(100 * MIB, 0);
  t.notOk(retention.isBehind, 'before it runs, nobody waits');
  retention.run();
  await clock.advance(1);
  mebibytes(store, 13);
  retention.stored(12 * MIB, 0);
  t.notOk(retention.isBehind);
  retention.stored(MIB, 0);
  t.ok(retention.isBehind);
  await clock.advance(0);
  t.notOk(retention.isBehind);
  t.equal(told, 1);
  t.equal(retention.bytes, 4 * MIB);

  mebibytes(store, 13);
  retention.stored(13 * MIB, 0);
  t.ok(retention.isBehind);
  store.failure = 'unavailable';
  await clock.advance(0);
  t.notOk(retention.isBehind, 'a log that cannot be trimmed is better than one that takes nothing');
  t.equal(told, 2);
  retention.stored(13 * MIB, 0);
  store.failure = undefined;
  await clock.advance(5_000);
  t.equal(retention.bytes, 4 * MIB);
  t.notOk(retention.isBehind);
});

t.test('publishers that a commit made wait while a step was under way are told when the step ends', async (t) => {
  const { store, clock, retention } = await begin(t, { maxBytes: 4 * MIB });
  retention.run();
  await clock.advance(1);
  mebibytes(store, 12);
  retention.stored(8 * MIB + 1, 0);
  const trim = store.trim.bind(store);
  const asked = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<void>();
  store.trim = async (policy) => {
    store.trim = trim;
    asked.resolve();
    await answer.promise;
    return trim(policy);
  };
  t.notOk(retention.isBehind, 'the step begins');
  const stepping = clock.advance(0);
  await asked.promise;
  let told = 0;
  retention.whenCaughtUp(() => told++);
  retention.stored(4 * MIB, 0);
  t.ok(retention.isBehind, 'a commit that was under way');
  answer.resolve();
  await stepping;
  t.notOk(retention.isBehind);
  t.ok(told > 0);
});

t.test('publishers do not wait without end when something keeps retention from deleting, nor for messages of that time', async (t) => {
  const { store, clock, retention, said } = await begin(t, { maxBytes: 4 * MIB });
  let told = 0;
  retention.whenCaughtUp(() => told++);
  retention.run();
  await clock.advance(1);
  const publish = (count: number): void => {
    mebibytes(store, count);
    retention.stored(count * MIB, 0);
  };
  const trim = store.trim.bind(store);
  // A session has the lock: a step deletes nothing, and does not fail.
  store.trim = (policy) => trim({ ...policy, maxBytes: 0 });
  publish(20);
  t.ok(retention.isBehind);
  await clock.advance(500);
  t.ok(retention.isBehind, 'another instance may be deleting');
  await clock.advance(1_000);
  t.notOk(retention.isBehind);
  t.equal(told, 1);
  publish(20);
  t.ok(retention.isBehind, 'it grows slowly');
  await clock.advance(1_500);
  t.notOk(retention.isBehind);
  t.equal(said.length, 1, 'said once');
  t.match(said[0], /locked/);

  store.trim = trim;
  publish(1);
  t.notOk(retention.isBehind);
  await clock.advance(5_000);
  t.equal(retention.bytes, 4 * MIB);

  store.failure = 'unavailable';
  publish(100);
  await clock.advance(5_000);
  store.failure = undefined;
  const behind: boolean[] = [];
  store.trim = (policy) => {
    behind.push(retention.isBehind);
    return trim({ ...policy, rows: 1 });
  };
  await clock.advance(20_000);
  t.equal(retention.bytes, 4 * MIB);
  t.ok(behind.length > 100, 'in small steps');
  t.notOk(behind.includes(true), 'nor for what came while it failed');
});

t.test('nor where keys alone cannot be deleted, and messages go', async (t) => {
  const { store, clock, retention, said } = await begin(t, { maxBytes: MIB, maxKeys: 1_000 });
  retention.run();
  await clock.advance(1);
  const trim = store.trim.bind(store);
  // Something has a lock on the keys: they are passed over.
  let held = 0;
  store.trim = async (policy) => ({ ...await trim({ ...policy, maxKeys: 0 }), heldKeys: held });
  held = 30_000;
  retention.stored(0, held);
  t.ok(retention.isBehind);
  for (let step = 0; step < 200 && retention.isBehind; step++) {
    mebibytes(store, 1);
    retention.stored(MIB, 0);
    await clock.advance(20);
  }
  t.notOk(retention.isBehind, 'for four seconds');
  t.ok(retention.bytes <= MIB + 1, 'messages were deleted all the time');
  t.ok(said.length > 0 && said.every((text) => /locked/.test(text)));
});

t.test('a bound that was lowered makes no publisher wait', async (t) => {
  const { store, clock, retention } = await begin(t, { maxBytes: MIB });
  mebibytes(store, 40);
  const trim = store.trim.bind(store);
  store.trim = (policy) => trim({ ...policy, rows: 1 });
  retention.run();
  const held: number[] = [];
  while (store.log().oldest < 40) {
    await clock.advance(20);
    mebibytes(store, 1);
    retention.stored(MIB, 0);
    if (retention.isBehind) t.fail('it grows by less than it may');
    held.push(retention.bytes);
  }
  t.ok(held.at(-1)! < held[0]!);
});

t.test('keys beyond the number are forgotten at once, and it is said once', async (t) => {
  const { store, clock, retention, counters, said } = await begin(t, { maxKeys: 1_000 });
  retention.run();
  await clock.advance(1);
  const use = async (from: number, count: number): Promise<void> => {
    const keys = Array.from({ length: count }, (_, index) => ({ scope: '', key: String(from + index), fingerprint: new Uint8Array(32), window: HOUR }));
    const appended = store.append(keys.map((key) => ({ drafts: [], key })));
    await settle();
    await appended;
    retention.stored(0, count);
  };
  await use(1, 30_000);
  t.ok(retention.isBehind);
  await clock.advance(0);
  t.notOk(retention.isBehind);
  t.equal(retention.keys, 1_000);
  t.match(counters, { trimmedKeys: 29_000, forgottenKeys: 29_000 });
  await use(30_001, 10_000);
  await clock.advance(5_000);
  t.equal(retention.keys, 1_000);
  t.equal(said.length, 1);
  t.match(said[0], /IDEMPOTENCY_MAX_KEYS/);
});

/** How many steps there are from now on. */
function countSteps(store: MemoryStore): () => number {
  let steps = 0;
  const trim = store.trim.bind(store);
  store.trim = (policy) => {
    steps++;
    return trim(policy);
  };
  return () => steps;
}
