import { Problem } from '../model/problem.ts';
import { LevelTooLow } from './level.ts';
import { StoreError } from './store.ts';

/** The details of the problems that a client gets if the store rejects its change, in the words of its request. */
export interface ChangeSentences {
  /** The beginning of the detail of `level-too-low`. The sentence that names the level follows. */
  readonly tooLow?: string;
  readonly unknown: string;
  readonly unavailable: string;
}

/** The problem if too many requests wait for the database. */
export function tooManyWait(): Problem {
  return new Problem('overloaded', 'Too many requests are waiting for the database.');
}

/** Passes on a store's answer. Turns its `StoreError` into a `Problem`: `level-too-low`, `outcome-unknown` or `unavailable`. */
export async function orProblem<Answer>(answer: Promise<Answer>, { tooLow = 'This cannot be done yet', unknown, unavailable }: ChangeSentences): Promise<Answer> {
  try {
    return await answer;
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    if (error instanceof LevelTooLow) throw new Problem('level-too-low', `${tooLow}: ${error.message}.`, { cause: error });
    throw error.kind === 'outcome-unknown' ? new Problem('outcome-unknown', unknown, { cause: error }) : new Problem('unavailable', unavailable, { cause: error });
  }
}
