import { t } from 'tap';
import { KnownKeys } from '../../src/access/records/known-keys.ts';
import { CredentialsUnavailable } from '../../src/access/records/credentials-unavailable.ts';
import { Counters } from '../../src/runtime/counters.ts';
import type { Holder } from '../../src/runtime/sharing/fair-shares.ts';
import { FIND_MAX_KEYS, type KeyChanges, type KeyRecord } from '../../src/store/contracts/key-store.ts';
import { StoreError } from '../../src/store/store.ts';
import { settle, TestClock } from '../support/clock.ts';
import { quietLogger } from '../support/logger.ts';

/** Rows that a test changes, and questions that it may hold back. */
class Rows {
  readonly rows = new Map<string, KeyRecord>();
  readonly changes: string[] = [];
  readonly asked: string[][] = [];
  readonly noted: string[][] = [];
  looks = 0;
  isAway = false;
  now = 1_000_000;
  /** Answers of `findKeys` wait for it: they were read before. */
  gate: Promise<void> | undefined;

  set(id: string, revoked?: number): void {
    this.changes.push(id);
    this.rows.set(id, { id, name: id, permissions: { publish: ['>'], subscribe: [], admin: false, operate: false }, secrets: [], created: 0, expires: undefined, revoked, lastUsed: undefined });
  }

  async keyChanges(after: number): Promise<KeyChanges> {
    this.looks++;
    this.#refuse();
    return { version: this.changes.length, changed: after > this.changes.length ? undefined : this.changes.slice(after), revocations: 0, now: this.now };
  }

  async findKeys(ids: readonly string[]): Promise<readonly KeyRecord[]> {
    this.asked.push([...ids]);
    this.#refuse();
    const found = ids.flatMap((id) => this.rows.get(id) ?? []);
    await this.gate;
    return found;
  }

  async noteUse(ids: readonly string[]): Promise<void> {
    this.#refuse();
    this.noted.push([...ids]);
  }

  #refuse(): void {
    if (this.isAway) throw new StoreError('unavailable', 'the database is away');
  }

  listKeys = never;
  createKey = never;
  rotateKey = never;
  revokeKey = never;
}

const NO_REVOCATIONS = { follow: () => Promise.resolve() };

function never(): never {
  throw new Error('No instance does this here.');
}

async function opened(): Promise<{ rows: Rows; clock: TestClock; keys: KnownKeys }> {
  const rows = new Rows();
  rows.set('a');
  const clock = new TestClock();
  const keys = new KnownKeys({ store: rows, revocations: NO_REVOCATIONS, counters: new Counters(), clock, logger: quietLogger, pollMs: 1_000 });
  await keys.open();
  return { rows, clock, keys };
}

t.test('a key in use costs one question, however often it is asked for', async (t) => {
  const { rows, clock, keys } = await opened();
  t.equal((await keys.find('a'))?.id, 'a');
  for (let second = 0; second < 50; second++) {
    await clock.advance(1_000);
    t.equal((keys.find('a') as KeyRecord).id, 'a', 'known at once');
  }
  t.equal(rows.asked.length, 1);
  await clock.advance(20_000);
  t.equal((await keys.find('a'))?.id, 'a');
  t.equal(rows.asked.length, 2, 'a row is asked for again after a minute, whatever the list of changes says');
});

t.test('a change counts after the next poll, and at once where this instance looks itself', async (t) => {
  const { rows, clock, keys } = await opened();
  await keys.find('a');
  rows.set('a', 5);
  await clock.advance(1_000);
  t.equal((await keys.find('a'))?.revoked, 5);
  rows.set('a', 6);
  await keys.look();
  t.equal((await keys.find('a'))?.revoked, 6);
});

t.test('a row that was read before a change, and arrives after it, is not believed', async (t) => {
  const { rows, keys } = await opened();
  const gate = Promise.withResolvers<void>();
  rows.gate = gate.promise;
  const found = keys.find('a');
  await settle();
  rows.set('a', 5);
  await keys.look();
  rows.gate = undefined;
  gate.resolve();
  t.equal((await found)?.revoked, 5);
  t.equal((keys.find('a') as KeyRecord).revoked, 5);
  t.equal(rows.asked.length, 2);
});

