import { chmodSync, closeSync, openSync, realpathSync, renameSync, statSync, type BigIntStats } from 'node:fs';
import type Database from 'better-sqlite3';
import { StoreError } from '../../store.ts';
import { DamageError, LostFileError, ReplacedError } from './errors.ts';

/** Which file a name stands for: its device and inode. */
export type FileIdentity = string;

/** The files that SQLite keeps beside the database file: the write-ahead log, and its index. */
export interface SideIdentities {
  readonly wal: FileIdentity;
  readonly index: FileIdentity;
}

/** The lengths of the parts of the write-ahead log (https://www.sqlite.org/fileformat2.html#walformat). */
const WAL_HEADER_BYTES = 32;
const WAL_FRAME_HEADER_BYTES = 24;

/** How many times the write-ahead log must be found too short before it counts as cut. Another process may restart the log between the reads of its two lengths. */
const WAL_LENGTH_READS = 3;

/** Permissions (chmod(2)): the owner reads and writes; everything for the owner; everything for users outside of the group. */
const PRIVATE_MODE = 0o600;
const OWNER_MASK = 0o700;
const OTHERS_MASK = 0o007;

const REPLACED = 'was replaced or removed while in use; put that same file back, or stop Tidings. For a backup, remove its -wal and -shm while Tidings is stopped, before the backup takes its place';

/** The identity of a missing file. */
const MISSING: FileIdentity = '';

/**
 * The three files of an open database: the database file, its write-ahead log (-wal), and the index of that log (-shm), which also has the locks.
 *
 * If somebody removes, replaces or cuts one of them, SQLite does not notice: it commits into files that no other process can open, and the commits are lost
 * when this process ends. So `look` checks the names and lengths around each transaction.
 */
export class DatabaseFiles {
  readonly #file: string;
  readonly #identity: FileIdentity;
  readonly #wal: string;
  readonly #index: string;
  readonly #sides: SideIdentities;
  readonly #pageBytes: number;
  readonly #frames: Database.Statement<[], { readonly log: number }>;
  /** The length of the write-ahead log when it was last known to be whole (`accept`). */
  #wholeWalBytes = 0n;
  /** What the last `look` found: see the getters. */
  #walBytes = 0n;
  #changed = 0n;
  #links = 1n;

  /**
   * @param db Must have read once, so that all three files are open.
   * @param inUse The files that another connection of this process had open before; SQLite shares its index.
   */
  constructor(db: Database.Database, file: string, inUse: SideIdentities | undefined) {
    const path = realpathSync(file);
    this.#file = file;
    this.#wal = `${path}-wal`;
    this.#index = `${path}-shm`;
    this.#identity = identityOf(stat(file)) ?? MISSING;
    this.#sides = inUse ?? { wal: identityOf(stat(this.#wal)) ?? MISSING, index: identityOf(stat(this.#index)) ?? MISSING };
    this.#pageBytes = db.pragma('page_size', { simple: true }) as number;
    this.#frames = db.prepare('PRAGMA wal_checkpoint(NOOP)');
    const missing = this.#missingOfWal();
    if (missing !== undefined) {
      throw new StoreError('unavailable', `the write-ahead log ${this.#wal} has ${missing}, by what another connection has open: it was removed, replaced or cut while in use. `
        + 'Tidings goes on when every process that has the old one open has closed it');
    }
    this.accept();
  }

  get sides(): SideIdentities {
    return this.#sides;
  }

  get identity(): FileIdentity {
    return this.#identity;
  }

