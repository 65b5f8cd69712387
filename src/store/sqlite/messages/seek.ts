import type Database from 'better-sqlite3';
import type { NewestBegin, NewestBounds, Sought } from '../../store.ts';
import type { AnswerWith, LogRow, LogStateQuery } from '../files/log-state.ts';

export interface SeekerDependencies {
  readonly db: Database.Database;
  readonly logState: LogStateQuery;
}

/** Finds numbers of the log: by a time, or by how many of the newest messages fit a bound. Runs inside the caller's transaction. */
export class Seeker {
  readonly #logState: LogStateQuery;
  readonly #timeOf: Database.Statement<[number], number>;
  readonly #newest: Database.Statement<[number], { readonly seq: number; readonly bytes: number }>;

  constructor({ db, logState }: SeekerDependencies) {
    this.#logState = logState;
    this.#timeOf = db.prepare<[number], number>('SELECT time FROM messages WHERE seq = ?').pluck();
    // SQLite finds the length of a value in its row, without reading long data.
    this.#newest = db.prepare('SELECT seq, octet_length(data) AS bytes FROM messages ORDER BY seq DESC LIMIT ?');
  }

  /** `Store.seek`. A binary search without an index, because times never decrease along the log (invariant 10). */
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

  /** `Store.newestWithin`. */
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
