import { chmodSync, closeSync, copyFileSync, existsSync, openSync, readdirSync, readFileSync, renameSync, statSync, symlinkSync, truncateSync, unlinkSync, writeFileSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import t from 'tap';
import { connect, monotonic } from '../../../src/store/sqlite/files/connection.ts';
import { readClocks } from '../../../src/store/sqlite/log-clock.ts';
import { migrate } from '../../../src/store/sqlite/files/migrate.ts';
import { SqliteStore } from '../../../src/store/sqlite/sqlite.ts';
import { WAL_HELD_BYTES, WAL_KEPT_BYTES, WAL_MAX_BYTES, WalShortener } from '../../../src/store/sqlite/files/write-ahead-log.ts';
import { draft, everyCall, numberedRequests, openStore, range, readMessages, request, stored, texts } from '../../contract/store-kit.ts';
import { recordingLogger } from '../../support/logger.ts';
import { tempFolder } from '../../support/temp.ts';
import { SqliteDatabase } from './database.ts';

const REPLACED = /was replaced or removed while in use; put that same file back, or stop Tidings/;

t.test('the folder of the database is made', async (t) => {
  const file = join(tempFolder(t), 'two', 'folders', 'tidings.db');
  const store = new SqliteStore({ file, logger: recordingLogger().logger });
  t.teardown(() => store.close());
  await store.open();
  t.ok(existsSync(file));
});

/** The permissions of the database file, its write-ahead log and the index. */
function modes(file: string): string[] {
  return ['', '-wal', '-shm'].map((suffix) => (statSync(`${file}${suffix}`).mode & 0o777).toString(8));
}

t.test('the files of a database are their owner\'s alone', { skip: process.getuid === undefined ? 'this system has no such permissions' : false }, async (t) => {
  const before = process.umask(0o022);
  t.teardown(() => process.umask(before));
  const database = new SqliteDatabase(t);
  const store = database.store();
  t.teardown(() => store.close());
  await store.open();
  t.same(modes(database.file), ['600', '600', '600']);

  await t.test('also where an earlier version left them to everybody; what a group was given stays', async (t) => {
    for (const [mode, after] of [[0o644, '600'], [0o666, '600'], [0o664, '600'], [0o640, '640'], [0o660, '660'], [0o600, '600']] as const) {
      const earlier = new SqliteDatabase(t);
      migrate(earlier.file);
      chmodSync(earlier.file, mode);
      const one = earlier.store();
      t.teardown(() => one.close());
      await one.open();
      t.same(modes(earlier.file), [after, after, after], mode.toString(8));
    }
  });

  await t.test('also behind a link to a file that is not there yet', async (t) => {
    const link = new SqliteDatabase(t);
    const target = join(tempFolder(t), 'target.db');
    symlinkSync(target, link.file);
    const one = link.store();
    t.teardown(() => one.close());
    await one.open();
    t.same(modes(target), ['600', '600', '600']);
  });
});

t.test('a database of another program is refused, and left as it is', async (t) => {
  const DRIZZLE = 'CREATE TABLE __drizzle_migrations (id SERIAL PRIMARY KEY, hash text NOT NULL, created_at numeric);';
  for (const [what, sql] of [
    ['drizzle, earlier', `${DRIZZLE} INSERT INTO __drizzle_migrations (hash, created_at) VALUES ('abc', 1600000000000); CREATE TABLE users (id integer)`],
    ['drizzle, later', `${DRIZZLE} INSERT INTO __drizzle_migrations (hash, created_at) VALUES ('abc', 99900000000000)`],
    ['drizzle, nothing applied', DRIZZLE],
    ['tables of its own', 'CREATE TABLE messages (id integer, body text)'],
  ] as const) {
    const database = new SqliteDatabase(t);
    const foreign = new Database(database.file);
    foreign.exec(sql);
    foreign.close();
    const bytes = readFileSync(database.file);
    const store = database.store();
    t.teardown(() => store.close());
    const refused = { kind: 'unavailable', message: /^the database belongs to another program: .*DATABASE_URL$/ };
    await t.rejects(store.open(), refused, what);
    t.throws(() => migrate(database.file), refused, what);
    await t.rejects(readClocks(database.file), refused, what);
    t.ok(readFileSync(database.file).equals(bytes), what);
  }
});

t.test('a file that is no database is left as it is, and opening works once there is a good one', async (t) => {
  const database = new SqliteDatabase(t);
  const text = 'This is a letter to my aunt, and no database. '.repeat(200);
  writeFileSync(database.file, text);
  const store = database.store();
  t.teardown(() => store.close());
  await t.rejects(store.open(), { kind: 'unavailable', message: /not a SQLite database/ });
  await t.rejects(store.open(), { kind: 'unavailable', message: /not a SQLite database/ });
  t.equal(readFileSync(database.file, 'utf8'), text);
  unlinkSync(database.file);
  t.match(await store.open(), { head: 0 });
  t.same(await stored(store, [request(draft('a'))]), [1]);
});

t.test('a database that is damaged', async (t) => {
  const whole = new SqliteDatabase(t);
  const store = whole.store();
  await store.open();
  await stored(store, numberedRequests(3_000));
  await store.close();
  const { size } = statSync(whole.file);

  await t.test('its first pages are noise', async (t) => {
    const broken = new SqliteDatabase(t);
    copyFileSync(whole.file, broken.file);
    const descriptor = openSync(broken.file, 'r+');
    writeSync(descriptor, Buffer.alloc(40_000, 0xa5), 0, 40_000, 4_096);
    closeSync(descriptor);
    const one = broken.store();
    t.teardown(() => one.close());
    await t.rejects(one.open(), { kind: 'unavailable', message: /damaged/ });
  });

  await t.test('its end is missing', async (t) => {
    const broken = new SqliteDatabase(t);
    copyFileSync(whole.file, broken.file);
    truncateSync(broken.file, Math.floor(size / 2));
    const one = broken.store();
    t.teardown(() => one.close());
    // Depending on which pages are gone, it shows on opening or on the first use.
    await t.rejects(one.open().then(() => one.append([request(draft('numbers'))])), { kind: 'unavailable', message: /damaged/ });
  });

  await t.test('its head was put back, but not its messages', async (t) => {
    const broken = new SqliteDatabase(t);
    copyFileSync(whole.file, broken.file);
    broken.direct((db) => db.exec('UPDATE head SET seq = 1000'));
    const one = broken.store();
    t.teardown(() => one.close());
    await t.rejects(one.open(), { kind: 'unavailable', message: /damaged: the log goes from 1 to 1000, its messages from 1 to 3000/ });
  });
});

t.test('a file that is replaced, moved or removed under the store', async (t) => {
  const database = new SqliteDatabase(t);
  const store = await openStore(t, database);
  await stored(store, [request(draft('a', 'kept'))]);

  await t.test('moved away: unavailable; nothing is written to it', async (t) => {
    renameSync(database.file, `${database.file}.moved`);
    for (const call of everyCall(store)) await t.rejects(call(), { kind: 'unavailable', message: REPLACED });
    t.notOk(existsSync(database.file), 'and no new file is made');
  });

  await t.test('put back: it goes on', async (t) => {
    renameSync(`${database.file}.moved`, database.file);
    t.same(await stored(store, [request(draft('a', 'kept too'))]), [2]);
    t.same(texts(await readMessages(store)), ['kept', 'kept too']);
  });

  await t.test('replaced: unavailable; the new file is left alone', async (t) => {
    const other = new SqliteDatabase(t);
    const another = other.store();
    await another.open();
    await stored(another, [request(draft('a', 'another log'))]);
    await another.close();
    renameSync(other.file, database.file);
    const bytes = readFileSync(database.file);
    for (const call of everyCall(store)) await t.rejects(call(), { kind: 'unavailable', message: REPLACED });
    const wal = readFileSync(`${database.file}-wal`);
    await store.close();
    t.ok(readFileSync(database.file).equals(bytes));
    t.notOk(existsSync(`${database.file}-wal`), 'the write-ahead log of the old file is not left to the new one');
    const [aside] = readdirSync(dirname(database.file)).filter((name) => name.startsWith('tidings.db-wal.replaced-'));
    t.ok(readFileSync(join(dirname(database.file), aside!)).equals(wal), 'and not deleted');
    t.same(texts(await readMessages(await openStore(t, database))), ['another log']);
  });
});

t.test('a file that is replaced while an append waits for the lock: nothing is stored', async (t) => {
  const database = new SqliteDatabase(t, { lockWaitMs: 60_000 });
  const store = await openStore(t, database);
  const holder = new Database(database.file);
  t.teardown(() => holder.close());
  holder.exec('BEGIN IMMEDIATE');
  const append = store.append([request(draft('a'))]);
  renameSync(database.file, `${database.file}.moved`);
  holder.exec('COMMIT');
  await t.rejects(append, { kind: 'unavailable', message: REPLACED });
  renameSync(`${database.file}.moved`, database.file);
  t.same(await readMessages(store), []);
});

t.test('a schema that is newer than the program', async (t) => {
  const database = new SqliteDatabase(t);
  const store = await openStore(t, database);
  await store.close();
  database.direct((db) => db.prepare('INSERT INTO "__drizzle_migrations" (hash, created_at) VALUES (?, ?)').run('from the future', Date.now() + 1e11));
  const older = database.store();
  t.teardown(() => older.close());
  await t.rejects(older.open(), { kind: 'unavailable', message: /made by a newer version of Tidings .*: start that version, or restore a copy/ });
  t.throws(() => migrate(database.file), { name: 'StoreError', kind: 'unavailable', message: /newer version/ });
  t.equal(database.direct((db) => db.prepare('SELECT count(*) FROM epochs').pluck().get()), 1, 'it wrote nothing');
});

t.test('migrating without opening', async (t) => {
  const database = new SqliteDatabase(t);
  const file = join(tempFolder(t), 'tidings.db');
  t.ok(migrate(file).applied > 0, 'makes a new database');
  t.equal(migrate(file).applied, 0, 'and does nothing the second time');
  renameSync(file, database.file);
  const store = await openStore(t, database);
  t.same((await store.state()).lineage.epochs.map(({ first }) => first), [1], 'it began no epoch');
  t.same(await stored(store, [request(draft('a'))]), [1]);
});

t.test('of many epochs, those without a message or key are forgotten beyond the newest thousand', async (t) => {
  const database = new SqliteDatabase(t);
  const store = await openStore(t, database);
  const [old] = (await store.append([{ drafts: [draft('a')], key: { scope: '', key: 'k', fingerprint: new Uint8Array(32), window: 1e9 } }])).outcomes;
  database.direct((db) => {
    const insert = db.prepare('INSERT INTO epochs (epoch, first) VALUES (?, ?)');
    // Each with a message, as far as this table tells.
    db.transaction(() => range(1, 1_500).forEach((index) => insert.run(`spare${index}`, 1 + index)))();
    db.exec('UPDATE head SET epoch = (SELECT max(id) FROM epochs)');
  });
  await openStore(t, database);
  t.equal((await store.state()).lineage.epochs.length, 1_502, 'none while the log goes back to the first');
  await stored(store, [request(draft('a'))]);
  await store.trim({ maxAge: 0, maxBytes: 1, rows: 10 });
  await openStore(t, database);
  const { lineage } = await store.state();
  t.equal(lineage.epochs.length, 1_001);
  t.same((await store.append([{ drafts: [draft('a')], key: { scope: '', key: 'k', fingerprint: new Uint8Array(32), window: 1e9 } }])).outcomes, [{ ...old, kind: 'replayed' }]);
});

t.test('after a burst the write-ahead log shrinks, also when a read transaction kept it from being emptied', async (t) => {
  const database = new SqliteDatabase(t);
  const store = await openStore(t, database);
  const wal = (): number => statSync(`${database.file}-wal`).size;
  const sqliteConnection = new Database(database.file);
  t.teardown(() => sqliteConnection.close());
  sqliteConnection.exec('BEGIN');
  sqliteConnection.prepare('SELECT * FROM head').get();
  for (const _ of range(1, 2)) await stored(store, [request(...range(1, 40).map(() => draft('big', Buffer.alloc(1_000_000))))]);
  t.ok(wal() > WAL_KEPT_BYTES && wal() < WAL_MAX_BYTES, 'the read transaction keeps it');
  sqliteConnection.exec('COMMIT');
  sqliteConnection.close();
  await stored(store, [request(draft('a'))]);
  await stored(store, [request(draft('a'))]);
  t.ok(wal() <= WAL_KEPT_BYTES, `${wal()} bytes are left`);
  await store.close();
  t.notOk(existsSync(`${database.file}-wal`), 'and nothing when the last store has closed');
});

t.test('the write-ahead log does not grow for ever where some read is always under way', async (t) => {
  const database = new SqliteDatabase(t);
  const store = await openStore(t, database);
  const sqliteConnections = range(1, 2).map(() => new Database(database.file));
  t.teardown(() => sqliteConnections.forEach((sqliteConnection) => sqliteConnection.close()));
  const begin = (sqliteConnection: Database.Database): unknown => sqliteConnection.exec('BEGIN').prepare('SELECT * FROM head').get();
  let [current, next] = sqliteConnections as [Database.Database, Database.Database];
  begin(current);
  const turns = setInterval(() => {
    // One begins before the other ends.
    begin(next);
    current.exec('COMMIT');
    [current, next] = [next, current];
  }, 10);
  t.teardown(() => clearInterval(turns));
  const request10MB = request(...range(1, 10).map(() => draft('big', Buffer.alloc(1_000_000))));
  const sizes: number[] = [];
  for (const _ of range(1, 20)) {
    await stored(store, [request10MB]);
    sizes.push(statSync(`${database.file}-wal`).size);
  }
  t.ok(Math.max(...sizes) < WAL_MAX_BYTES + 30_000_000, `${Math.max(...sizes)} bytes at most, of 200 MB written`);
});

t.test('a reader that stays keeps the write-ahead log, is waited for now and then, and is told of once', async (t) => {
  const database = new SqliteDatabase(t);
  const store = await openStore(t, database);
  const wal = (): number => statSync(`${database.file}-wal`).size;
  const warnings = (): number => database.lines.filter((line) => line.includes('grows with each publish')).length;
  const reader = new Database(database.file);
  t.teardown(() => reader.close());
  reader.exec('BEGIN');
  reader.prepare('SELECT * FROM head').get();
  const grow = async (beyond: number): Promise<void> => {
    while (wal() < beyond) await stored(store, [request(...range(1, 10).map(() => draft('big', Buffer.alloc(1_000_000))))]);
  };

  await grow(WAL_MAX_BYTES);
  await store.state();
  t.equal(warnings(), 0);
  const { db, files } = connect(database.file, monotonic() + 10_000, {});
  t.teardown(() => db.close());
  const waits: string[] = [];
  const counted = new Proxy(db, {
    get: (target, name) => (name !== 'pragma' ? Reflect.get(target, name, target) as unknown : (text: string, options?: Database.PragmaOptions) => {
      if (text.startsWith('wal_checkpoint')) waits.push(text);
      return target.pragma(text, options);
    }),
  });
  const shortener = new WalShortener();
  const shorten = (): void => {
    files.look();
    shortener.shorten({ db: counted, files });
  };
  for (const _ of range(1, 20)) shorten();
  t.equal(waits.length, 1, 'twenty commits, one wait');
  await grow(WAL_HELD_BYTES * 1.1);
  for (const _ of range(1, 20)) shorten();
  t.equal(waits.length, 2, 'and one more when it has grown by half');
  for (const _ of range(1, 3)) await store.state();
  t.equal(warnings(), 1);

  reader.exec('COMMIT');
  for (const _ of range(1, 3)) await stored(store, [request(draft('a'))]);
  t.ok(wal() <= WAL_KEPT_BYTES, `${wal()} bytes are left`);
});