t.test('a row that does not match the shown secret is asked for again, and replaces the known one only if it matches', async (t) => {
  const { rows, keys } = await opened();
  const old = await keys.find('a');
  rows.set('a', 5);
  t.equal((await keys.findAgain('a', () => false))?.revoked, 5);
  t.equal(keys.find('a'), old);
  t.equal((await keys.findAgain('a', ({ revoked }) => revoked === 5))?.revoked, 5);
  t.equal((keys.find('a') as KeyRecord).revoked, 5, 'before the next poll');
  t.equal(rows.asked.length, 3);
  rows.isAway = true;
  await t.rejects(keys.findAgain('a', () => true), CredentialsUnavailable);
});

t.test('what no key has is asked for each time, so that it takes no room', async (t) => {
  const { rows, keys } = await opened();
  t.equal(await keys.find('x'), undefined);
  rows.set('x');
  t.equal((await keys.find('x'))?.id, 'x', 'a key that was just made is good at once');
});

t.test('questions of one turn, or during another question, are asked together', async (t) => {
  const { rows, keys } = await opened();
  const ids = Array.from({ length: 3 * FIND_MAX_KEYS }, (_, index) => `k${index}`);
  for (const id of ids) rows.set(id);
  const found = await Promise.all([...ids, ...ids.slice(0, 10)].map(async (id) => keys.find(id)));
  t.same(found.map((record) => record?.id), [...ids, ...ids.slice(0, 10)]);
  t.equal(rows.asked.length, 4);
});

t.test('a client that asks for thousands of unknown keys delays nobody else, and nobody else is refused', async (t) => {
  const { rows, keys } = await opened();
  const gate = Promise.withResolvers<void>();
  rows.gate = gate.promise;
  const greedy = (): Holder => ['address', 'greedy'];
  const ask = (index: number): Promise<string> => Promise.resolve(keys.find(`x${index}`, greedy)).then(() => 'answered', () => 'refused');
  const codes = Array.from({ length: FIND_MAX_KEYS }, (_, index) => ask(index));
  await settle();
  for (let index = 0; index < 10_000; index++) codes.push(ask(FIND_MAX_KEYS + index));
  await t.rejects(Promise.resolve(keys.find('y', greedy)), CredentialsUnavailable);
  const others = ['a', 'b', 'c'].map((id) => Promise.resolve(keys.find(id, () => ['address', id])));
  gate.resolve();
  t.equal((await others[0])?.id, 'a');
  await Promise.all(others);
  t.equal(rows.asked.findIndex((ids) => ids.includes('c')), 1, 'with the next question');
  const outcomes = await Promise.all(codes);
  t.ok(outcomes.lastIndexOf('answered') < outcomes.indexOf('refused'), 'the last ones make room');
});

t.test('while the database is away no key is believed for longer than three seconds, and then it goes on by itself', async (t) => {
  const { rows, clock, keys } = await opened();
  await keys.find('a');
  rows.isAway = true;
  await clock.advance(2_000);
  t.equal((keys.find('a') as KeyRecord).id, 'a');
  await clock.advance(1_001);
  await t.rejects(Promise.resolve(keys.find('a')), CredentialsUnavailable);
  rows.set('a', 5);
  rows.isAway = false;
  t.equal((await keys.find('a'))?.revoked, 5, 'the list of changes is asked for first');
  await clock.advance(1_000);
  t.equal((keys.find('a') as KeyRecord).revoked, 5);
});

t.test('where nobody can say what changed, nothing is believed', async (t) => {
  const { rows, clock, keys } = await opened();
  rows.set('b');
  await clock.advance(1_000);
  await keys.find('a');
  await keys.find('b');
  // The database is an older copy: it has given fewer versions, and does not have b.
  rows.changes.length = 1;
  rows.rows.delete('b');
  await clock.advance(1_000);
  t.equal(await keys.find('b'), undefined);
  t.equal((await keys.find('a'))?.id, 'a');
});