  /** The length of the write-ahead log. */
  get walBytes(): number {
    return Number(this.#walBytes);
  }

  /** Whether the write-ahead log is shorter than when it was whole: somebody has cut it, or a checkpoint has restarted it. `compareWal` throws if it was cut. */
  get isWalShorter(): boolean {
    return this.#walBytes < this.#wholeWalBytes;
  }

  /** When a program last wrote to the database file. Only checkpoints should. */
  get changed(): bigint {
    return this.#changed;
  }

  /** How many names (hard links) the database file has. */
  get links(): number {
    return Number(this.#links);
  }

  /** Whether the name of the index stands for a new file, which other processes use. They may have restarted the write-ahead log, so this connection's index may not describe it any more. */
  get isIndexReplaced(): boolean {
    const found = identityOf(stat(this.#index));
    return found !== undefined && found !== this.#sides.index;
  }

  /** Renames the write-ahead log after another database file took the place of the old one. Otherwise SQLite would apply the log to the new file. */
  setWalAside(): void {
    const wal = stat(this.#wal);
    if (stat(this.#file) === undefined || wal === undefined || wal.size === 0n || identityOf(wal) !== this.#sides.wal) return;
    renameSync(this.#wal, `${this.#wal}.replaced-${new Date().toISOString().replaceAll(':', '-')}`);
  }

  /** Throws if a name does not stand for the open file any more. Remembers what it found. */
  look(): void {
    const file = stat(this.#file);
    if (file === undefined || identityOf(file) !== this.#identity) throw replaced(this.#file);
    if (file.size === 0n) throw new DamageError(`the database file ${this.#file} was emptied while in use: stop Tidings and restore a copy`);
    const wal = lookBeside(this.#wal, this.#index, this.#sides);
    this.#changed = file.ctimeNs;
    this.#links = file.nlink;
    this.#walBytes = wal.size;
  }

  /** `look`, and `compareWal` if the write-ahead log became shorter. Call it after a transaction. */
  verify(): void {
    this.look();
    if (this.isWalShorter) this.compareWal();
    this.accept();
  }

  /** Call it after a look that found only this connection's own writes, or after `compareWal`: the write-ahead log is whole. */
  accept(): void {
    this.#wholeWalBytes = this.#walBytes;
  }

  /** Compares the length of the write-ahead log with the number of frames in its index. Throws if frames are missing. Not inside a transaction. */
  compareWal(): void {
    const missing = this.#missingOfWal();
    if (missing !== undefined) throw new DamageError(`the write-ahead log ${this.#wal} was cut while in use: it has ${missing}; the newest messages are lost when Tidings ends: restore a copy`);
    this.accept();
  }

  /** Returns `0 of 4152 bytes` if the file of the write-ahead log is shorter than its index says; undefined if it is whole. */
  #missingOfWal(): string | undefined {
    for (let attempt = 1; ; attempt++) {
      const frames = this.#frames.get()!.log;
      const needed = frames > 0 ? WAL_HEADER_BYTES + frames * (WAL_FRAME_HEADER_BYTES + this.#pageBytes) : 0;
      this.look();
      if (this.walBytes >= needed) return undefined;
      if (attempt === WAL_LENGTH_READS) return `${this.walBytes} of ${needed} bytes`;
    }
  }
}

/**
 * Throws if a database must not be opened, in cases that SQLite does not refuse. For the parameters see `ConnectOptions`.
 */
export function checkBeforeOpening(file: string, expected: FileIdentity | undefined, inUse: SideIdentities | undefined): void {
  const found = stat(file);
  if (expected !== undefined && identityOf(found) !== expected) throw replaced(file);
  if (found?.isDirectory() === true) throw new StoreError('unavailable', `${file} is a folder; it must be a file, or a name where one can be made`);
  if (expected === undefined && found !== undefined && found.nlink > 1n) {
    throw new StoreError('unavailable', `DATABASE_URL: the file ${file} has ${found.nlink} names (hard links). A process that opened it by another one would keep another write-ahead log, `
      + 'and messages would be lost: remove the other names, or put a copy in its place');
  }
  // If the database file is empty, SQLite would remove its write-ahead log, with the messages in it.
  const wal = `${found === undefined ? file : realpathSync(file)}-wal`;
  if ((found === undefined || found.size === 0n) && (stat(wal)?.size ?? 0n) > 0n) {
    throw new DamageError(`the database file ${file} is missing or empty, but its write-ahead log ${wal} is not: put that same file back. For a backup, remove ${wal} and the -shm first`);
  }
  if (inUse !== undefined) {
    const path = realpathSync(file);
    lookBeside(`${path}-wal`, `${path}-shm`, inUse);
  }
}

/** Throws if the name of the write-ahead log or of the index does not stand for the open file any more. Returns the stat of the write-ahead log. */
function lookBeside(wal: string, index: string, sides: SideIdentities): BigIntStats {
  const found = stat(wal);
  if (found === undefined || identityOf(found) !== sides.wal) throw new LostFileError(`the write-ahead log ${wal} was removed or replaced while in use`, 'wal');
  if (identityOf(stat(index)) !== sides.index) throw new LostFileError(`the index ${index} was removed or replaced while in use`, 'index');
  return found;
}

/**
 * Makes a missing database file, which only its owner can read. SQLite would let everybody read it. SQLite gives the other two files the same permissions.
 * Never opens an existing file: closing it would release all POSIX locks that this process has on it.
 */
export function makePrivate(file: string): void {
  try {
    closeSync(openSync(file, 'wx', PRIVATE_MODE));
  } catch {
    // The file exists, or it cannot be made. In the second case SQLite fails next, and errors.ts explains its error.
  }
}

/** Removes all permissions for others, which earlier versions or SQLite gave. Permissions for the group stay, because an operator may have set them. */
export function shutOthersOut(file: string): void {
  const path = realpathSync(file);
  for (const name of [path, `${path}-wal`, `${path}-shm`]) {
    const found = statSync(name, { throwIfNoEntry: false });
    if (found !== undefined && (found.mode & OTHERS_MASK) !== 0 && found.uid === process.getuid?.()) chmodSync(name, found.mode & OWNER_MASK);
  }
}

function replaced(file: string): ReplacedError {
  return new ReplacedError(`the database file ${file} ${REPLACED}`);
}

function stat(file: string): BigIntStats | undefined {
  return statSync(file, { bigint: true, throwIfNoEntry: false });
}

function identityOf(found: BigIntStats | undefined): FileIdentity | undefined {
  return found === undefined ? undefined : `${found.dev}:${found.ino}`;
}
