import Database from 'better-sqlite3';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import t from 'tap';
import { UNFINISHED_COPY_LEVELS, UNDERSTOOD_LEVEL } from '../../src/store/level.ts';
import { copyLog, type Copied } from '../../src/store/log-copy.ts';
import { PostgresCopyTarget } from '../../src/store/postgres/copy-target.ts';
import { SqliteCopySource } from '../../src/store/sqlite/copy-source.ts';
import { StoreError, type Store } from '../../src/store/store.ts';
import { draft, keyed, openStore, range, request, stored } from '../contract/store-kit.ts';
import { PostgresDatabase } from '../store/postgres/database.ts';
import { SqliteDatabase } from '../store/sqlite/database.ts';
import { Child } from '../support/child.ts';
import { COMMAND_ENV } from '../support/compile-cache.ts';
import { openStream } from '../support/client.ts';
import { startInstance } from '../support/instance.ts';
import { bearer, createKey } from '../support/keys-command.ts';
import { startPostgres } from '../support/postgres.ts';
import { rounds } from '../support/rounds.ts';
import { tempFolder, type Scope } from '../support/temp.ts';
import { typeInto } from '../support/terminal.ts';
import { until } from '../support/until.ts';

/** `tidings copy`. Refusals and changes between two passes need no process; crashes and streams do. */

const TIDINGS = join(import.meta.dirname, '../../src/tidings.js');
const MESSAGES = rounds(12_000, 1_000_000);
const APPEND_MESSAGES = 1_000;
const KILLS = rounds(3, 5);

// Each test has logs of its own, and often waits for a command.
t.jobs = 2;

const server = await startPostgres(t, { settings: ['fsync = off', 'full_page_writes = off'] });

function start(t: Scope, args: readonly string[], env: Readonly<Record<string, string>> = {}): Child {
  return new Child(t, process.execPath, [TIDINGS, ...args], { cwd: tempFolder(t), env: { ...COMMAND_ENV, ...env } });
}

