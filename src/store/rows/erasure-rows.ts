import { requireLevel } from '../level.ts';
import { ERASURES_MAX_ENTRIES, ERASING_LEVEL, type Erasure, type ErasureChanges } from '../contracts/erasure-store.ts';

/** Both stores read answers about erasures with this file. */

/** Throws where the log is at a level at which nothing may be erased. @throws LevelTooLow */
export function requireErasingLevel(level: number): void {
  requireLevel(level, ERASING_LEVEL);
}

/** An erasure as a store remembers it. */
export interface ErasureRow extends Erasure {
  readonly version: number;
}

/**
 * The changes after a version. Versions follow each other without a hole: where one is missing, it was forgotten, or the database has lost some.
 * @param newest The newest version.
 * @param rows The erasures of later versions, in order, as far as they are remembered; `ERASURES_MAX_ENTRIES` at most.
 */
export function changesAfter(after: number, newest: number, rows: readonly ErasureRow[]): Omit<ErasureChanges, 'log'> {
  const isWhole = rows.length === Math.min(newest - after, ERASURES_MAX_ENTRIES) && rows.every(({ version }, index) => version === after + 1 + index);
  if (!isWhole) return { version: newest, more: false, erasures: undefined };
  const version = after + rows.length;
  return { version, more: version < newest, erasures: rows.map(({ seq, topic, isPrefix }) => ({ seq, topic, isPrefix })) };
}
