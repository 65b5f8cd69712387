import { requireLevel } from '../level.ts';
import { ERASURES_MAX_ENTRIES, ERASING_LEVEL, type Erasure, type ErasureChanges } from '../contracts/erasure-store.ts';

/** @throws LevelTooLow if the level of the log is too low for erasures. */
export function requireErasingLevel(level: number): void {
  requireLevel(level, ERASING_LEVEL);
}

/** An erasure as a store remembers it. */
export interface ErasureRow extends Erasure {
  readonly version: number;
}

/**
 * The changes after a version. Stored versions have no holes. If a version is missing after `after`, the database has forgotten or lost erasures. With
 * `after` 7 and `newest` 9, the rows must be 8 and 9.
 *
 * @param rows The stored erasures after `after`, in the order of their versions, at most `ERASURES_MAX_ENTRIES`.
 */
export function changesAfter(after: number, newest: number, rows: readonly ErasureRow[]): Omit<ErasureChanges, 'log'> {
  const isWhole = rows.length === Math.min(newest - after, ERASURES_MAX_ENTRIES) && rows.every(({ version }, index) => version === after + 1 + index);
  if (!isWhole) return { version: newest, more: false, erasures: undefined };
  const version = after + rows.length;
  return { version, more: version < newest, erasures: rows.map(({ seq, topic, isPrefix }) => ({ seq, topic, isPrefix })) };
}