async function run(t: Scope, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<{ readonly code: number | null; readonly output: string }> {
  const child = start(t, args, env);
  const { code } = await child.exited;
  return { code, output: child.output };
}

/** One pass in this process. */
async function pass(file: string, url: string, isFinal: boolean): Promise<Copied> {
  const source = new SqliteCopySource(file);
  const target = new PostgresCopyTarget(url);
  try {
    return await copyLog({ source, target, isFinal, progress: { begin: () => undefined, advance: () => undefined, end: () => undefined } });
  } finally {
    source.close();
    await target.close();
  }
}

/** What an instance says that may not open a log. */
async function refusal(database: Pick<SqliteDatabase | PostgresDatabase, 'store'>): Promise<string> {
  const store = database.store();
  try {
    await store.open();
    return 'it was opened';
  } catch (error) {
    return error instanceof StoreError ? error.message : String(error);
  } finally {
    await store.close();
  }
}

/** Messages of all kinds, some with keys. */
async function fill(store: Store, count: number): Promise<void> {
  for (let from = 0; from < count; from += APPEND_MESSAGES) {
    await store.append(range(from, Math.min(count, from + APPEND_MESSAGES) - 1).map((n) => {
      const data = n % 7 === 0 ? Buffer.from([0, 39, 92, 36, 36, n % 256, 255]) : `{"n":${n},"text":"a 'quoted' \\\\ text $$ é"}`;
      const one = draft(`fill.${n % 50}.ü"{,}\\`, data, { json: n % 7 !== 0, event: n % 5 === 0 ? 'NULL' : undefined, ttl: n % 3 === 0 ? 100_000 : 0 });
      return n % 10 === 0 ? keyed(`key ${n}`, [one], { scope: `scope ${n % 3}`, body: n % 200 }) : request(one);
    }));
  }
}

const COLUMNS = ['seq', 'time', 'expires', 'topic', 'event', 'json', 'data'];

/** What a log holds, read past the program: as one digest of each table, and counts. */
function heldInSqlite(file: string): Record<string, unknown> {
  const db = new Database(file, { readonly: true });
  const text = (value: unknown): unknown => (value instanceof Uint8Array ? Buffer.from(value).toString('hex') : typeof value === 'number' ? String(value) : value);
  const digest = (select: string): unknown => {
    const rows = db.prepare<[], unknown[]>(select).raw().all().map((row) => row.map(text));
    return [rows.length, createHash('sha256').update(JSON.stringify(rows)).digest('hex')];
  };
  const held = {
    messages: digest(`SELECT ${COLUMNS.join(', ')} FROM messages ORDER BY seq`),
    keys: digest('SELECT scope, key, fingerprint, keys.first, time, expires, epochs.epoch FROM keys JOIN epochs ON epochs.id = keys.epoch ORDER BY scope, key'),
    ...Object.fromEntries(OTHERS.map((table) => [table, digest(`SELECT * FROM ${table} ORDER BY ${ORDERS[table] ?? 1}`)])),
    head: digest('SELECT head.log, head.seq, head.time, epochs.epoch FROM head JOIN epochs ON epochs.id = head.epoch'),
    retention: digest('SELECT oldest, time, clock FROM retention'),
  };
  db.close();
  return held;
}

const OTHERS = ['epochs', 'api_keys', 'sessions', 'session_ends', 'revocations', 'tickets', 'usage'];
const ORDERS: Readonly<Record<string, string>> = { revocations: 'kind, name' };

async function heldInPostgres(database: PostgresDatabase): Promise<Record<string, unknown>> {
  const digest = async (select: string): Promise<unknown> => {
    const rows = (await database.ask(select)).map((row) => row.map((value) => (value instanceof Uint8Array ? Buffer.from(value).toString('hex')
      : typeof value === 'boolean' ? String(Number(value)) : typeof value === 'number' ? String(value) : value)));
    return [rows.length, createHash('sha256').update(JSON.stringify(rows)).digest('hex')];
  };
  const held: Record<string, unknown> = {
    messages: await digest(`SELECT ${COLUMNS.join(', ')} FROM tidings.messages ORDER BY seq`),
    keys: await digest('SELECT scope, key, fingerprint, first, time, expires, epoch FROM tidings.keys ORDER BY scope, key'),
  };
  for (const table of OTHERS) held[table] = await digest(`SELECT * FROM tidings.${table} ORDER BY ${ORDERS[table] ?? 1}`);
  held['head'] = await digest('SELECT log, seq, time, epoch FROM tidings.head');
  held['retention'] = await digest('SELECT oldest, time, clock FROM tidings.retention');
  return held;
}

async function filled(t: Scope, count: number): Promise<SqliteDatabase> {
  const source = new SqliteDatabase(t);
  const store = source.store();
  await store.open();
  await fill(store, count);
  await store.usage.write([{ id: 'stretch', first: 1, last: count, topics: [['a', 5]], senders: [] }]);
  await store.close();
  await source.fillKeys(1, 20, false);
  await source.fillRevocations(20, Date.now() + 3_600_000);
  await source.fillSessions(20);
  await source.fillEnds(20);
  await source.fillTickets(20, 'someone');
  return source;
}

t.test('a copy that is killed again and again ends as the same log, which was never open before', async (t) => {
  const source = await filled(t, MESSAGES);
  const target = await PostgresDatabase.create(server);
  const args = ['copy', '--from', `file:${source.file}`, '--to', target.url];
  const seen = async (): Promise<number> => {
    const [[there] = []] = await target.ask("SELECT to_regclass('tidings.messages')::text");
    return there === null ? 0 : Number((await target.ask('SELECT coalesce(max(seq), 0) FROM tidings.messages'))[0]![0]);
  };
  // A batch that comes as far as the gate waits there, and is killed in the middle.
  const gate = `CREATE TABLE gate (at bigint); INSERT INTO gate VALUES (0);
    CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF (SELECT max(seq) FROM tidings.messages) >= (SELECT at FROM gate) THEN PERFORM pg_sleep(600); END IF; RETURN NULL; END';
    CREATE TRIGGER wait AFTER INSERT ON tidings.messages EXECUTE FUNCTION wait()`;
  let copied = 0;
  for (const kill of range(1, KILLS)) {
    const at = copied + 1 + Math.floor(Math.random() * (MESSAGES - copied) / (KILLS + 1 - kill));
    if (kill > 1) {
      t.comment(`kill ${kill} in the batch with message ${at} of ${MESSAGES}`);
      await target.ask(`UPDATE gate SET at = ${at}`);
    }
    const child = start(t, args);
    // Before its first row the target is a database with an empty schema, which an instance may open.
    if (kill === 1) await until('the copy has begun', async () => (await target.ask("SELECT to_regclass('tidings.head')::text"))[0]![0] !== null && (await target.ask('SELECT FROM tidings.head')).length > 0);
    else await until('it waits at the gate', async () => (await target.ask(`SELECT count(*) FROM pg_stat_activity WHERE datname = '${target.name}' AND wait_event = 'PgSleep'`))[0]![0] === '1');
    if (kill > 1) await t.rejects(pass(source.file, target.url, kill === KILLS), /another tidings copy into this database is under way/);
    child.kill('SIGKILL');
    t.equal((await child.exited).signal, 'SIGKILL');
    await target.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'");
    await until('its session has ended', async () => (await target.ask(`SELECT count(*) FROM pg_stat_activity WHERE datname = '${target.name}' AND pid <> pg_backend_pid()`))[0]![0] === '0');
    if (kill === 1) await target.ask(gate);
    copied = await seen();
    t.match(await refusal(target), /unfinished copy/, 'no instance opens it');
  }
  await target.ask('DROP FUNCTION wait CASCADE; DROP TABLE gate');
  t.match(await run(t, [...args, '--final', '--json']), { code: 0, output: /"outcome":"moved"/ });
  t.same(await heldInPostgres(target), heldInSqlite(source.file));
  const [[bytes, expected] = []] = await target.ask('SELECT h.bytes, (SELECT sum(octet_length(data) + tidings.name_bytes(true, topic, event) + 128) FROM tidings.messages) FROM tidings.head h');
  t.equal(bytes, expected, 'the size of the log is what its messages count');
  const store = await openStore(t, target);
  t.same(await stored(store, [request(draft('after'))]), [MESSAGES + 1]);
  const [outcome] = (await store.append([keyed('key 40', [draft('x')], { scope: 'scope 1', body: 40 })])).outcomes;
  t.match(outcome, { kind: 'replayed', first: 41 });
});

t.test('what changes between two passes is found: erased, deleted, forgotten, another time; and what a crash left half done is finished', async (t) => {
  const source = await filled(t, 5_000);
  const target = await PostgresDatabase.create(server);
  const earlier = await PostgresDatabase.create(server);
  for (const { url } of [target, earlier]) t.match(await pass(source.file, url, false), { outcome: 'pass', messages: 5_000, keys: 500 });
  const released = "SELECT * FROM tidings.open('other', 'abcdefgh', 10, 2)";
  await t.rejects(target.ask(released), { code: 'TD001' }, 'what released versions call refuses too');
  t.match(await refusal(target), /unfinished copy/);

  const store = source.store();
  const { lineage } = await store.open();
  await store.erasures.eraseMessage(lineage.at(3_000));
  await store.trim({ maxAge: 0, maxBytes: 400_000, maxKeys: 100, rows: 2_000 });
  await fill(store, 3_000);
  await store.close();
  source.direct((db) => db.exec('UPDATE messages SET time = time - 1 WHERE seq = 4500; UPDATE keys SET expires = expires - 1 WHERE id = 450'));
  t.match(await pass(source.file, target.url, false), { outcome: 'pass', messages: 3_000 });

  // Between the two last steps nobody may open either.
  await target.ask(`CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(600); RETURN NULL; END';
    CREATE TRIGGER wait AFTER UPDATE ON tidings.head FOR EACH ROW WHEN (NEW.level < ${UNFINISHED_COPY_LEVELS}) EXECUTE FUNCTION wait()`);
  const child = start(t, ['copy', '--from', `file:${source.file}`, '--to', target.url, '--final']);
  await until('the source is closed', () => source.direct((db) => db.prepare<[], number>('SELECT level FROM head').pluck().get()!) > UNFINISHED_COPY_LEVELS);
  child.kill('SIGKILL');
  await child.exited;
  await target.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()");
  await target.ask('DROP FUNCTION wait CASCADE');
  t.match(await refusal(source), /moved to another database/);
  t.match(await refusal(target), /unfinished copy/);

  t.match(await pass(source.file, target.url, true), { outcome: 'moved' });
  t.same(await heldInPostgres(target), heldInSqlite(source.file));
  t.match(await pass(source.file, target.url, true), { outcome: 'before', messages: 0 }, 'once more changes nothing');
  t.same(await target.ask('SELECT level FROM tidings.head'), [[UNDERSTOOD_LEVEL]]);
  for (const isCopied of [false, true]) {
    const second = isCopied ? earlier : await PostgresDatabase.create(server);
    await t.rejects(pass(source.file, second.url, true), { kind: 'refused', message: /moved to another database/ }, 'a second target would be a second log that goes on');
    const [[schema] = []] = await second.ask("SELECT to_regclass('tidings.head')::text");
    t.equal(schema !== null, isCopied, 'nothing was made there');
  }
  t.match(await refusal(earlier), /unfinished copy/);
  await openStore(t, target);
});

/** The commands of the examples in `--help`, on the databases of a test. */
async function examples(t: Scope, command: string, replaced: Readonly<Record<string, string>>): Promise<string[][]> {
  const { output } = await run(t, [command, '--help']);
  return [...output.matchAll(/^ {2}\$ tidings (.+)$/gm)].map(([, line]) => line!.split(' ').map((word) => replaced[word] ?? word));
}

t.test('a stream that read half from SQLite reads on from PostgreSQL, by the examples of --help; keys and idempotency keys go on', async (t) => {
  const file = join(tempFolder(t), 'tidings.db');
  const target = await PostgresDatabase.create(server);
  const url = `file:${file}`;
  const commands = await examples(t, 'copy', { 'file:data/tidings.db': url, 'postgres://tidings@127.0.0.1/tidings': target.url });
  t.equal(commands.length, 2);
  const { key } = await createKey(t, { DATABASE_URL: url }, '--name', 'all', '--publish', '>', '--subscribe', '>', '--erase', '>');
  const headers = bearer(key);
  const sqlite = await startInstance(t, { DATABASE_URL: url, AUTH: 'on' });
  const publish = async (at: string, data: string, more: Readonly<Record<string, string>> = {}): Promise<{ id: string; replayed: string | null }> => {
    const answer = await fetch(`${at}/topics/a.b/`.slice(0, -1), { method: 'POST', body: data, headers: { ...headers, ...more } });
    t.equal(answer.status, 201, await answer.clone().text());
    return { id: (await answer.json() as { id: string }).id, replayed: answer.headers.get('idempotency-replayed') };
  };
  const ids: string[] = [];
  for (const n of range(1, 20)) ids.push((await publish(sqlite.url, `${n}`, n === 7 ? { 'idempotency-key': 'seven' } : {})).id);
  const first = await openStream(t, `${sqlite.url}/topics/a.*/events?after=start`, { headers });
  for (const n of range(1, 10)) await first.next(({ data }) => data === `${n}`);
  first.destroy();
  t.match(await run(t, commands[0]!), { code: 0, output: /20 messages and 1 idempotency keys were copied/ }, 'while the service runs');
  for (const n of range(21, 30)) ids.push((await publish(sqlite.url, `${n}`)).id);
  t.equal((await fetch(`${sqlite.url}/messages/${ids[11]}`, { method: 'DELETE', headers })).status, 204);

  sqlite.kill('SIGTERM');
  await sqlite.exited;
  t.match(await run(t, commands[1]!), { code: 0, output: /\(messages 1 to 30\) has moved to .*; 40 messages and 0 idempotency keys were copied, 30 of the messages again/ }, 'one of the first was erased, so all of its batch was copied again');
  const postgres = await startInstance(t, { DATABASE_URL: target.url, AUTH: 'on' });
  const rest = await openStream(t, `${postgres.url}/topics/a.*/events`, { headers: { ...headers, 'last-event-id': ids[9]! } });
  ids.push((await publish(postgres.url, '31')).id);
  await rest.next(({ data }) => data === '31');
  const got = rest.events.filter(({ event = 'message' }) => event === 'message' || event === '$erased');
  t.same(got.map(({ id }) => id), ids.slice(10), 'nothing is missed or doubled, under the ids of before');
  t.same(rest.events.filter(({ event }) => event === '$gap'), []);
  t.same(await publish(postgres.url, '7', { 'idempotency-key': 'seven' }), { id: ids[6], replayed: 'true' });

  // Somebody starts the old one by mistake.
  const old = await startInstance(t, { DATABASE_URL: url, AUTH: 'on' }, { ready: ({ output }) => output.includes('moved to another database') });
  const status = (path: string): Promise<number> => fetch(`${old.url}${path}`, { method: path === '/readyz' ? 'GET' : 'POST', headers, ...(path === '/readyz' ? {} : { body: 'x' }) }).then((answer) => answer.status, () => 503);
  t.same([await status('/readyz'), await status('/topics/a.b')], [503, 503]);
});

t.test('an instance that nobody stopped acknowledges nothing once the log has moved', async (t) => {
  const source = new SqliteDatabase(t);
  const target = await PostgresDatabase.create(server);
  const forgotten = await openStore(t, source);
  await fill(forgotten, 10);
  t.match(await pass(source.file, target.url, true), { outcome: 'moved', head: 10 });
  await t.rejects(forgotten.append([request(draft('late'))]), { kind: 'unavailable', message: /moved to another database/ });
  await t.rejects(forgotten.state(), { kind: 'unavailable', message: /moved to another database/ });
  t.same(await stored(await openStore(t, target), [request(draft('there'))]), [11]);
});

t.test('on a terminal a bar shows how far it is; a damaged source ends it, and the copy stays closed', async (t) => {
  const source = new SqliteDatabase(t);
  const store = await openStore(t, source);
  await fill(store, 5_000);
  await store.close();
  source.direct((db) => db.exec('DELETE FROM messages WHERE seq = 4500'));
  const target = await PostgresDatabase.create(server);
  const terminal = typeInto(t, [process.execPath, TIDINGS, 'copy', '--from', `file:${source.file}`, '--to', target.url], '');
  await terminal.exited;
  t.match(terminal.output, /messages \[[^\]]+\] 2000\/5000 40 %/);
  t.match(terminal.output, /the source is damaged: the message 4501 is not where it belongs/);
  t.match(await refusal(target), /unfinished copy/);
});

