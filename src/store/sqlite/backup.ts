import { closeSync, existsSync, fsyncSync, linkSync, openSync, readdirSync, renameSync, rmSync, statSync, utimes } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { Worker } from 'node:worker_threads';
import Database from 'better-sqlite3';
import { randomName } from '../names.ts';
import { closedReason } from '../level.ts';
import { StoreError } from '../store.ts';
import { toStoreError } from './files/errors.ts';
import { refuseForeign, syncFolder } from './files/migrate.ts';

/** How long a backup waits for a lock. Only a file that is being recovered makes a reader wait. */
const BACKUP_LOCK_MS = 10_000;
/** Permissions (chmod(2)): only the owner reads it. */
const PRIVATE_MODE = 0o600;
const RANDOM_CHARACTERS = 8;
/** How often a running backup touches its partial file, to show that it is alive. Milliseconds. */
const TOUCH_MS = 1_000;
/** A partial file that nobody has touched for this long is the rest of a killed backup, and is removed. Stops such files from filling the disk. A backup that was only stopped meanwhile fails with an error. Milliseconds. */
const STALE_AFTER_MS = 60_000;

/** The contents of a backup. */
export interface BackedUp {
  readonly file: string;
  /** The log's id; undefined if no instance has opened the file yet. */
  readonly logId: string | undefined;
  readonly messages: number;
  readonly oldest: number;
  readonly head: number;
}

/** The job of the thread, and its answer. */
export interface BackupJob {
  readonly file: string;
  readonly partial: string;
  readonly target: string;
}
export type BackupReply = { readonly held: BackedUp } | { readonly kind: StoreError['kind']; readonly failure: string };

/**
 * Copies a log to a new file, while instances use it. The copy is one read transaction (`VACUUM INTO`), so publishes do not prolong it. The file gets its name
 * only when it is checked and synced. Throws a `StoreError`; then there is no file with that name.
 * @param signal Removes the partial file at once. The thread cannot be stopped, so the caller must end the process then.
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
  // The time of the file shows other backups that this one is alive. Ignore an error: the file may have been renamed already.
  const touching = setInterval(() => utimes(partial, new Date(), new Date(), () => undefined), TOUCH_MS);
  try {
    removeStale(folder, basename(target));
    // Make the file before SQLite does, which would let others read it. SQLite accepts an empty file.
    closeSync(openSync(partial, 'wx', PRIVATE_MODE));
    return await inThread({ file, partial, target });
  } catch (error) {
    throw toStoreError(error, 'unavailable');
  } finally {
    clearInterval(touching);
    signal.removeEventListener('abort', remove);
    // After a success there is no partial file any more, and this does nothing.
    remove();
  }
}

/** Removes the partial files of killed backups. */
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

/** Runs in the thread: copies, checks, syncs, and renames. Blocks. */
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
    // The backup of a closed log would be closed, too, and no instance could use it.
    const closed = closedReason(level);
    if (closed !== undefined) throw new StoreError('refused', `the log was not backed up: ${closed}`);
    if (held.messages !== held.head - held.oldest + 1) throw new StoreError('unavailable', `the log is damaged, and was not backed up: it holds ${held.messages} of the messages ${held.oldest} to ${held.head}`);
    return held;
  } finally {
    db.close();
  }
}

/** Syncs the copy: `VACUUM INTO` does not. */
function sync(partial: string): void {
  const descriptor = openSync(partial, 'r+');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** Gives the file its name. A hard link never replaces an existing file, as `rename` would. On file systems without hard links, checks for such a file first. */
function rename(partial: string, target: string): void {
  try {
    linkSync(partial, target);
  } catch (error) {
    if (existsSync(target)) throw exists(target);
    if (!(error instanceof Error && 'code' in error && NO_LINKS.has(String(error.code)))) throw error;
    renameSync(partial, target);
  }
}

/** The errors of file systems without hard links. */
const NO_LINKS: ReadonlySet<string> = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']);

function exists(target: string): StoreError {
  return new StoreError('refused', `${target} exists: a backup replaces no file`);
}
