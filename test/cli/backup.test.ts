import Database from 'better-sqlite3';
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { MOVED_LEVELS } from '../../src/store/level.ts';
import { SqliteStore } from '../../src/store/sqlite/sqlite.ts';
import { draft, openStore, range, request, stored } from '../contract/store-kit.ts';
import { child, SqliteDatabase } from '../store/sqlite/database.ts';
import { Child } from '../support/child.ts';
import { COMMAND_ENV } from '../support/compile-cache.ts';
import { recordingLogger } from '../support/logger.ts';
import { tempFolder, type Scope } from '../support/temp.ts';
import { until } from '../support/until.ts';

/** `tidings backup`, as a process. */

const TIDINGS = join(import.meta.dirname, '../../src/tidings.js');
/** So much to copy that many commits happen meanwhile. */
const FILLED_MESSAGES = 40;
const FILLED_BYTES = 1_000_000;
/** A backup that has not ended after so many more messages does not end. */
const MEANWHILE_MAX_MESSAGES = 100_000;

function start(t: Scope, url: string, args: readonly string[]): Child {
  return new Child(t, process.execPath, [TIDINGS, 'backup', ...args], { cwd: tempFolder(t), env: { ...COMMAND_ENV, DATABASE_URL: url } });
}

async function run(t: Scope, url: string, ...args: readonly string[]): Promise<{ readonly code: number | null; readonly output: string }> {
  const child = start(t, url, args);
  const { code } = await child.exited;
  return { code, output: child.output };
}

t.test('a backup under load ends, and is whole: the example of --help', async (t) => {
  const database = new SqliteDatabase(t);
  const store = await openStore(t, database);
  for (const _ of range(1, FILLED_MESSAGES)) await stored(store, [request(draft('filled', Buffer.alloc(FILLED_BYTES, 'x')))]);
  const publishers = range(1, 2).map(() => child(t, ['forever', database.file]));
  await until('both publish', () => publishers.every(({ output }) => output.includes('stored')));
  const { output: help } = await run(t, '', '--help');
  const name = 'backup.db';
  t.same([...help.matchAll(/^ {2}\$ (.+)$/gm)].map(([, line]) => line), [`tidings backup ${name}`], 'this one example');

  const folder = tempFolder(t);
  const file = join(folder, name);
  const { head: before } = await store.state();
  const backing = start(t, `file:${database.file}`, [file, '--json']);
  let code: number | null | undefined;
  void backing.exited.then((exit) => (code = exit.code));
  let head = before;
  await until('the backup has ended', async () => {
    ({ head } = await store.state());
    return code !== undefined || head > before + MEANWHILE_MAX_MESSAGES;
  });
  t.equal(code, 0, `${head - before} messages meanwhile ${backing.output}`);
  for (const publisher of publishers) publisher.kill('SIGKILL');
  if (code !== 0) return;

  const said = JSON.parse(backing.output) as Record<string, unknown>;
  const db = new Database(file, { readonly: true });
  const [first, last, count] = db.prepare('SELECT min(seq), max(seq), count(*) FROM messages').raw().get() as [number, number, number];
  t.same(db.pragma('integrity_check', { simple: true }), 'ok');
  db.close();
  t.match(said, { file, logId: store.logId, messages: count, oldest: first, head: last, bytes: statSync(file).size });
  t.same([first, count], [1, last], 'no number is missing');
  t.ok(last >= before, 'everything is there that was published before it began');
  t.same(readdirSync(folder), ['backup.db'], 'nothing else is left');
  t.equal(statSync(file).mode & 0o777, 0o600);
  const restored = await openStore(t, { store: () => new SqliteStore({ file, logger: recordingLogger().logger }) });
  t.same(await stored(restored, [request(draft('a'))]), [last + 1]);
});

