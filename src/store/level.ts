import { StoreError } from './store.ts';

/**
 * The level of a log: the head row says which features a program must understand to use the log. A feature gets a level of its own if an older program would
 * silently do something wrong with it, such as deliver an erased message as an empty one.
 *
 * Every answer of a store compares the log's level with `UNDERSTOOD_LEVEL`. A program below the log's level reports `unavailable` until a newer version
 * replaces it: publishes get 503, streams stay open and idle.
 *
 * A new log has the level of the program that made it. No program raises the level by itself, because older instances may still run. An operator raises it
 * when no old instance is left: `npm run migrate -- --raise-level`. Until then, calls that need a level reject with `LevelTooLow`.
 *
 * | level | since then |
 * |---|---|
 * | 1 | the first version |
 * | 2 | messages can be erased; sessions and tickets |
 *
 * A closed log adds one of the two numbers below to its level, so that no program of any version can use it.
 */

/** The highest level that this program understands. */
export const UNDERSTOOD_LEVEL = 2;

/** Added to the level of a target of `tidings copy` until the copy is finished. */
export const UNFINISHED_COPY_LEVELS = 1_000_000_000;
/** Added to the level of a source of `tidings copy` after the copy is finished. */
export const MOVED_LEVELS = 2_000_000_000;

/** The level of a log, without the number that closes it. */
export function openLevel(level: number): number {
  return level % UNFINISHED_COPY_LEVELS;
}

/** Why a log is closed; undefined if it is open. */
export function closedReason(level: number): string | undefined {
  if (level >= MOVED_LEVELS) return 'the log was moved to another database by `tidings copy --final`: set DATABASE_URL to that one';
  if (level >= UNFINISHED_COPY_LEVELS) return 'the database holds an unfinished copy of a log: repeat `tidings copy`, the last time with --final';
  return undefined;
}

/** The change needs a higher level of the log. Nothing was stored. */
export class LevelTooLow extends StoreError {
  override name = 'LevelTooLow';

  constructor(level: number, needed: number) {
    super('refused', `the log is at level ${level}, and this needs level ${needed}: when no instance of an older version runs any more, raise it with npm run migrate -- --raise-level`);
  }
}

/** The result of the command `npm run migrate`. */
export interface Migrated {
  /** How many migrations were applied. */
  readonly applied: number;
  /** Whether the database had no tables of Tidings before. */
  readonly isNew: boolean;
  /** The level of the log; undefined until an instance has opened it. */
  readonly level: number | undefined;
  /** The level before it was raised; undefined if it was not raised. */
  readonly raisedFrom: number | undefined;
}

/** @throws LevelTooLow if the level of the log is below the level that a change needs. */
export function requireLevel(level: number, needed: number): void {
  if (level < needed) throw new LevelTooLow(level, needed);
}

/** Throws if the log is closed, or its level is above `UNDERSTOOD_LEVEL`. */
export function refuseLevel(level: number): void {
  const reason = closedReason(level);
  if (reason !== undefined) throw new StoreError('unavailable', reason);
  if (level > UNDERSTOOD_LEVEL) throw new StoreError('unavailable', `the log is at level ${level}, and this program understands levels up to ${UNDERSTOOD_LEVEL}: replace it by a newer version`);
}
