import type Database from 'better-sqlite3';
import type { LogReader, LogRow } from './log-state.ts';

/** Finds the number that stands for a time, inside the caller's read transaction. */
export class Seeker {
  readonly #log: LogReader;
  readonly #timeOf: Database.Statement<[number], number>;

  constructor(db: Database.Database, log: LogReader) {
    this.#log = log;
    this.#timeOf = db.prepare<[number], number>('SELECT time FROM messages WHERE seq = ?').pluck();
  }

  /** By halving: time never decreases along the log (invariant 10), so it needs no index. */
  seek(time: number): { seq: number; missing: boolean; log: LogRow } {
    const log = this.#log.row();
    let older = log.oldest - 1;
    let beyond = log.seq + 1;
    while (beyond - older > 1) {
      const middle = Math.floor((older + beyond) / 2);
      if (this.#timeOf.get(middle)! < time) older = middle;
      else beyond = middle;
    }
    return { seq: older, missing: log.deletedTime !== null && time <= log.deletedTime, log };
  }
}
