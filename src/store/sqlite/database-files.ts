import { chmodSync, closeSync, openSync, realpathSync, statSync, type BigIntStats } from 'node:fs';
import type Database from 'better-sqlite3';
import { StoreError } from '../store.ts';
import { DamageError, LostFileError } from './errors.ts';

/** Which file a name stood for: device and inode. */
export type FileIdentity = string;

/** What the write-ahead log consists of (https://www.sqlite.org/fileformat2.html#walformat). */
const WAL_HEADER_BYTES = 32;
const WAL_FRAME_HEADER_BYTES = 24;

/** How often the length of the write-ahead log is read before it counts as cut: another process may begin it anew between the two questions. */
const WAL_LENGTH_READS = 3;

/** Permissions (chmod(2)): the owner reads and writes; everything for the owner; everything for users outside of the group. */
const PRIVATE_MODE = 0o600;
const OWNER_MASK = 0o700;
const OTHERS_MASK = 0o007;

const REPLACED = 'was replaced or removed while in use; restart Tidings when the new file is complete';

/**
 * The three files of an open database: the file itself, its write-ahead log, and the index of that log, which also holds the locks. SQLite goes on in
 * files that no name leads to any more, or that someone cut; what it commits there is lost with the process. So they are looked at around each transaction.
 */
export class DatabaseFiles {
  readonly #file: string;
  readonly #identity: FileIdentity;
  readonly #wal: string;
  readonly #walIdentity: FileIdentity | undefined;
  readonly #index: string;
  readonly #indexIdentity: FileIdentity | undefined;
  readonly #pageBytes: number;
  readonly #frames: Database.Statement<[], { readonly log: number }>;
  /** How long the write-ahead log was when it was last known to be whole, and when it was last looked at. */
  #wholeWalBytes = 0n;
  #walBytes = 0n;
  #changed = 0n;
  #links = 1n;

  /** @param db Has begun to read, so that all three files are there. */
  constructor(db: Database.Database, file: string) {
    const path = realpathSync(file);
    this.#file = file;
    this.#wal = `${path}-wal`;
    this.#index = `${path}-shm`;
    this.#identity = identityOf(stat(file)) ?? '';
    this.#walIdentity = identityOf(stat(this.#wal));
    this.#indexIdentity = identityOf(stat(this.#index));
    this.#pageBytes = db.pragma('page_size', { simple: true }) as number;
    this.#frames = db.prepare('PRAGMA wal_checkpoint(NOOP)');
    this.look();
    this.compareWal();
  }

  get identity(): FileIdentity {
    return this.#identity;
  }

  /** How long the write-ahead log was at the last look. */
  get walBytes(): number {
    return Number(this.#walBytes);
  }

  /** Whether it was shorter than before: cut, or begun anew by a checkpoint. `compareWal` tells which. */
  get isWalShorter(): boolean {
    return this.#walBytes < this.#wholeWalBytes;
  }

  /** When something last wrote to the database file, as the last look found it. Only checkpoints should. */
  get changed(): bigint {
    return this.#changed;
  }

  /** The names of the database file, as the last look found them. */
  get links(): number {
    return Number(this.#links);
  }

  /** Throws where a name no longer stands for the file that is open. */
  look(): void {
    const file = stat(this.#file);
    if (file === undefined || identityOf(file) !== this.#identity) throw replaced(this.#file);
    if (file.size === 0n) throw new DamageError(`the database file ${this.#file} was emptied while in use: stop Tidings and restore a copy`);
    const wal = stat(this.#wal);
    if (wal === undefined || identityOf(wal) !== this.#walIdentity) throw new LostFileError(`the write-ahead log ${this.#wal} was removed or replaced while in use`, 'wal');
    if (identityOf(stat(this.#index)) !== this.#indexIdentity) throw new LostFileError(`the index ${this.#index} was removed or replaced while in use`, 'index');
    this.#changed = file.ctimeNs;
    this.#links = file.nlink;
    this.#walBytes = wal.size;
  }

  /** What a look found is what this connection wrote, or what it has compared. */
  accept(): void {
    this.#wholeWalBytes = this.#walBytes;
  }

  /** Compares the write-ahead log's length with what SQLite believes to be in it, outside of transactions. Throws where a part is missing. */
  compareWal(): void {
    for (let attempt = 1; ; attempt++) {
      const frames = this.#frames.get()!.log;
      const needed = frames > 0 ? WAL_HEADER_BYTES + frames * (WAL_FRAME_HEADER_BYTES + this.#pageBytes) : 0;
      this.look();
      if (this.walBytes >= needed) break;
      if (attempt < WAL_LENGTH_READS) continue;
      throw new DamageError(`the write-ahead log ${this.#wal} was cut while in use: it has ${this.walBytes} of ${needed} bytes; what was stored last is lost when Tidings ends: restore a copy`);
    }
    this.accept();
  }
}

/**
 * Throws where a database must not be opened: SQLite would not complain.
 *
 * @param expected The file that a worker that starts again must find, and not a copy that someone is still restoring.
 */
export function checkBeforeOpening(file: string, expected: FileIdentity | undefined): void {
  const found = stat(file);
  if (expected !== undefined && identityOf(found) !== expected) throw replaced(file);
  if (found?.isDirectory() === true) throw new StoreError('unavailable', `${file} is a folder; it must be a file, or a name where one can be made`);
  if (expected === undefined && found !== undefined && found.nlink > 1n) {
    throw new StoreError('unavailable', `DATABASE_URL: the file ${file} has ${found.nlink} names (hard links). A process that opened it by another one would keep another write-ahead log, `
      + 'and messages would be lost: remove the other names, or put a copy in its place');
  }
  // SQLite removes the write-ahead log of a file that is empty, with all that lies in it.
  const wal = `${found === undefined ? file : realpathSync(file)}-wal`;
  if ((found === undefined || found.size === 0n) && (stat(wal)?.size ?? 0n) > 0n) {
    throw new DamageError(`the database file ${file} is missing or empty, but its write-ahead log ${wal} is not: put the database file back, or move the write-ahead log away`);
  }
}

/**
 * Makes a missing database file, for its owner alone: SQLite would let everybody read it. SQLite gives the other two files the permissions of this one.
 * An existing file is not opened: closing it would release the locks that this process has on it.
 */
export function makePrivate(file: string): void {
  try {
    closeSync(openSync(file, 'wx', PRIVATE_MODE));
  } catch {
    // The file exists. Or it cannot be made: then SQLite fails next, and its error is the one that is explained.
  }
}

/** Takes permissions back that earlier versions, or SQLite, gave to everybody. What an operator gave to a group stays. */
export function shutOthersOut(file: string): void {
  const path = realpathSync(file);
  for (const name of [path, `${path}-wal`, `${path}-shm`]) {
    const found = statSync(name, { throwIfNoEntry: false });
    if (found !== undefined && (found.mode & OTHERS_MASK) !== 0 && found.uid === process.getuid?.()) chmodSync(name, found.mode & OWNER_MASK);
  }
}

function replaced(file: string): StoreError {
  return new StoreError('unavailable', `the database file ${file} ${REPLACED}`);
}

function stat(file: string): BigIntStats | undefined {
  return statSync(file, { bigint: true, throwIfNoEntry: false });
}

function identityOf(found: BigIntStats | undefined): FileIdentity | undefined {
  return found === undefined ? undefined : `${found.dev}:${found.ino}`;
}
