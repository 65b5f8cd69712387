import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, linkSync, readFileSync, renameSync, rmSync, symlinkSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { SqliteStore } from '../../../src/store/sqlite/sqlite.ts';
import { draft, failure, numberedRequests, openStore, range, readMessages, request, stored, texts } from '../../contract/store-kit.ts';
import type { Child } from '../../support/child.ts';
import { startInstance } from '../../support/instance.ts';
import { until } from '../../support/until.ts';
import { child, SqliteDatabase } from './database.ts';

/** What others do to the files of a database that is in use. What was acknowledged afterwards must be there after `kill -9`. */

const PAGE_BYTES = 4_096;
/** More than the schema and the upper pages of all tables. */
const NOISE = Buffer.alloc(20 * PAGE_BYTES, 0xa5);

/** Never in a process that has the file open: closing it would give up the process's locks on it. */
function overwrite(file: string, at: number, bytes: Uint8Array): void {
  execFileSync('dd', [`of=${file}`, 'conv=notrunc', 'oflag=seek_bytes', `seek=${at}`, 'status=none'], { input: bytes });
}

/** Lets a child append, and returns what it said about that: the kind of the error or `stored`. */
async function append(one: Child): Promise<string> {
  const said = one.output.length;
  one.kill('SIGUSR2');
  await until('it says how that went', () => one.output.indexOf('\n', said) !== -1);
  return one.output.slice(said).split(' ', 1)[0]!;
}

async function appendAgain(one: Child, times: number): Promise<string[]> {
  const outcomes: string[] = [];
  for (const _ of range(1, times)) outcomes.push(await append(one));
  return outcomes;
}

/** The texts of all messages that a child said were stored. */
function reported(one: Child): string[] {
  return [...one.output.matchAll(/^stored \d+ (\d+)$/gm)].flatMap(([, name]) => range(0, 99).map((part) => `${name!}.${part}`));
}

async function start(t: Test, file: string): Promise<Child> {
  const one = child(t, ['atSignals', file]);
  await one.says('done\n');
  t.same(await appendAgain(one, 3), ['stored', 'stored', 'stored']);
  return one;
}

async function killed(one: Child): Promise<void> {
  one.kill('SIGKILL');
  await one.exited;
}

/** What takes nothing away that was committed. */
const HARMLESS: Readonly<Record<string, (file: string) => void>> = {
  'the write-ahead log is removed': (file) => unlinkSync(`${file}-wal`),
  'the write-ahead log is moved away': (file) => renameSync(`${file}-wal`, `${file}-wal.moved`),
  'the write-ahead log is replaced by a copy': (file) => {
    copyFileSync(`${file}-wal`, `${file}-wal.copy`);
    renameSync(`${file}-wal.copy`, `${file}-wal`);
  },
  'the index of the write-ahead log is removed': (file) => unlinkSync(`${file}-shm`),
};

t.test('a write-ahead log is removed: acknowledged messages, before and afterwards, survive kill -9', async (t) => {
  for (const appends of [1, 3]) {
    const database = new SqliteDatabase(t);
    const one = await start(t, database.file);
    unlinkSync(`${database.file}-wal`);
    t.same(await appendAgain(one, appends), ['unavailable', 'stored', 'stored'].slice(0, appends));
    await killed(one);
    t.same(texts(await readMessages(await openStore(t, database))), reported(one));
  }
});

t.test('a write-ahead log that is removed while both threads have it open: one publish is refused, and the next waits until both have closed it', async (t) => {
  const database = new SqliteDatabase(t);
  const store = await openStore(t, database);
  await stored(store, numberedRequests(1));
  await readMessages(store);
  unlinkSync(`${database.file}-wal`);
  t.same([await failure(store.append(numberedRequests(1))), await failure(store.append(numberedRequests(1)))], ['unavailable', 'none']);
});

t.test('a write-ahead log that is emptied: nothing is acknowledged any more that kill -9 would lose', async (t) => {
  const database = new SqliteDatabase(t);
  const one = await start(t, database.file);
  truncateSync(`${database.file}-wal`);
  t.same(await appendAgain(one, 3), ['unavailable', 'unavailable', 'unavailable']);
  await killed(one);
  t.same(await readMessages(await openStore(t, database)), [], 'what lay in it is gone');
});