t.test('a refused backup leaves no file, and replaces none', async (t) => {
  const database = new SqliteDatabase(t);
  const store = await openStore(t, database);
  for (const _ of range(1, 50)) await stored(store, [request(draft('a', 'y'.repeat(4_000)))]);
  await store.close();
  const damaged = new SqliteDatabase(t);
  writeFileSync(damaged.file, readFileSync(database.file));
  const descriptor = openSync(damaged.file, 'r+');
  const pages = Math.floor(statSync(damaged.file).size / 4096);
  // The message itself is not looked at, but what leads to it.
  for (const page of range(pages - 60, pages - 1)) writeSync(descriptor, Buffer.alloc(8, 0xff), 0, 8, page * 4096);
  closeSync(descriptor);
  const holed = new SqliteDatabase(t);
  writeFileSync(holed.file, readFileSync(database.file));
  holed.direct((db) => db.exec('DELETE FROM messages WHERE seq = 25'));
  const strange = join(tempFolder(t), 'strange.db');
  const other = new Database(strange);
  other.exec('CREATE TABLE stranger (a)');
  other.close();

  const moved = new SqliteDatabase(t);
  await openStore(t, moved);
  moved.direct((db) => db.prepare('UPDATE head SET level = level + ?').run(MOVED_LEVELS));

  const folder = tempFolder(t);
  mkdirSync(join(folder, 'taken'));
  writeFileSync(join(folder, 'taken.db'), 'mine');
  const at = (name: string): string => join(folder, name);
  const log = `file:${database.file}`;
  const cases: readonly (readonly [url: string, args: readonly string[], code: number, says: RegExp])[] = [
    [log, [at('taken.db')], 1, /taken\.db exists: a backup replaces no file/],
    [log, [at('taken')], 1, /taken exists/],
    [log, [at('missing/new.db')], 1, /there is no folder .*missing/],
    [log, [], 2, /missing required argument 'file'/],
    [`file:${at('nowhere.db')}`, [at('new.db')], 1, /nowhere\.db: there is no such file/],
    [`file:${strange}`, [at('new.db')], 1, /belongs to another program/],
    [`file:${damaged.file}`, [at('new.db')], 1, /damaged/],
    [`file:${holed.file}`, [at('new.db')], 1, /the log is damaged, and was not backed up: it holds 49 of the messages 1 to 50/],
    [`file:${moved.file}`, [at('new.db')], 1, /not backed up: the log was moved to another database/],
    ['postgres://user:secret@127.0.0.1:1/x', [at('new.db')], 1, /the log is in PostgreSQL at 127\.0\.0\.1:1\/x; back it up with pg_dump -Fc/],
  ];
  const ran = await Promise.all(cases.map(([url, args]) => run(t, url, ...args)));
  for (const [index, [url, args, code, says]] of cases.entries()) {
    t.match(ran[index], { code, output: says }, `${url} ${args.join(' ')}`);
    t.notMatch(ran[index]!.output, 'secret');
  }
  t.same(readdirSync(folder).sort(), ['taken', 'taken.db']);
  t.equal(readFileSync(at('taken.db'), 'utf8'), 'mine');
});

/** Reads of the log wait for as long as this is open. */
function lock(file: string): Database.Database {
  const db = new Database(file);
  db.pragma('locking_mode = EXCLUSIVE');
  db.exec('BEGIN IMMEDIATE; COMMIT');
  return db;
}

t.test('a backup shows that it lives, and leaves nothing when it is stopped', async (t) => {
  const database = new SqliteDatabase(t);
  const store = await openStore(t, database);
  await stored(store, [request(draft('a'))]);
  await store.close();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    const folder = tempFolder(t);
    const held = lock(database.file);
    const backing = start(t, `file:${database.file}`, [join(folder, 'backup.db')]);
    await until('it has begun', () => readdirSync(folder).length > 0);
    const partial = join(folder, readdirSync(folder)[0]!);
    t.match(partial, /\.backup\.db\.[a-z0-9]{8}\.partial$/);
    utimesSync(partial, 0, 0);
    await until('it has touched it', () => statSync(partial).mtimeMs > 0);
    backing.kill(signal);
    t.match(await backing.exited, { signal }, backing.output);
    held.close();
    t.same(readdirSync(folder), [], signal);
  }
});

t.test('what a killed backup left is removed by the next one to the same file, and nothing else is', async (t) => {
  const database = new SqliteDatabase(t);
  const store = await openStore(t, database);
  await stored(store, [request(draft('a'))]);
  await store.close();
  const folder = tempFolder(t);
  const stay = ['.backup.db.written0.partial', '.backup.db.notes.partial', '.backup.db.backup.db', '.other.db.abcdefg1.partial', 'backup.db.abcdefg1.partial'];
  for (const name of ['.backup.db.abcdefg1.partial', ...stay]) writeFileSync(join(folder, name), '');
  const hourAgo = new Date(Date.now() - 3_600_000);
  for (const name of readdirSync(folder)) if (name !== '.backup.db.written0.partial') utimesSync(join(folder, name), hourAgo, hourAgo);
  t.match(await run(t, `file:${database.file}`, join(folder, 'backup.db')), { code: 0 });
  t.same(readdirSync(folder).toSorted(), ['backup.db', ...stay].toSorted());
});
