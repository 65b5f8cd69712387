import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { openStore, range, readMessages, request, draft, seqs, stored, texts } from '../../contract/store-kit.ts';
import { onHangingDisk, SYNCS, thawOf } from '../../support/hanging-disk.ts';
import { need } from '../../support/programs.ts';
import { tempFolder } from '../../support/temp.ts';
import { child, SqliteDatabase } from './database.ts';

/** What a child reported of its appends: the names of the stored requests, and the words of each failure, the kind first. */
interface Report {
  readonly stored: readonly string[];
  readonly failed: readonly (readonly string[])[];
}

function reportOf(output: string): Report {
  const lines = output.trim().split('\n').map((line) => line.split(' '));
  return { stored: lines.filter(([word]) => word === 'stored').map(([, , name]) => name!), failed: lines.filter(([word]) => word !== 'stored' && word !== 'done') };
}

/** The texts of the messages of a stored request. */
function messagesOf(name: string, count: number): string[] {
  return range(0, count - 1).map((part) => `${name}.${part}`);
}

/** Lets system calls on the write-ahead log fail, from the first to the last number given, in a child that runs a program of child.ts. */
async function appendWithFault(t: Test, database: SqliteDatabase, fault: string, program = 'untilItFailed'): Promise<Report> {
  const calls = fault.split(':', 1)[0]!;
  const one = child(t, [program, database.file], need('strace'), '-f', '-qq', '-o', '/dev/null', '-P', `${database.file}-wal`, '-e', `trace=${calls}`, '-e', `inject=${fault}`);
  t.match(await one.exited, { code: 0 }, one.output);
  return reportOf(one.output);
}

t.test('a write that finds no space: certainly nothing was stored, and it goes on when there is some again', async (t) => {
  const database = new SqliteDatabase(t);
  const { stored: names, failed } = await appendWithFault(t, database, 'pwrite64:error=ENOSPC:when=200..230');
  t.ok(failed.length > 0);
  t.same(failed.filter(([kind]) => kind !== 'unavailable'), []);
  t.match(failed[0]!.join(' '), /the disk, or the quota on it, is full/);
  t.same(texts(await readMessages(await openStore(t, database))), names.flatMap((name) => messagesOf(name, 10)), 'the log holds what was reported and nothing else');
});

t.test('a sync that fails: nobody knows, and it goes on when the disk works again', async (t) => {
  const database = new SqliteDatabase(t);
  const { stored: names, failed } = await appendWithFault(t, database, 'fsync,fdatasync:error=EIO:when=20..22');
  t.ok(failed.length > 0);
  t.same(failed.filter(([kind]) => kind !== 'outcome-unknown'), []);
  t.match(failed[0]!.join(' '), /the disk reported an error/);
  const messages = await readMessages(await openStore(t, database));
  t.same(seqs(messages), range(1, messages.length));
  const unknown = new Set(failed.map(([, , name]) => name));
  const known = texts(messages).filter((text) => !unknown.has(text.split('.', 2).join('.')));
  t.same(known, names.flatMap((name) => messagesOf(name, 10)));
});

t.test('an empty append shows whether the disk takes writes', async (t) => {
  const { stored: names, failed } = await appendWithFault(t, new SqliteDatabase(t), 'fsync,fdatasync:error=EIO:when=20', 'nothing');
  t.same(failed.map(([kind]) => kind), ['outcome-unknown']);
  t.equal(names.length, 99);
});