t.test('a refused copy leaves the target unchanged', async (t) => {
  const source = new SqliteDatabase(t);
  const open = await openStore(t, source);
  await fill(open, 10);
  await open.close();
  const databaseOf = async (prepare: (database: PostgresDatabase) => Promise<unknown>): Promise<PostgresDatabase> => {
    const database = await PostgresDatabase.create(server);
    await prepare(database);
    return database;
  };
  const opened = async (database: PostgresDatabase): Promise<void> => {
    const store = database.store();
    await store.open();
    await store.append([request(draft('own'))]);
    await store.close();
  };
  const other = new SqliteDatabase(t);
  await (await openStore(t, other)).close();
  const snapshot = async (database: PostgresDatabase): Promise<unknown> => database.ask("SELECT (SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace('tidings')), (SELECT json_agg(h) FROM tidings.head h), (SELECT count(*) FROM tidings.messages), (SELECT count(*) FROM tidings.api_keys)");
  for (const [name, prepare, says] of [
    ['another log, in use', opened, /^the target holds another log/],
    ['a copy of another log', (database: PostgresDatabase) => pass(other.file, database.url, false), /^the target holds another log/],
    ['keys alone', async (database: PostgresDatabase) => {
      await (await database.command()).close();
      await database.fillKeys(1, 1, false);
    }, /^the target is not empty: its table tidings.api_keys has rows/],
    ['this log, in use, though the source is open too', async (database: PostgresDatabase) => {
      await pass(source.file, database.url, false);
      await database.setLevel(UNDERSTOOD_LEVEL);
    }, /^the target is in use/],
  ] as const) {
    const database = await databaseOf(prepare);
    const before = await snapshot(database);
    for (const isFinal of [false, true]) await t.rejects(pass(source.file, database.url, isFinal), { kind: 'refused', message: says }, name);
    t.same(await snapshot(database), before, name);
  }
  const empty = new SqliteDatabase(t);
  await (await empty.command()).close();
  await t.rejects(async () => pass(empty.file, server.url('postgres'), false), { message: /no instance has opened the source yet/ });
  t.match(await refusal(source), 'it was opened', 'the source is as it was');

  const to = ['--to', 'postgres://user:secret@127.0.0.1:1/x'];
  const cases: readonly (readonly [args: readonly string[], code: number, says: RegExp])[] = [
    [[], 2, /required option '--from <url>'/],
    [['--from', 'data/tidings.db', ...to], 2, /^--from: it must be file:<path>/],
    [['--from', `file:${source.file}`, '--to', 'file:other.db'], 2, /^--to: it must be postgres:/],
    [['--from', `file:${source.file}`, '--to', 'postgres://user:secret@127.0.0.1:port/x'], 2, /^--to: it must be postgres:/],
    [['--from', 'postgres://user:secret@127.0.0.1/x'], 2, /^--from: it must be file:/],
    [['--from', `file:${source.file}`], 2, /^--to: name a PostgreSQL database/],
    [['--from', 'file:nowhere.db', ...to], 1, /^--from: \/.*nowhere\.db: there is no such file/],
    [['--from', `file:${source.file}`, ...to], 1, /ECONNREFUSED/],
  ];
  const ran = await Promise.all(cases.map(([args]) => run(t, ['copy', ...args])));
  for (const [index, [args, code, says]] of cases.entries()) {
    t.match(ran[index], { code, output: says }, args.join(' '));
    t.notMatch(ran[index]!.output, 'secret');
  }
});
