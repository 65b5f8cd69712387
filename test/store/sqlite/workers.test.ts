import { renameSync } from 'node:fs';
import type { Worker } from 'node:worker_threads';
import Database from 'better-sqlite3';
import t, { type Test } from 'tap';
import type { Store } from '../../../src/store/store.ts';
import { draft, failure, impossible, numberedRequests, openStore, range, readMessages, request, seqs, stored, texts } from '../../contract/store-kit.ts';
import { until } from '../../support/until.ts';
import { SqliteDatabase } from './database.ts';

/** Opens a store, and returns its workers too: the writer, the query worker, then the workers that take their places. */
async function openWatched(t: Test, database: SqliteDatabase): Promise<{ store: Store; workers: Worker[] }> {
  const workers: Worker[] = [];
  const watch = (worker: Worker): number => workers.push(worker);
  process.on('worker', watch);
  t.teardown(() => process.removeListener('worker', watch));
  const store = await openStore(t, database);
  await until('both run', () => workers.length === 2);
  return { store, workers };
}

t.test('the writer ends in the middle of an append: nobody knows, and a new one goes on', async (t) => {
  const database = new SqliteDatabase(t, { lockWaitMs: 60_000 });
  const { store, workers } = await openWatched(t, database);
  await stored(store, [request(draft('a', 'before'))]);
  const holder = new Database(database.file);
  t.teardown(() => holder.close());
  holder.exec('BEGIN IMMEDIATE');
  const calls = [failure(store.append([request(draft('a', 'lost'))])), failure(store.append([])), failure(store.trim({ maxAge: 0, maxBytes: 0, rows: 1 }))];
  await workers[0]!.terminate();
  t.same(await Promise.all(calls), ['outcome-unknown', 'outcome-unknown', 'unavailable']);
  t.same(texts(await readMessages(store)), ['before'], 'reads go on');
  holder.exec('COMMIT');
  await until('a new writer has booted', () => workers.length >= 3);
  t.same(await stored(store, [request(draft('a', 'after'))]), [2]);
  t.same(texts(await readMessages(store)), ['before', 'after']);
  t.match(database.lines.join(''), /the database's writer ended; it boots again in 100 ms/);
});

t.test('a writer that ends while it writes leaves no lock and no half of a list', async (t) => {
  const database = new SqliteDatabase(t);
  const { store, workers } = await openWatched(t, database);
  const outcomes: string[] = [];
  for (const round of range(1, 4)) {
    const small = stored(store, [request(draft('a', 'small'))]);
    const large = failure(store.append(numberedRequests(20_000)));
    await small;
    await workers.at(round === 1 ? 0 : -1)!.terminate();
    outcomes.push(await large);
    await until('a new writer has booted', () => workers.length >= 2 + round);
  }
  // Each one had begun when its worker ended, or had been done just before.
  t.ok(outcomes.every((outcome) => outcome === 'outcome-unknown' || outcome === 'none'), outcomes.join());
  const { head } = await store.state();
  t.equal((head - 4) % 20_000, 0);
  t.same(await stored(store, [request(draft('a', 'after'))]), [head + 1]);
});

t.test('an error that nobody catches in a worker ends neither the process nor the store', async (t) => {
  const database = new SqliteDatabase(t);
  const { store, workers } = await openWatched(t, database);
  await stored(store, numberedRequests(3));
  for (const index of [0, 1]) workers[index]!.postMessage(undefined);
  await until('both have booted again', () => workers.length >= 4);
  t.match(database.lines.join(''), /"err":\{"type":"TypeError"/);
  await until('both answer', async () => await failure(store.state()) === 'none' && await failure(store.append([])) === 'none');
  t.same(seqs(await readMessages(store)), [1, 2, 3]);
  t.equal((await store.state()).lineage.epochs.length, 1, 'it is the same run of the same process');
});

t.test('a worker that boots again does not go on in another file', async (t) => {
  const database = new SqliteDatabase(t);
  const { store, workers } = await openWatched(t, database);
  await stored(store, numberedRequests(3));
  const copy = await database.backup();
  await workers[0]!.terminate();
  await workers[1]!.terminate();
  // While nobody has it open: its device and inode may be given to the next file.
  renameSync(database.file, `${database.file}.moved`);
  await until('both have booted again', () => workers.length >= 4);
  const replaced = { kind: 'unavailable', message: /was replaced or removed while in use/ };
  await t.rejects(store.state(), replaced);
  await copy();
  await t.rejects(store.state(), replaced);
  await t.rejects(store.append([]), replaced);
});

t.test('closing while a worker is away, or waits for a lock', async (t) => {
  const database = new SqliteDatabase(t, { lockWaitMs: 500 });
  const { store, workers } = await openWatched(t, database);
  const holder = new Database(database.file);
  t.teardown(() => holder.close());
  holder.exec('BEGIN IMMEDIATE');
  await workers[1]!.terminate();
  const append = failure(store.append([request(draft('a'))]));
  await store.close();
  t.equal(await append, 'unavailable');
  t.ok(workers.every(({ threadId }) => threadId === -1), 'no worker is left');
});

t.test('a row that is refused hurts only its own call', async (t) => {
  const store = await openStore(t, new SqliteDatabase(t));
  const calls = await Promise.all([failure(store.append(numberedRequests(2))), failure(store.append([impossible()])), failure(store.append(numberedRequests(2)))]);
  t.same(calls, ['none', 'refused', 'none']);
  t.same(seqs(await readMessages(store)), [1, 2, 3, 4]);
});