t.test('pages that are overwritten: nothing is acknowledged any more that nobody can read', async (t) => {
  const database = new SqliteDatabase(t);
  const one = await start(t, database.file);
  database.direct((db) => db.pragma('wal_checkpoint(PASSIVE)'));
  overwrite(database.file, 0, NOISE);
  t.same(await appendAgain(one, 3), ['outcome-unknown', 'unavailable', 'unavailable']);
  await killed(one);
});

t.test('an instance whose pages were overwritten is not ready, and takes no messages, before anyone has asked it for anything', async (t) => {
  const database = new SqliteDatabase(t);
  const { file } = database;
  const instance = await startInstance(t, { DATABASE_URL: `file:${file}` });
  const publish = async (): Promise<number> => (await fetch(`${instance.url}/topics/a`, { method: 'POST', body: 'x' })).status;
  t.equal(await publish(), 201);
  database.direct((db) => db.pragma('wal_checkpoint(PASSIVE)'));
  overwrite(file, 0, NOISE);
  await until('it is not ready', async () => (await fetch(`${instance.url}/readyz`)).status === 503);
  t.equal(await publish(), 503);
  await instance.says('the log cannot be read');
});

for (const [what, tamper] of Object.entries(HARMLESS)) {
  t.test(`${what}: it goes on by itself, and nothing is lost`, async (t) => {
    const database = new SqliteDatabase(t);
    const store = await openStore(t, database);
    await stored(store, numberedRequests(10));
    await readMessages(store);
    tamper(database.file);
    let refused = 0;
    await until('it stores again', async () => {
      const outcomes = [await failure(store.state()), await failure(store.append(numberedRequests(1, 'numbers', 11)))];
      refused += outcomes.filter((outcome) => outcome !== 'none').length;
      return outcomes.at(-1) === 'none';
    });
    t.ok(refused > 0, 'it noticed');
    t.same(texts(await readMessages(store)), range(1, 11).map(String));
    t.equal((await store.state()).lineage.epochs.length, 1);
  });
}

/** Each leaves the names of all three files for new files, or for none. */
const REMOVALS: Readonly<Record<string, (file: string) => void>> = {
  'the write-ahead log': (file) => unlinkSync(`${file}-wal`),
  'the index': (file) => unlinkSync(`${file}-shm`),
  'both': (file) => {
    unlinkSync(`${file}-wal`);
    unlinkSync(`${file}-shm`);
  },
};

/** The number of the first message of each request that a child said was stored. */
function numbers(one: Child): number[] {
  return [...one.output.matchAll(/^stored (\d+) /gm)].map(([, first]) => Number(first));
}

/** Lets children append in turn until each has stored something three times. */
async function appendInTurn(children: readonly Child[]): Promise<void> {
  const before = children.map((one) => numbers(one).length);
  await until('each stores again', async () => {
    for (const one of children) await append(one);
    return children.every((one, index) => numbers(one).length >= before[index]! + 3);
  });
}

for (const [what, remove] of Object.entries(REMOVALS)) {
  t.test(`${what} removed: both threads of a store take the new files`, async (t) => {
    for (const first of ['append', 'state'] as const) {
      const database = new SqliteDatabase(t);
      const store = await openStore(t, database);
      await stored(store, numberedRequests(10));
      await readMessages(store);
      remove(database.file);
      await until('it stores again', async () => {
        if (first === 'state') await failure(store.state());
        return await failure(store.append([request(draft('a'))])) === 'none';
      });
      t.ok(existsSync(`${database.file}-wal`) && existsSync(`${database.file}-shm`), `${first} first: it stores only in files that have a name`);
      await until('it can be read again', async () => await failure(store.state()) === 'none');
      t.notOk(database.lines.some((line) => line.includes('restore a copy')), 'no copy is needed');
      const second = child(t, ['once', database.file]);
      await second.exited;
      t.same(numbers(second), [12], 'another process goes on after it');
      t.same(await stored(store, [request(draft('a'))]), [13], 'and it goes on after the other');
      t.equal((await readMessages(store)).length, 13);
    }
  });

  t.test(`${what} removed before a second instance starts, or while two use the file: no number is given twice, and nothing is lost`, async (t) => {
    for (const startsAfterwards of [true, false]) {
      const database = new SqliteDatabase(t);
      const one = await start(t, database.file);
      const before = startsAfterwards ? undefined : await start(t, database.file);
      remove(database.file);
      t.equal(await append(one), 'unavailable');
      await append(one);
      const second = before ?? await start(t, database.file);
      await appendInTurn([one, second]);
      const given = [...numbers(one), ...numbers(second)];
      t.equal(new Set(given).size, given.length, 'no number is given twice');
      await killed(one);
      await killed(second);
      const held = texts(await readMessages(await openStore(t, database)));
      t.same(held.toSorted(), [...reported(one), ...reported(second)].toSorted());
      t.equal(database.direct((db) => db.pragma('integrity_check', { simple: true })), 'ok');
    }
  });
}

