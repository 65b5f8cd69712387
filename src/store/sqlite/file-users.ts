import { readFileSync, realpathSync, statSync } from 'node:fs';
import type { Clock } from '../../runtime/clock.ts';

/** Where Linux lists the locks of all processes that this one may see. Other systems have no such list. */
const LOCKS_FILE = '/proc/locks';

/** A lock as Linux lists it, on the byte of the index that SQLite keeps locked while a process uses the log (`UNIX_SHM_DMS` in its os_unix.c): the process, and the file with its inode. */
const IN_USE = /^\d+: POSIX +\w+ +READ +(\d+) ([0-9a-f]+:[0-9a-f]+:(\d+)) 128 128$/gm;

/** How long the last reading is believed. Stops many questions in a row from reading it each time. Milliseconds. */
const LOCKS_GOOD_MS = 1_000;

export interface FileUsersOptions {
  /** The path of the log. */
  readonly file: string;
  readonly clock: Pick<Clock, 'monotonic'>;
}

/**
 * Whether other processes have a SQLite log open, of every version, readers included. In a container, Linux does not list processes of others.
 */
export class FileUsers {
  readonly #file: string;
  readonly #clock: Pick<Clock, 'monotonic'>;
  #readAt = -Infinity;
  #hasOthers = false;

  constructor({ file, clock }: FileUsersOptions) {
    this.#file = file;
    this.#clock = clock;
  }

  get hasOthers(): boolean {
    const now = this.#clock.monotonic();
    if (now - this.#readAt >= LOCKS_GOOD_MS) {
      this.#readAt = now;
      this.#hasOthers = this.#look();
    }
    return this.#hasOthers;
  }

  #look(): boolean {
    try {
      const { ino } = statSync(`${realpathSync(this.#file)}-shm`, { bigint: true });
      const users = [...readFileSync(LOCKS_FILE, 'latin1').matchAll(IN_USE)].filter(([, , , inode]) => inode === String(ino));
      const isOwn = ([, pid]: readonly string[]): boolean => pid === String(process.pid);
      // A file of another file system may have the same inode.
      const file = users.find(isOwn)?.[2];
      return users.some((user) => !isOwn(user) && user[2] === file);
    } catch (error) {
      // The log is not open yet, or the system has no such list.
      if (error instanceof Error && 'syscall' in error) return false;
      throw error;
    }
  }
}
