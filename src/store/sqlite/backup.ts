import { closeSync, existsSync, fsyncSync, linkSync, openSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import Database from 'better-sqlite3';
import { randomName } from '../names.ts';
import { closedReason } from '../level.ts';
import { StoreError } from '../store.ts';
import { toStoreError } from './errors.ts';
import { refuseForeign, syncFolder } from './migrate.ts';

/** How long a backup waits for a lock. Readers wait for nobody, unless the file is being recovered. */
const BACKUP_LOCK_MS = 10_000;
/** Permissions (chmod(2)): only the owner reads it. */
const PRIVATE_MODE = 0o600;
const RANDOM_CHARACTERS = 8;

/** What a backup holds. */
export interface BackedUp {
  readonly file: string;
  /** The log's id; undefined where no instance has opened it. */
  readonly logId: string | undefined;
  readonly messages: number;
  readonly oldest: number;
  readonly head: number;
}

/**
 * Copies a log to a new file, while instances use it. It is one read transaction (`VACUUM INTO`), so it ends however much is published meanwhile. The file gets
 * its name once it is checked and on disk. Blocks the thread: for the command line. Throws a `StoreError`; then there is no such file.
 */
export function backUp(file: string, to: string): BackedUp {
  const target = resolve(to);
  const folder = dirname(target);
  if (!existsSync(file)) throw new StoreError('unavailable', `${resolve(file)}: there is no such file`);
  if (!existsSync(folder)) throw new StoreError('refused', `there is no folder ${folder}`);
  if (existsSync(target)) throw exists(target);
  const partial = join(folder, `.${basename(target)}.${randomName(RANDOM_CHARACTERS)}.partial`);
  try {
    copyInto(file, partial);
    const held = check(partial);
    sync(partial);
    rename(partial, target);
    syncFolder(folder);
    return { file: target, ...held };
  } catch (error) {
    throw toStoreError(error, 'unavailable');
  } finally {
    // Where it has its name, there is nothing left.
    rmSync(partial, { force: true });
  }
}

function copyInto(file: string, partial: string): void {
  // SQLite takes an empty file, and would make one that others may read.
  closeSync(openSync(partial, 'wx', PRIVATE_MODE));
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
