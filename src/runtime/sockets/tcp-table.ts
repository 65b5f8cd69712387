import { open } from 'node:fs/promises';
import { readRows, type RowFilter, type SendQueue } from './tcp-rows.ts';

/** The kernel's table of this process's connections. */
export interface TcpTable {
  /** Returns the rows that the filter keeps; undefined if the table has no connection of its port. Rejects if this process may not read the table. */
  read(filter: RowFilter): Promise<readonly SendQueue[] | undefined>;
}

/** The tables of the process's network namespace. Without IPv6 in the kernel, the second is missing. */
const FILES = ['/proc/net/tcp', '/proc/net/tcp6'];
/** The size of one read. Stops a long table from being parsed in one turn of the event loop. Linux returns 4 KiB at a time. */
const READ_MAX_BYTES = 16 * 1024;
const NEWLINE = 0x0a;

/**
 * Linux's tables of TCP connections, as text. A thread of libuv reads them page by page, and each turn of the event loop parses one page, in some 30 µs.
 * So even a table of 100,000 lines delays nobody.
 */
export class ProcTcpTable implements TcpTable {
  readonly #files: readonly string[];
  readonly #buffer = Buffer.allocUnsafeSlow(READ_MAX_BYTES);

  constructor(files: readonly string[] = FILES) {
    this.#files = files;
  }

  /** Call it again only after it has settled: all calls share one buffer. */
  async read(filter: RowFilter): Promise<readonly SendQueue[] | undefined> {
    const kept: SendQueue[] = [];
    let count = 0;
    for (const file of this.#files) count += await this.#readFile(file, filter, kept);
    return count === 0 ? undefined : kept;
  }

  async #readFile(path: string, filter: RowFilter, kept: SendQueue[]): Promise<number> {
    await using file = await openIfThere(path);
    if (file === undefined) return 0;
    let count = 0;
    /** The bytes of an incomplete line at the beginning of the buffer. */
    let rest = 0;
    for (;;) {
      const { bytesRead } = await file.read(this.#buffer, rest, READ_MAX_BYTES - rest, null);
      const length = rest + bytesRead;
      if (bytesRead === 0) return count + readRows(this.#buffer.subarray(0, length), filter, kept);
      const whole = this.#buffer.lastIndexOf(NEWLINE, length - 1) + 1;
      count += readRows(this.#buffer.subarray(0, whole), filter, kept);
      this.#buffer.copy(this.#buffer, 0, whole, length);
      rest = length - whole;
    }
  }
}

async function openIfThere(path: string): Promise<Awaited<ReturnType<typeof open>> | undefined> {
  try {
    return await open(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
