import { readFileSync, realpathSync, statSync } from 'node:fs';
import type { Clock } from '../../runtime/clock.ts';

/** Where Linux lists the file locks of all processes that are visible to this one. Other systems have no such list. */
const LOCKS_FILE = '/proc/locks';

/** Matches a line for the byte of the index (-shm) that SQLite keeps locked while a process uses the log (`UNIX_SHM_DMS` in its os_unix.c). The groups are the process, the file (device and inode), and the inode. */
const IN_USE = /^\d+: POSIX +\w+ +READ +(\d+) ([0-9a-f]+:[0-9a-f]+:(\d+)) 128 128$/gm;

/** How long an answer is cached. Stops many calls in a row from reading the list each time. Milliseconds. */
const LOCKS_GOOD_MS = 1_000;

export interface FileUsersOptions {
  /** The path of the log. */
  readonly file: string;
  readonly clock: Pick<Clock, 'monotonic'>;
}

/**
 * Tells whether other processes have a SQLite log open, readers and other versions of Tidings included. In a container, it cannot see processes outside.
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
      // Compare the device, too: a file on another device may have the same inode.
      const file = users.find(isOwn)?.[2];
      return users.some((user) => !isOwn(user) && user[2] === file);
    } catch (error) {
      // The log is not open yet, or the system has no such list.
      if (error instanceof Error && 'syscall' in error) return false;
      throw error;
    }
  }
}