t.test('a disk that hangs in a commit: only that one is unknown, no waiting one is ever stored, and it goes on with the disk', async (t) => {
  const database = new SqliteDatabase(t);
  const one = child(t, ['untilItHangs', database.file], ...onHangingDisk(`${database.file}-wal`, SYNCS, 20));
  const thaw = thawOf(t, one.pid);
  await one.says('hangs');
  thaw();
  t.match(await one.exited, { code: 0 }, one.output);
  const report = reportOf(one.output.replace('hangs\n', ''));
  const namesOf = (kind: string): string[] => report.failed.filter(([word]) => word === kind).map(([, , name]) => name!);
  const [unknown, ...others] = namesOf('outcome-unknown');
  t.same(others, []);
  t.ok(namesOf('unavailable').includes('meanwhile'), 'at once');
  t.ok(namesOf('unavailable').length >= 2, 'what waited behind it, too');
  t.equal(report.stored.at(-1), 'again');
  const kept = texts(await readMessages(await openStore(t, database)));
  t.same(kept.filter((text) => text !== `${unknown!}.0`), report.stored.flatMap((name) => messagesOf(name, 1)), 'the log holds what was reported and nothing that was refused');
  t.ok(kept.includes(`${unknown!}.0`), 'the commit that hung ended well');
});

/** Namespaces of users and mounts let a normal user mount a disk of its own; root in a container may lack the right to make them. */
const mayMount = works('unshare', '--user', '--map-root-user', '--mount', 'sh', '-c', 'mount -t tmpfs tmpfs /tmp');

t.test('a disk that is full', { skip: mayMount ? false : 'this user may not mount in a namespace of its own' }, async (t) => {
  const disk = tempFolder(t);
  const database = new SqliteDatabase(t);
  const script = 'mount -t tmpfs -o size=8m tmpfs "$0" && head -c 4000000 /dev/zero > "$0/filler" && exec "$@"';
  const one = child(t, ['untilItIsFull', join(disk, 't.db'), database.file], 'unshare', '--user', '--map-root-user', '--mount', 'sh', '-c', script, disk);
  t.match(await one.exited, { code: 0 }, one.output);
  const { stored: names, failed } = reportOf(one.output);
  t.ok(failed.length > 0);
  t.match(failed[0]!.join(' '), /^unavailable .*the disk, or the quota on it, is full/);
  t.equal(names.at(-1), 'again', 'it went on when there was room');
  t.same(texts(await readMessages(await openStore(t, database))), names.flatMap((name) => messagesOf(name, name === 'again' ? 1 : 1_000)));
});

// chmod does not hold root back. In a namespace of its own root is an ordinary owner of its files.
const isRoot = process.getuid?.() === 0;
const asOwner = isRoot ? ['unshare', '--user', '--map-user=1000', '--map-group=1000'] : [];

t.test('a database that may only be read', { skip: !isRoot || works('unshare', ...asOwner.slice(1), 'true') ? false : 'root may not make a namespace here' }, async (t) => {
  const database = new SqliteDatabase(t);
  const store = database.store();
  await store.open();
  await stored(store, [request(draft('a', 'kept'))]);
  await store.close();
  const folder = dirname(database.file);

  for (const [what, fileMode, folderMode] of [['the file', 0o444, 0o755], ['file and folder', 0o444, 0o555], ['the folder', 0o644, 0o555]] as const) {
    chmodSync(database.file, fileMode);
    chmodSync(folder, folderMode);
    const one = child(t, ['open', database.file], ...asOwner);
    t.match(await one.exited, { code: 0 }, one.output);
    t.match(one.output, /^open: unavailable the database file (or its folder cannot be written to|cannot be opened)/, what);
  }
  chmodSync(folder, 0o755);
  chmodSync(database.file, 0o644);
  t.same(texts(await readMessages(await openStore(t, database))), ['kept']);
});

t.test('a folder that cannot be made', async (t) => {
  const folder = tempFolder(t);
  writeFileSync(join(folder, 'file'), '');
  mkdirSync(join(folder, 'directory'));
  for (const file of [join(folder, 'file', 'below', 't.db'), join(folder, 'directory')]) {
    const one = child(t, ['open', file]);
    t.match(await one.exited, { code: 0 });
    t.match(one.output, /^open: unavailable (the database |.* is a folder; it must be a file)/);
  }
});

function works(command: string | undefined, ...args: string[]): boolean {
  try {
    execFileSync(command!, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