t.test('whether there has ever been a key is known after the first look', async (t) => {
  const rows = new Rows();
  const keys = new KnownKeys({ store: rows, revocations: NO_REVOCATIONS, counters: new Counters(), clock: new TestClock(), logger: quietLogger, pollMs: 1_000 });
  t.equal(keys.hasEverBeen, undefined);
  await keys.open();
  t.equal(keys.hasEverBeen, false);
  rows.set('a');
  await keys.look();
  t.equal(keys.hasEverBeen, true);
  keys.stop();
});

t.test('which keys were used is written down once a minute', async (t) => {
  const { rows, clock, keys } = await opened();
  for (let count = 0; count < 100; count++) keys.noteUse('a');
  keys.noteUse('b');
  await clock.advance(59_000);
  t.same(rows.noted, []);
  await clock.advance(2_000);
  t.same(rows.noted, [['a', 'b']]);
  await clock.advance(120_000);
  t.equal(rows.noted.length, 1, 'nothing was used since');
});

t.test('a flood of questions is refused rather than kept', async (t) => {
  const { rows, keys } = await opened();
  rows.gate = new Promise(() => undefined);
  const ends: string[] = [];
  for (let count = 0; count < 10_200; count++) {
    Promise.resolve(keys.find(`x${count}`)).then(() => ends.push('found'), (error: unknown) => ends.push(error instanceof CredentialsUnavailable ? 'refused' : String(error)));
  }
  await settle();
  t.ok(ends.length >= 100 && ends.every((end) => end === 'refused'), `${ends.length} were refused`);
});

t.test('after it is stopped it asks no more', async (t) => {
  const { rows, clock, keys } = await opened();
  const { looks } = rows;
  keys.stop();
  await clock.advance(10_000);
  t.equal(rows.looks, looks);
});

t.test('whether there has been a key is believed for three seconds; once there was one, that stays', async (t) => {
  const rows = new Rows();
  const clock = new TestClock();
  const keys = new KnownKeys({ store: rows, revocations: NO_REVOCATIONS, counters: new Counters(), clock, logger: quietLogger, pollMs: 60_000 });
  await keys.open();
  t.equal(keys.hasEverBeen, false);
  await clock.advance(3_001);
  t.same([keys.hasEverBeen, keys.hasBeenHeardOf], [undefined, false]);
  rows.isAway = true;
  await t.rejects(keys.askEverBeen(), CredentialsUnavailable);
  rows.isAway = false;
  rows.set('a');
  t.equal(await keys.askEverBeen(), true);
  // A backup from before the first key.
  rows.changes.length = 0;
  await keys.look();
  await clock.advance(10_000);
  t.equal(keys.hasEverBeen, true);
});

t.test('a request waits three seconds for a database that hangs, and known keys stay known', async (t) => {
  const { rows, clock, keys } = await opened();
  await keys.find('a');
  rows.gate = new Promise(() => undefined);
  const found = t.rejects(Promise.resolve(keys.find('b')), CredentialsUnavailable);
  await clock.advance(3_000);
  await found;
  t.equal(keys.recall('a')?.id, 'a');
  t.equal(keys.recall('b'), undefined);
});

t.test('an operator reads of the first key, of changes, and of changes that the database has lost', async (t) => {
  const lines: string[] = [];
  const note = (facts: unknown, sentence?: string): void => void lines.push(`${sentence} ${JSON.stringify(facts)}`);
  const rows = new Rows();
  const keys = new KnownKeys({ store: rows, revocations: NO_REVOCATIONS, counters: new Counters(), clock: new TestClock(), logger: { info: note, warn: note }, pollMs: 1_000 });
  await keys.open();
  rows.set('a');
  await keys.look();
  rows.set('b');
  await keys.look();
  await keys.look();
  rows.changes.length = 1;
  await keys.look();
  t.match(lines, [/the first API key was made.*"keys":\["a"\]/, /API keys were changed.*"keys":\["b"\]/, /lost changes/]);
  t.equal(lines.length, 3);
});
