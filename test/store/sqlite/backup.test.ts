import Database from 'better-sqlite3';
import { mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import t from 'tap';
import { SqliteStore } from '../../../src/store/sqlite/sqlite.ts';
import { draft, openStore, range, request, stored } from '../../contract/store-kit.ts';
import { Child } from '../../support/child.ts';
import { recordingLogger } from '../../support/logger.ts';
import { need } from '../../support/programs.ts';
import { tempFolder } from '../../support/temp.ts';
import { until } from '../../support/until.ts';
import { child } from './database.ts';

/** The commands of docs/operations.md that copy a SQLite log, while other processes publish without a pause. */

const PROJECT = join(import.meta.dirname, '../../..');
const COMMANDS = [...readFileSync(join(PROJECT, 'docs/operations.md'), 'utf8').matchAll(/^\(umask 077; .*copy\.db.*$/gm)].map(([command]) => command);

/** So much to copy that many commits happen meanwhile. */
const FILLED_MESSAGES = 40;
const FILLED_BYTES = 1_000_000;
/** A copy that has not ended after so many more messages does not end. */
const MEANWHILE_MAX_MESSAGES = 8_000;

t.equal(COMMANDS.length, 2);
for (const command of COMMANDS) {
  t.test(`a copy under load ends, and is whole: ${command}`, async (t) => {
    const folder = tempFolder(t);
    const file = join(folder, 'data/tidings.db');
    mkdirSync(dirname(file));
    symlinkSync(join(PROJECT, 'node_modules'), join(folder, 'node_modules'));
    const store = await openStore(t, { store: () => new SqliteStore({ file, logger: recordingLogger().logger }) });
    for (const _ of range(1, FILLED_MESSAGES)) await stored(store, [request(draft('filled', Buffer.alloc(FILLED_BYTES, 'x')))]);
    const publishers = range(1, 2).map(() => child(t, ['forever', file]));
    await until('both publish', () => publishers.every(({ output }) => output.includes('stored')));

    const { head: before } = await store.state();
    const copying = new Child(t, 'sh', ['-c', command], { cwd: folder, env: { ...process.env, NODE_OPTIONS: undefined, PATH: [process.env['PATH'], dirname(need('sqlite3'))].join(delimiter) } });
    let code: number | null | undefined;
    void copying.exited.then((exit) => (code = exit.code));
    let head = before;
    await until('the copy has ended', async () => {
      ({ head } = await store.state());
      return code !== undefined || head > before + MEANWHILE_MAX_MESSAGES;
    });
    t.equal(code, 0, `${head - before} messages meanwhile ${copying.output}`);
    for (const publisher of publishers) publisher.kill('SIGKILL');
    if (code !== 0) return;

    const copy = join(folder, 'copy.db');
    const db = new Database(copy, { readonly: true });
    const [first, last, count] = db.prepare('SELECT min(seq), max(seq), count(*) FROM messages').raw().get() as [number, number, number];
    t.same(db.pragma('integrity_check', { simple: true }), 'ok');
    db.close();
    t.same([first, count], [1, last], 'no number is missing');
    t.ok(last >= before, 'everything is there that was published before it began');
    const copied = await openStore(t, { store: () => new SqliteStore({ file: copy, logger: recordingLogger().logger }) });
    t.same(await stored(copied, [request(draft('a'))]), [last + 1]);
  });
}
