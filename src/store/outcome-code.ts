import type { Outcome } from './store.ts';

/**
 * The outcomes of requests as numbers, in both stores. Functions of released migrations answer with 0, 1 and 2, so no number ever changes its meaning.
 */
export const OUTCOME_CODE = { stored: 0, replayed: 1, conflict: 2, outdated: 3 } as const satisfies Readonly<Record<Outcome['kind'], number>>;