t.test('an instance that notices late that its index is gone does not touch what another one has written meanwhile', async (t) => {
  const database = new SqliteDatabase(t);
  const one = await start(t, database.file);
  unlinkSync(`${database.file}-shm`);
  const second = await start(t, database.file);
  database.direct((db) => db.pragma('wal_checkpoint(RESTART)'));
  t.equal(await append(second), 'stored', 'at the beginning of the write-ahead log');
  await killed(second);
  t.equal(await append(one), 'unavailable');
  await appendInTurn([one]);
  await killed(one);
  t.same(texts(await readMessages(await openStore(t, database))).toSorted(), [...reported(one), ...reported(second)].toSorted());
  t.equal(database.direct((db) => db.pragma('integrity_check', { simple: true })), 'ok');
});

/** What takes something away. */
const HARMFUL: Readonly<Record<string, (file: string) => void>> = {
  'the write-ahead log is emptied': (file) => truncateSync(`${file}-wal`),
  'the write-ahead log is cut': (file) => truncateSync(`${file}-wal`, PAGE_BYTES),
  'the database file is emptied': (file) => truncateSync(file),
  'the first pages are overwritten': (file) => overwrite(file, 0, NOISE),
};

for (const [what, tamper] of Object.entries(HARMFUL)) {
  t.test(`${what}: nothing more is acknowledged, and it is not ready`, async (t) => {
    const database = new SqliteDatabase(t);
    const store = await openStore(t, database);
    await stored(store, numberedRequests(3_000));
    // So that something lies in the file, and something in the write-ahead log.
    database.direct((db) => db.pragma('wal_checkpoint(FULL)'));
    await stored(store, numberedRequests(3));
    await store.state();
    tamper(database.file);
    t.not(await failure(store.append(numberedRequests(1))), 'none');
    for (const _ of range(1, 3)) {
      t.not(await failure(store.append(numberedRequests(1))), 'none');
      t.equal(await failure(store.state()), 'unavailable');
    }
  });
}

t.test('an old page is overwritten: reading it stops the publishers, until it can be read again', async (t) => {
  const database = new SqliteDatabase(t);
  const store = await openStore(t, database);
  await stored(store, numberedRequests(20_000));
  database.direct((db) => db.pragma('wal_checkpoint(TRUNCATE)'));
  const page = pageInTheMiddle(database);
  const at = (page - 1) * PAGE_BYTES;
  const whole = readFileSync(database.file).subarray(at, at + PAGE_BYTES);
  overwrite(database.file, at, NOISE.subarray(0, PAGE_BYTES));
  t.same(await stored(store, [request(draft('a'))]), [20_001], 'nobody has read it');
  await store.state();
  t.equal(await failure(readMessages(store)), 'unavailable');
  await t.rejects(store.append([request(draft('a'))]), { kind: 'unavailable', message: /damaged/ });
  await t.rejects(store.append([]), { kind: 'unavailable', message: /damaged/ });
  await t.rejects(store.state(), { kind: 'unavailable', message: /damaged/ });
  overwrite(database.file, at, whole);
  await store.state();
  t.same(await stored(store, [request(draft('a'))]), [20_002]);
  t.equal((await readMessages(store)).length, 20_002);
});

