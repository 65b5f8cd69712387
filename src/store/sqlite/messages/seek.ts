import type Database from 'better-sqlite3';
import type { NewestBegin, NewestBounds, Sought } from '../../store.ts';
import type { AnswerWith, LogRow, LogStateQuery } from '../files/log-state.ts';

export interface SeekerDependencies {
  readonly db: Database.Database;
  readonly logState: LogStateQuery;
}

/** Finds the number that stands for a time, or before what fits into a memory, inside the caller's read transaction. */
export class Seeker {
  readonly #logState: LogStateQuery;
  readonly #timeOf: Database.Statement<[number], number>;
  readonly #newest: Database.Statement<[number], { readonly seq: number; readonly bytes: number }>;

  constructor({ db, logState }: SeekerDependencies) {
    this.#logState = logState;
    this.#timeOf = db.prepare<[number], number>('SELECT time FROM messages WHERE seq = ?').pluck();
    // The length of a value stands in its row: long data are not read.
    this.#newest = db.prepare('SELECT seq, octet_length(data) AS bytes FROM messages ORDER BY seq DESC LIMIT ?');
  }

  /** By halving: time never decreases along the log (invariant 10), so it needs no index. */
  seek(time: number): AnswerWith<LogRow, Sought> {
    const log = this.#logState.row();
    let older = log.oldest - 1;
    let beyond = log.seq + 1;
    while (beyond - older > 1) {
      const middle = Math.floor((older + beyond) / 2);
      if (this.#timeOf.get(middle)! < time) older = middle;
      else beyond = middle;
    }
    return { seq: older, missing: log.deletedTime !== null && time <= log.deletedTime, log };
  }

  newestWithin({ messages, bytes }: NewestBounds): AnswerWith<LogRow, NewestBegin> {
    const log = this.#logState.row();
    let begin = log.seq;
    let left = bytes;
    for (const row of this.#newest.iterate(messages)) {
      left -= row.bytes;
      if (left < 0) break;
      begin = row.seq - 1;
    }
    return { seq: begin, log };
  }
}
