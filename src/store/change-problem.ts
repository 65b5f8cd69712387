import { Problem } from '../model/problem.ts';
import { LevelTooLow } from './level.ts';
import { StoreError } from './store.ts';

/** The problem for a client whose change a store rejects, in the words of its request. */
export interface ChangeSentences {
  /** Before the sentence that says which level it takes. */
  readonly tooLow?: string;
  readonly unknown: string;
  readonly unavailable: string;
}

/** The problem for a client that would have to wait for the database with too many others. */
export function tooManyWait(): Problem {
  return new Problem('overloaded', 'Too many requests are waiting for the database.');
}

/** The answer of a store. Rejects with a `Problem` where it rejects: `level-too-low`, `outcome-unknown` or `unavailable`. */
export async function orProblem<Answer>(answer: Promise<Answer>, { tooLow = 'This cannot be done yet', unknown, unavailable }: ChangeSentences): Promise<Answer> {
  try {
    return await answer;
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    if (error instanceof LevelTooLow) throw new Problem('level-too-low', `${tooLow}: ${error.message}.`, { cause: error });
    throw error.kind === 'outcome-unknown' ? new Problem('outcome-unknown', unknown, { cause: error }) : new Problem('unavailable', unavailable, { cause: error });
  }
}