t.test('a message that is missing in the middle is damage, and no end of the page', async (t) => {
  const database = new SqliteDatabase(t);
  const store = await openStore(t, database);
  await stored(store, numberedRequests(10));
  database.direct((db) => db.exec('DELETE FROM messages WHERE seq = 5'));
  await t.rejects(readMessages(store), { kind: 'unavailable', message: /message 5 is missing/ });
  t.equal(await failure(store.append([])), 'unavailable');
});

t.test('a log that ends before acknowledged messages does not go on in the same epoch', async (t) => {
  const database = new SqliteDatabase(t);
  const store = await openStore(t, database);
  await stored(store, numberedRequests(10));
  await store.state();
  database.direct((db) => db.exec('DELETE FROM messages WHERE seq > 5; DELETE FROM recent WHERE seq > 5; UPDATE head SET seq = 5'));
  await t.rejects(store.append([request(draft('a'))]), { kind: 'unavailable', message: /has lost its newest messages: it ends at \d+, and ended at 10/ });
  await t.rejects(store.state(), { kind: 'unavailable', message: /has lost its newest messages: it ends at 5, and ended at 10/ });
  const again = await openStore(t, database);
  t.same(await stored(again, [request(draft('a'))]), [6]);
  t.equal((await again.state()).lineage.epochs.length, 2);
});

t.test('a write-ahead log without its database file is not thrown away', async (t) => {
  const database = new SqliteDatabase(t);
  await stored(await openStore(t, database), numberedRequests(3));
  const copied = new SqliteDatabase(t);
  const store = copied.store();
  t.teardown(() => store.close());
  copyFileSync(`${database.file}-wal`, `${copied.file}-wal`);
  const refusal = { kind: 'unavailable', message: /is missing or empty, but its write-ahead log .* is not/ };
  await t.rejects(store.open(), refusal);
  writeFileSync(copied.file, '');
  await t.rejects(store.open(), refusal);
  copyFileSync(database.file, copied.file);
  await store.open();
  t.same(texts(await readMessages(store)), ['1', '2', '3']);
});

t.test('a file of two names is opened by neither; one that is given another name while it is open goes on, and says so', async (t) => {
  const database = new SqliteDatabase(t);
  const { file } = database;
  const other = `${file}.other`;
  const store = await openStore(t, database);
  await stored(store, numberedRequests(1));
  linkSync(file, other);
  for (const name of [file, other]) {
    const second = new SqliteStore({ file: name, logger: pino({ level: 'silent' }) });
    await t.rejects(second.open(), { kind: 'unavailable', message: /^DATABASE_URL: .* has 2 names \(hard links\)/ });
    await second.close();
  }
  t.same(await stored(store, numberedRequests(1)), [2], 'no other process can open it');
  const complaints = (): number => database.lines.filter((line) => line.includes('was given another name (a hard link)')).length;
  await store.state();
  t.equal(complaints(), 1, 'at the first look');
  await store.state();
  t.equal(complaints(), 1, 'and once');
  rmSync(other);
  await openStore(t, database);
});

t.test('of two processes by two names of one file, the second does not begin', async (t) => {
  const { file } = new SqliteDatabase(t);
  const one = await start(t, file);
  linkSync(file, `${file}.other`);
  const second = child(t, ['open', `${file}.other`]);
  await second.exited;
  t.match(second.output, /^open: unavailable DATABASE_URL: /);
  t.equal(await append(one), 'stored');
});

t.test('a symbolic link is the same database', async (t) => {
  const database = new SqliteDatabase(t);
  const store = await openStore(t, database);
  symlinkSync(database.file, `${database.file}.link`);
  const one = await start(t, `${database.file}.link`);
  await killed(one);
  await stored(store, [request(draft('a', 'last'))]);
  t.same(texts(await readMessages(store)), [...reported(one), 'last']);
});

/** A page that holds messages, far from both ends. */
function pageInTheMiddle(database: SqliteDatabase): number {
  return database.direct((db) => db.prepare<[], number>("SELECT pageno FROM dbstat WHERE name = 'messages' AND pagetype = 'leaf' ORDER BY path LIMIT 1 OFFSET 100").pluck().get()!);
}
