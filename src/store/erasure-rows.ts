import { requireLevel } from './level.ts';
import { ERASURES_MAX_ENTRIES, ERASING_LEVEL, type Erasure, type ErasureChanges } from './erasure-store.ts';

/** What both stores do with an answer about erasures. */

/** Throws where the log is at a level at which nothing may be erased. @throws LevelTooLow */
export function requireErasingLevel(level: number): void {
  requireLevel(level, ERASING_LEVEL);
}

/**
 * The changes after a version. Versions follow each other without a hole, so their number says whether any is missing: forgotten, or lost by the database.
 * @param rows The erasures of later versions, in order, as far as they are remembered; one more than `ERASURES_MAX_ENTRIES` at most.
 */
export function changesAfter(after: number, version: number, rows: readonly Erasure[]): Omit<ErasureChanges, 'log'> {
  return { version, erasures: rows.length === version - after && rows.length <= ERASURES_MAX_ENTRIES ? rows : undefined };
}
