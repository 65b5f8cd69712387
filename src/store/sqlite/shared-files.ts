import { StoreError } from '../store.ts';
import { monotonic } from './files/connection.ts';
import type { SideIdentities } from './files/database-files.ts';

/** A thread that opens the database: 0 is the writer, 1 the query worker. */
export type Opener = 0 | 1;

/** The length of two identities of files as text. */
const TEXT_BYTES = 128;
const UNLOCKED = -1;

/**
 * Which write-ahead log and index this process has open, in memory that the store's two threads share.
 *
 * SQLite opens the index once for a process and keeps it until the process's last connection closes. A second connection gets the same index, even if
 * somebody removed that file and another process made a new one. Then the two processes would use different files, and their locks would not exclude each
 * other. So while one thread has a connection, the other thread connects only if the names still stand for the same files.
 */
export class SharedFiles {
  /** The memory, for the constructor in the other threads. */
  readonly shared: SharedArrayBuffer;
  /** A lock: the thread that opens a connection now, or `UNLOCKED`. */
  readonly #lock: Int32Array;
  /** For each thread, 1 if it may have a connection open. */
  readonly #open: Int32Array;
  /** The `SideIdentities` of the open files as text, padded. Read and written under the lock. */
  readonly #identities: Uint8Array;

  constructor(shared?: SharedArrayBuffer) {
    this.shared = shared ?? new SharedArrayBuffer(3 * Int32Array.BYTES_PER_ELEMENT + TEXT_BYTES);
    this.#lock = new Int32Array(this.shared, 0, 1);
    this.#open = new Int32Array(this.shared, Int32Array.BYTES_PER_ELEMENT, 2);
    this.#identities = new Uint8Array(this.shared, 3 * Int32Array.BYTES_PER_ELEMENT, TEXT_BYTES);
    if (shared === undefined) this.#lock[0] = UNLOCKED;
  }

  /**
   * Opens a connection while no other thread opens one.
   *
   * @param deadline Until when to wait for the other thread, by `monotonic`.
   * @param open Gets the files that the other thread has open, if it has a connection. Must throw if the names stand for other files.
   */
  join<T extends { readonly files: { readonly sides: SideIdentities } }>(opener: Opener, deadline: number, open: (inUse: SideIdentities | undefined) => T): T {
    this.#acquire(opener, deadline);
    try {
      const inUse = Atomics.load(this.#open, 1 - opener) === 1 ? this.#read() : undefined;
      Atomics.store(this.#open, opener, 1);
      const connection = open(inUse);
      this.#write(connection.files.sides);
      return connection;
    } catch (error) {
      this.leave(opener);
      throw error;
    } finally {
      this.#release(opener);
    }
  }

  /** Call it after a thread has closed its connection. */
  leave(opener: Opener): void {
    Atomics.store(this.#open, opener, 0);
    Atomics.notify(this.#open, opener);
  }

  /**
   * Waits until the other thread has no connection open.
   *
   * @param deadline By `monotonic`.
   * @returns Whether it has none.
   */
  isLeftByOther(opener: Opener, deadline: number): boolean {
    return Atomics.wait(this.#open, 1 - opener, 1, Math.max(0, deadline - monotonic())) !== 'timed-out';
  }

  /** Call it after a thread has ended, which closes its files. */
  abandon(opener: Opener): void {
    this.leave(opener);
    this.#release(opener);
  }

  #acquire(opener: Opener, deadline: number): void {
    for (;;) {
      const holder = Atomics.compareExchange(this.#lock, 0, UNLOCKED, opener);
      if (holder === UNLOCKED) return;
      const left = deadline - monotonic();
      if (left <= 0) throw new StoreError('unavailable', 'another thread of this process took too long to open the database');
      Atomics.wait(this.#lock, 0, holder, left);
    }
  }

  #release(opener: Opener): void {
    if (Atomics.compareExchange(this.#lock, 0, opener, UNLOCKED) === opener) Atomics.notify(this.#lock, 0);
  }

  #read(): SideIdentities {
    const [wal = '', index = ''] = Buffer.from(this.#identities).toString('latin1').trimEnd().split(' ');
    return { wal, index };
  }

  #write({ wal, index }: SideIdentities): void {
    this.#identities.set(Buffer.from(`${wal} ${index}`.padEnd(TEXT_BYTES), 'latin1'));
  }
}
