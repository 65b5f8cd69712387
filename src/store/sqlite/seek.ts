import type Database from 'better-sqlite3';
import type { Sought } from '../store.ts';
import type { AnswerWith, LogRow, LogStateQuery } from './log-state.ts';

export interface SeekerDependencies {
  readonly db: Database.Database;
  readonly logState: LogStateQuery;
}

/** Finds the number that stands for a time, inside the caller's read transaction. */
export class Seeker {
  readonly #logState: LogStateQuery;
  readonly #timeOf: Database.Statement<[number], number>;

  constructor({ db, logState }: SeekerDependencies) {
    this.#logState = logState;
    this.#timeOf = db.prepare<[number], number>('SELECT time FROM messages WHERE seq = ?').pluck();
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
}
