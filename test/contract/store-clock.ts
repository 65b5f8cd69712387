import type { Test } from 'tap';
import type { Store, TrimPolicy } from '../../src/store/store.ts';
import type { Scope } from '../support/temp.ts';
import { draft, keyed, numberedRequests, openStore, range, request, stored, type TestDatabase } from './store-kit.ts';

/** Keeps everything. */
const NOTHING: TrimPolicy = { maxAge: 0, maxBytes: 0, rows: 1_000 };

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** Keeps a week. */
const WEEK: TrimPolicy = { ...NOTHING, maxAge: 7 * DAY };

/** A database whose clock a test can set. */
type ClockDatabase = Pick<TestDatabase, 'store' | 'clockJumped'>;

/** Two and a half hours in which nothing is stored, and retention looks. Resolves to where the believed clock stands then. */
async function idle(database: ClockDatabase, store: Store): Promise<number> {
  for (const _ of range(1, 5)) {
    await database.clockJumped(HOUR / 2);
    await store.trim(NOTHING);
  }
  return (await store.trim(NOTHING)).believed;
}

export async function believedClock(t: Test, factory: (t: Scope) => Promise<ClockDatabase>): Promise<void> {
  await t.test('a clock days ahead of the log\'s is not believed by any instance: nothing is old and no key is forgotten; size still counts', async (t) => {
    const database = await factory(t);
    const first = await openStore(t, database);
    await first.append([...numberedRequests(9), keyed('kept', [draft('a')], { window: DAY })]);
    const { bytes, machine: before, believed: at } = await first.trim(WEEK);
    t.equal(at, before, 'a clock that is right is believed');
    await database.clockJumped(8 * DAY);

    let remembered = NaN;
    for (const store of [first, await openStore(t, database)]) {
      const { machine, believed, ...kept } = await store.trim(WEEK);
      t.match(kept, { messages: 0, keys: 0, more: false, log: { oldest: 1 } });
      t.ok(Math.abs(machine - believed - 8 * DAY) < MINUTE, `${machine - believed}`);
      t.match((await store.append([keyed('kept', [draft('a')], { window: DAY })])).outcomes, [{ kind: 'replayed', first: 10 }]);
      remembered = believed;
    }
    const { believed } = await first.trim({ ...NOTHING, counted: { from: remembered, latest: remembered + 2 * HOUR } });
    t.equal(believed, remembered + 2 * HOUR, 'an instance that counted the time knows better than the log');
    t.equal((await first.trim(NOTHING)).believed, believed, 'and the log remembers it');
    t.match(await first.trim({ ...WEEK, maxBytes: bytes * 0.55 }), { messages: 5, log: { oldest: 6 } });

    await database.clockJumped(-8 * DAY);
    const back = await first.trim(WEEK);
    t.equal(back.believed, back.machine);
    await database.clockJumped(8 * DAY);
    const { machine } = await first.trim(WEEK);
    t.match(await first.trim({ ...WEEK, counted: { from: believed, latest: machine - HOUR / 2 } }), { messages: 5, keys: 1, log: { oldest: 11 } }, 'what is nearly there is believed at once');
  });

  await t.test('what the log remembers of the clock survives a clock that is behind for a while', async (t) => {
    const database = await factory(t);
    const store = await openStore(t, database);
    await stored(store, numberedRequests(3));
    await store.trim(WEEK);
    await database.clockJumped(-8 * DAY);
    const behind = await store.trim(WEEK);
    t.equal(behind.believed, behind.machine, 'it is followed');
    t.ok(behind.log.now > behind.machine + 7 * DAY, 'the machine\'s clock, not the one of the log');
    await database.clockJumped(8 * DAY);
    const right = await store.trim(WEEK);
    t.equal(right.believed, right.machine, 'and believed when it is right again');
  });

  await t.test('a log without messages believes every clock; from the first message on it remembers', async (t) => {
    const database = await factory(t);
    const store = await openStore(t, database);
    await store.trim(WEEK);
    await database.clockJumped(8 * DAY);
    const empty = await store.trim(WEEK);
    t.equal(empty.believed, empty.machine);
    await stored(store, numberedRequests(3));
    await database.clockJumped(8 * DAY);
    const { machine, believed, messages } = await store.trim(WEEK);
    t.ok(Math.abs(machine - believed - 8 * DAY) < MINUTE);
    t.equal(messages, 0, 'also before retention has looked for the first time');
  });

  await t.test('a clock that an instance believed while the log was empty is not believed again after a message was stored by an earlier one', async (t) => {
    const database = await factory(t);
    const store = await openStore(t, database);
    await store.append([keyed('kept', [draft('a')], { window: DAY })]);
    await database.clockJumped(8 * DAY);
    // What an instance counts that has looked at this clock before.
    const { machine } = await store.trim(NOTHING);
    const counted = { from: machine, latest: machine + MINUTE };
    const { believed, ...trimmed } = await store.trim({ ...WEEK, counted });
    t.match(trimmed, { messages: 0, keys: 0 });
    t.ok(machine - believed > 7 * DAY, 'it counts from a time that the log does not remember');
    t.match((await store.append([keyed('kept', [draft('a')], { window: DAY })])).outcomes, [{ kind: 'replayed' }]);
  });

  await t.test('a count that goes on from less than the log remembers changes nothing', async (t) => {
    const database = await factory(t);
    const store = await openStore(t, database);
    await stored(store, numberedRequests(3));
    await store.trim(WEEK);
    await database.clockJumped(8 * DAY);
    const { machine, believed: remembered } = await store.trim(NOTHING);
    const { believed, messages } = await store.trim({ ...WEEK, counted: { from: remembered - MINUTE, latest: machine } });
    t.equal(believed, remembered);
    t.equal(messages, 0);
  });

  await t.test('a message stored by a clock far behind keeps its place: later neither it nor its key is too old', async (t) => {
    const database = await factory(t);
    const store = await openStore(t, database);
    await store.append([keyed('known', [draft('a')], { window: DAY })]);
    await store.trim(NOTHING);
    await idle(database, store);

    await database.clockJumped(-HOUR / 2);
    await stored(store, [request(draft('a'))]);
    await database.clockJumped(HOUR / 2);
    const little = await store.trim(NOTHING);
    t.equal(little.believed, little.machine, 'somewhat behind is no matter');

    const furthest = await idle(database, store);
    await database.clockJumped(-2 * HOUR);
    t.match((await store.append([keyed('known', [draft('a')], { window: DAY })])).outcomes, [{ kind: 'replayed' }]);
    await store.append([]);
    await database.clockJumped(2 * HOUR);
    const nothingStored = await store.trim(NOTHING);
    t.equal(nothingStored.believed, nothingStored.machine, 'what stores nothing is no matter either');

    await database.clockJumped(-2 * HOUR);
    const one = keyed('behind', [draft('a')], { window: HOUR / 2 });
    const { first } = (await store.append([one])).outcomes[0] as { first: number };
    await database.clockJumped(2 * HOUR);
    // An instance that has not looked since counts on from what the log remembered before.
    for (const counted of [{}, { counted: { from: furthest, latest: furthest + MINUTE } }]) {
      const { machine, believed, ...trimmed } = await store.trim({ ...NOTHING, maxAge: HOUR, ...counted });
      t.match(trimmed, { keys: 0 });
      t.ok(trimmed.log.oldest <= first);
      t.ok(Math.abs(machine - believed - 2 * HOUR) < MINUTE, `${machine - believed}`);
    }
    t.match((await store.append([one])).outcomes, [{ kind: 'replayed', first }]);
  });
}
