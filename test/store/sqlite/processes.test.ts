import t from 'tap';
import { draft, failure, openStore, range, readMessages, request, seqs, stored, texts } from '../../contract/store-kit.ts';
import { rounds } from '../../support/rounds.ts';
import { until } from '../../support/until.ts';
import { child, SqliteDatabase } from './database.ts';

/** How often it is tried to see what a machine that stands still would hide. */
const ATTEMPTS = 4;

/** What a child said it stored: the text of each message, by its number. */
function reported(output: string): Map<number, string> {
  const messages = new Map<number, string>();
  // The last line may be cut off by its end.
  for (const line of output.split('\n').slice(0, -1)) {
    const [word, first, name] = line.split(' ');
    if (word !== 'stored') continue;
    const round = Number(name!.split('.')[1]);
    for (const part of range(0, round % 5)) messages.set(Number(first) + part, `${name}.${part}`);
  }
  return messages;
}

t.test('processes that create a database at the same moment', async (t) => {
  for (const round of range(1, rounds(2, 3))) {
    const database = new SqliteDatabase(t);
    const children = range(1, 4).map(() => child(t, ['once', database.file]));
    for (const one of children) t.match(await one.exited, { code: 0 }, `round ${round}: ${one.output}`);
    const store = await openStore(t, database);
    t.same(seqs(await readMessages(store)), [1, 2, 3, 4]);
    t.equal((await store.state()).lineage.epochs.length, 5, 'each began an epoch');
    t.equal(database.direct((db) => db.prepare('SELECT count(*) FROM head').pluck().get()), 1, 'one log');
  }
});

t.test('a process that is frozen while it holds the lock', async (t) => {
  // Long beside what a busy machine keeps a thread waiting for.
  const lockWaitMs = 4_000;
  const database = new SqliteDatabase(t, { lockWaitMs });
  const store = await openStore(t, database);
  await stored(store, [request(draft('a', 'before'))]);
  const holder = child(t, ['lock', database.file]);
  await holder.says('locked');
  holder.kill('SIGSTOP');
  // The query worker boots with its first call, and that takes as long as the machine is busy.
  t.same(texts(await readMessages(store)), ['before']);

  for (let attempt = 1; ; attempt++) {
    const start = performance.now();
    const append = failure(store.append([request(draft('a', 'lost'))]));
    const more = failure(store.append([request(draft('a', 'lost too'))]));
    const reads: string[] = [];
    let waiting = true;
    void append.then(() => (waiting = false));
    while (waiting) reads.push(texts(await readMessages(store)).join());
    t.equal(await append, 'unavailable');
    t.equal(await more, 'unavailable');
    const waited = performance.now() - start;
    t.ok(waited >= lockWaitMs, `it waited ${waited} ms for the lock`);
    t.same(reads.filter((read) => read !== 'before'), []);
    // A machine that stood still meanwhile proves nothing; one that does so each time is no machine to test on.
    const isSeen = waited < 2 * lockWaitMs && reads.length > 10;
    if (!isSeen && attempt < ATTEMPTS) continue;
    t.ok(waited < 2 * lockWaitMs, `both waited at the same time: ${waited} ms`);
    t.ok(reads.length > 10, `${reads.length} reads went on meanwhile: the event loop did not wait`);
    break;
  }

  holder.kill('SIGCONT');
  holder.kill('SIGUSR2');
  await holder.says('released');
  t.same(await stored(store, [request(draft('a', 'after'))]), [2]);
  t.same(texts(await readMessages(store)), ['before', 'after']);
  t.match(await holder.exited, { code: 0 });
});

t.test('processes are killed while they append: acknowledged messages are there, once, and nothing else is missing', async (t) => {
  const database = new SqliteDatabase(t);
  const watcher = await openStore(t, database);
  const all = new Map<number, string>();
  for (const round of range(1, 3)) {
    const children = range(1, 2).map(() => child(t, ['forever', database.file]));
    for (const [index, one] of children.entries()) {
      await until('it has stored some', () => reported(one.output).size > 60 * (index + 1));
      one.kill('SIGKILL');
    }
    for (const one of children) {
      t.match(await one.exited, { signal: 'SIGKILL' });
      for (const [seq, text] of reported(one.output)) {
        if (all.has(seq)) t.fail(`round ${round}: number ${seq} was given twice`);
        all.set(seq, text);
      }
    }
  }
  t.same(await stored(watcher, [request(draft('child', 'last'))]), [(await watcher.state()).head], 'nobody holds a lock any more');
  const messages = await readMessages(watcher);
  t.same(seqs(messages), range(1, messages.length), 'no number is missing');
  t.equal(new Set(texts(messages)).size, messages.length, 'no message is there twice');
  const there = texts(messages);
  t.same([...all].filter(([seq, text]) => there[seq - 1] !== text), [], 'all that was reported is where it was reported to be');
  t.ok(all.size > 360);
  // What was committed and not reported any more: one request of each child at most.
  t.ok(messages.length - all.size <= 1 + 6 * 5, `${messages.length} are there, ${all.size} were reported`);
});

t.test('a process ends by itself once its store is closed', async (t) => {
  const { file } = new SqliteDatabase(t);
  const one = child(t, ['once', file]);
  t.match(await one.exited, { code: 0, signal: null }, one.output);
  t.match(one.output, /^stored 1 [^]*done$/m);
});
