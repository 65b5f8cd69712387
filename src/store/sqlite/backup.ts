import { closeSync, existsSync, fsyncSync, linkSync, openSync, readdirSync, renameSync, rmSync, statSync, utimes } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { Worker } from 'node:worker_threads';
import Database from 'better-sqlite3';
import { randomName } from '../names.ts';
import { closedReason } from '../level.ts';
import { StoreError } from '../store.ts';
import { toStoreError } from './files/errors.ts';
import { refuseForeign, syncFolder } from './files/migrate.ts';

/** How long a backup waits for a lock. Readers wait for nobody, unless the file is being recovered. */
const BACKUP_LOCK_MS = 10_000;
/** Permissions (chmod(2)): only the owner reads it. */
const PRIVATE_MODE = 0o600;
const RANDOM_CHARACTERS = 8;
/** How often a run shows that it lives. Milliseconds. */
const TOUCH_MS = 1_000;
/** How long a partial file must be unchanged before it counts as left by a killed run. Stops such files from filling the disk; a run that only stood still fails in order. Milliseconds. */
const STALE_AFTER_MS = 60_000;

/** The contents of a backup. */
export interface BackedUp {
  readonly file: string;
  /** The log's id; undefined where no instance has opened it. */
  readonly logId: string | undefined;
  readonly messages: number;
  readonly oldest: number;
  readonly head: number;
}

/** The message to the thread, and the thread's answer. */
export interface BackupJob {
  readonly file: string;
  readonly partial: string;
  readonly target: string;
}
export type BackupReply = { readonly held: BackedUp } | { readonly kind: StoreError['kind']; readonly failure: string };

/**
 * Copies a log to a new file, while instances use it. It is one read transaction (`VACUUM INTO`), so it ends however much is published meanwhile. The file gets
 * its name once it is checked and on disk. Throws a `StoreError`; then there is no such file.
 * @param signal Removes what there is so far, at once. The thread cannot be stopped: the process has to end.
 */
export async function backUp(file: string, to: string, signal: AbortSignal): Promise<BackedUp> {
  const target = resolve(to);
  const folder = dirname(target);
  if (!existsSync(file)) throw new StoreError('unavailable', `${resolve(file)}: there is no such file`);
  if (!existsSync(folder)) throw new StoreError('refused', `there is no folder ${folder}`);
  if (existsSync(target)) throw exists(target);
  const partial = join(folder, `.${basename(target)}.${randomName(RANDOM_CHARACTERS)}.partial`);
  const remove = (): void => rmSync(partial, { force: true });
  signal.addEventListener('abort', remove);
  // The time of the file shows other runs that this one lives. An error is no matter: the file may have its name already.
  const touching = setInterval(() => utimes(partial, new Date(), new Date(), () => undefined), TOUCH_MS);
  try {
    removeStale(folder, basename(target));
    // SQLite takes an empty file, and would make one that others may read.
    closeSync(openSync(partial, 'wx', PRIVATE_MODE));
    return await inThread({ file, partial, target });
  } catch (error) {
    throw toStoreError(error, 'unavailable');
  } finally {
    clearInterval(touching);
    signal.removeEventListener('abort', remove);
    // Where it has its name, there is nothing left.
    remove();
  }
}

/** Removes what runs left that were killed. */
function removeStale(folder: string, name: string): void {
  for (const entry of readdirSync(folder)) {
    const isPartial = entry.startsWith(`.${name}.`) && /^[a-z0-9]{8}\.partial$/.test(entry.slice(name.length + 2));
    const age = isPartial ? Date.now() - (statSync(join(folder, entry), { throwIfNoEntry: false })?.mtimeMs ?? Infinity) : 0;
    if (age > STALE_AFTER_MS) rmSync(join(folder, entry), { force: true });
  }
}

function inThread(job: BackupJob): Promise<BackedUp> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./backup-worker.ts', import.meta.url), { name: 'backup', workerData: job });
    worker.once('message', (reply: BackupReply) => {
      if ('held' in reply) resolve(reply.held);
      else reject(new StoreError(reply.kind, reply.failure));
    });
    worker.once('error', reject);
    worker.once('exit', (code) => reject(new StoreError('unavailable', `the thread of the backup has ended (${code})`)));
  });
}

/** Does all of it; blocks its thread. */
export function copyAndCheck({ file, partial, target }: BackupJob): BackedUp {
  copyInto(file, partial);
  const held = check(partial);
  sync(partial);
  rename(partial, target);
  syncFolder(dirname(target));
  return { file: target, ...held };
}

function copyInto(file: string, partial: string): void {
  const db = new Database(file, { readonly: true, fileMustExist: true, timeout: BACKUP_LOCK_MS });
  try {
    refuseForeign(db);
    db.prepare('VACUUM INTO ?').run(partial);
  } finally {
    db.close();
  }
}

function check(partial: string): Omit<BackedUp, 'file'> {
  const db = new Database(partial, { readonly: true, fileMustExist: true });
  try {
    const found = db.pragma('quick_check(1)', { simple: true });
    if (found !== 'ok') throw new StoreError('unavailable', `the log is damaged, and was not backed up: ${String(found)}`);
    const row = db.prepare<[], Omit<BackedUp, 'file'> & { readonly level: number }>('SELECT head.log AS logId, head.level, (SELECT count(*) FROM messages) AS messages, retention.oldest, head.seq AS head FROM head, retention').get();
    const { level, ...held } = row ?? { level: 0, logId: undefined, messages: 0, oldest: 1, head: 0 };
    // A backup of a closed log would be closed, too: no instance could go on with it.
    const closed = closedReason(level);
    if (closed !== undefined) throw new StoreError('refused', `the log was not backed up: ${closed}`);
    if (held.messages !== held.head - held.oldest + 1) throw new StoreError('unavailable', `the log is damaged, and was not backed up: it holds ${held.messages} of the messages ${held.oldest} to ${held.head}`);
    return held;
  } finally {
    db.close();
  }
}

/** SQLite syncs no such copy by itself. */
function sync(partial: string): void {
  const descriptor = openSync(partial, 'r+');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** A second name never replaces a file, as a new one would. File systems without them are looked at first. */
function rename(partial: string, target: string): void {
  try {
    linkSync(partial, target);
  } catch (error) {
    if (existsSync(target)) throw exists(target);
    if (!(error instanceof Error && 'code' in error && NO_LINKS.has(String(error.code)))) throw error;
    renameSync(partial, target);
  }
}

const NO_LINKS: ReadonlySet<string> = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']);

function exists(target: string): StoreError {
  return new StoreError('refused', `${target} exists: a backup replaces no file`);
}
