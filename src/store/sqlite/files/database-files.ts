import { chmodSync, closeSync, openSync, realpathSync, renameSync, statSync, type BigIntStats } from 'node:fs';
import type Database from 'better-sqlite3';
import { StoreError } from '../../store.ts';
import { DamageError, LostFileError, ReplacedError } from './errors.ts';

/** The file that a name stood for: device and inode. */
export type FileIdentity = string;

/** The files that SQLite keeps beside the database file: the write-ahead log, and its index. */
export interface SideIdentities {
  readonly wal: FileIdentity;
  readonly index: FileIdentity;
}

/** The parts of the write-ahead log (https://www.sqlite.org/fileformat2.html#walformat). */
const WAL_HEADER_BYTES = 32;
const WAL_FRAME_HEADER_BYTES = 24;

/** How often the length of the write-ahead log is read before it counts as cut: another process may restart it between the two reads. */
const WAL_LENGTH_READS = 3;

/** Permissions (chmod(2)): the owner reads and writes; everything for the owner; everything for users outside of the group. */
const PRIVATE_MODE = 0o600;
const OWNER_MASK = 0o700;
const OTHERS_MASK = 0o007;

const REPLACED = 'was replaced or removed while in use; put that same file back, or stop Tidings. For a backup, remove its -wal and -shm while Tidings is stopped, before the backup takes its place';

/** The identity of a missing file: no file has it. */
const MISSING: FileIdentity = '';

/**
 * The three files of an open database: the file itself, its write-ahead log, and the index of that log, which also holds the locks. SQLite goes on in
 * files that no name leads to any more, or that someone cut; what it commits there is lost with the process. So they are looked at around each transaction.
 */
export class DatabaseFiles {
  readonly #file: string;
  readonly #identity: FileIdentity;
  readonly #wal: string;
  readonly #index: string;
  readonly #sides: SideIdentities;
  readonly #pageBytes: number;
  readonly #frames: Database.Statement<[], { readonly log: number }>;
  /** How long the write-ahead log was when it was last known to be whole, and when it was last looked at. */
  #wholeWalBytes = 0n;
  #walBytes = 0n;
  #changed = 0n;
  #links = 1n;

  /**
   * @param db Has begun to read, so that all three files are open.
   * @param inUse What another connection of this process had open before. SQLite shares its index.
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

  /** How long the write-ahead log was at the last look. */
  get walBytes(): number {
    return Number(this.#walBytes);
  }

  /** Whether it was shorter than before: cut, or restarted by a checkpoint. `compareWal` tells which. */
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

  /** Whether other processes use a new index. They may have restarted the write-ahead log, so that this connection's index no longer describes it. */
  get isIndexReplaced(): boolean {
    const found = identityOf(stat(this.#index));
    return found !== undefined && found !== this.#sides.index;
  }

  /** Renames the write-ahead log where another database file has taken the old one's place: SQLite would apply it to the new file. */
  setWalAside(): void {
    const wal = stat(this.#wal);
    if (stat(this.#file) === undefined || wal === undefined || wal.size === 0n || identityOf(wal) !== this.#sides.wal) return;
    renameSync(this.#wal, `${this.#wal}.replaced-${new Date().toISOString().replaceAll(':', '-')}`);
  }

  /** Throws where a name no longer stands for the file that is open. */
  look(): void {
    const file = stat(this.#file);
    if (file === undefined || identityOf(file) !== this.#identity) throw replaced(this.#file);
    if (file.size === 0n) throw new DamageError(`the database file ${this.#file} was emptied while in use: stop Tidings and restore a copy`);
    const wal = lookBeside(this.#wal, this.#index, this.#sides);
    this.#changed = file.ctimeNs;
    this.#links = file.nlink;
    this.#walBytes = wal.size;
  }

  /** The look found this connection's own writes, or files that it has compared. */
  accept(): void {
    this.#wholeWalBytes = this.#walBytes;
  }

  /** Compares the write-ahead log's length with what SQLite believes to be in it, outside of transactions. Throws where a part is missing. */
  compareWal(): void {
    const missing = this.#missingOfWal();
    if (missing !== undefined) throw new DamageError(`the write-ahead log ${this.#wal} was cut while in use: it has ${missing}; the newest messages are lost when Tidings ends: restore a copy`);
    this.accept();
  }

  /** `0 of 4152 bytes` where the write-ahead log's file is shorter than SQLite believes. */
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
 * Throws where a database must not be opened: SQLite would not complain.
 *
 * @param expected The file that a worker that starts again must find, and not a copy that someone is still restoring.
 * @param inUse What another connection of this process has open: while it is open, SQLite would not open new files.
 */
export function checkBeforeOpening(file: string, expected: FileIdentity | undefined, inUse: SideIdentities | undefined): void {
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
    throw new DamageError(`the database file ${file} is missing or empty, but its write-ahead log ${wal} is not: put that same file back. For a backup, remove ${wal} and the -shm first`);
  }
  if (inUse !== undefined) {
    const path = realpathSync(file);
    lookBeside(`${path}-wal`, `${path}-shm`, inUse);
  }
}

/** Throws where a name beside the database file no longer stands for the file that is open. Returns the write-ahead log's state. */
function lookBeside(wal: string, index: string, sides: SideIdentities): BigIntStats {
  const found = stat(wal);
  if (found === undefined || identityOf(found) !== sides.wal) throw new LostFileError(`the write-ahead log ${wal} was removed or replaced while in use`, 'wal');
  if (identityOf(stat(index)) !== sides.index) throw new LostFileError(`the index ${index} was removed or replaced while in use`, 'index');
  return found;
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

/** Takes permissions back that earlier versions, or SQLite, gave to everybody. Permissions that an operator gave to a group stay. */
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
