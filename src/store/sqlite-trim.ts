import type Database from 'better-sqlite3';
import { clock, ROW_OVERHEAD_BYTES, type LogReader, type LogRow } from './sqlite-state.ts';
import type { TrimPolicy } from './store.ts';

/** One batch also ends with so many bytes: a large row takes as long as a hundred small ones, and everybody's appends wait for it. */
const BATCH_BYTES = 4 * 1024 * 1024;

interface OldRow {
  readonly seq: number;
  readonly time: number;
  readonly bytes: number;
}

export interface PackedTrimmed {
  readonly messages: number;
  readonly keys: number;
  readonly more: boolean;
  readonly bytes: number;
  readonly log: LogRow;
}

/** Deletes what is too old or too much, inside the caller's write transaction. */
export class Trimmer {
  readonly #log: LogReader;
  readonly #oldest: Database.Statement<[number, number], OldRow>;
  readonly #delete: Database.Statement<[number]>;
  readonly #moveOldest: Database.Statement<[number, number, number]>;
  readonly #deleteKeys: Database.Statement<[number, number]>;
  readonly #expiredKey: Database.Statement<[number]>;

  constructor(db: Database.Database, log: LogReader) {
    this.#log = log;
    this.#oldest = db.prepare<[number, number], OldRow>('SELECT seq, time, octet_length(data) + octet_length(topic) '
      + `+ ${ROW_OVERHEAD_BYTES} AS bytes FROM messages WHERE seq >= ? ORDER BY seq LIMIT ?`);
    this.#delete = db.prepare('DELETE FROM messages WHERE seq < ?');
    this.#moveOldest = db.prepare('UPDATE retention SET oldest = ?, bytes = bytes + ?, time = ?');
    this.#deleteKeys = db.prepare('DELETE FROM keys WHERE rowid IN (SELECT rowid FROM keys WHERE expires <= ? ORDER BY expires LIMIT ?)');
    this.#expiredKey = db.prepare('SELECT 1 FROM keys WHERE expires <= ? LIMIT 1');
  }

  trim({ maxAge, maxBytes, rows }: TrimPolicy): PackedTrimmed {
    const before = this.#log.row();
    const now = clock(before);
    // Age is counted by the machine's clock, unlike all else: after one message from a clock that was ahead, the log's own stands at that
    // message's time, and the whole log before it would seem as old as the clock was wrong (invariant 10).
    const tooOld = maxAge > 0 ? Date.now() - maxAge : -Infinity;
    const size = before.bytes - before.deletedBytes;
    const isDue = (row: OldRow, freed: number): boolean => row.time < tooOld || (maxBytes > 0 && size - freed > maxBytes);

    // Invariant 9: only a prefix goes, so the first row that may stay ends it.
    let messages = 0;
    let freed = 0;
    let last: OldRow | undefined;
    let more = false;
    for (const row of this.#oldest.iterate(before.oldest, rows + 1)) {
      if (!isDue(row, freed)) break;
      if (messages === rows || freed >= BATCH_BYTES) {
        more = true;
        break;
      }
      messages += 1;
      freed += row.bytes;
      last = row;
    }
    const keys = this.#deleteKeys.run(now, rows).changes;
    more ||= keys === rows && this.#expiredKey.get(now) !== undefined;
    if (last === undefined) return { messages, keys, more, bytes: size, log: before };

    this.#delete.run(last.seq + 1);
    this.#moveOldest.run(last.seq + 1, freed, last.time);
    const log = { ...before, oldest: last.seq + 1, deletedBytes: before.deletedBytes + freed, deletedTime: last.time };
    return { messages, keys, more, bytes: size - freed, log };
  }
}
