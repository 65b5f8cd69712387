import { StoreError } from './store.ts';

/**
 * The level of the log: what a program must understand to use it. A new kind of message, say, which an older program would not merely lack but get wrong
 * without a word, has a level of its own. Every answer of a store compares the log's level with this one. Above it the program says
 * `unavailable` until it is replaced: publishes get 503, streams stay open and idle, so they are late and never wrong.
 *
 * A new log has the level of the program that made it. No program raises the level of a log by itself, because instances that do not understand it may
 * still run. An operator raises it when all are replaced: `npm run migrate -- --raise-level`.
 *
 * Level 2: messages can be erased, and sessions and tickets count. A call that needs a level is refused below it (`requireLevel`).
 */
export const UNDERSTOOD_LEVEL = 2;

/**
 * Added to the level of a log that no program may use, of no version. `tidings copy` closes its target so until it is whole, and its source for good.
 */
export const UNFINISHED_COPY_LEVELS = 1_000_000_000;
export const MOVED_LEVELS = 2_000_000_000;

/** The level of a log before it was closed. */
export function openLevel(level: number): number {
  return level % UNFINISHED_COPY_LEVELS;
}

/** Why a log is closed to every version; undefined where it is not. */
export function closedReason(level: number): string | undefined {
  if (level >= MOVED_LEVELS) return 'the log was moved to another database by `tidings copy --final`: set DATABASE_URL to that one';
  if (level >= UNFINISHED_COPY_LEVELS) return 'the database holds an unfinished copy of a log: repeat `tidings copy`, the last time with --final';
  return undefined;
}

/** The change needs a higher level of the log: a program that may still run would get it wrong. Nothing was stored. */
export class LevelTooLow extends StoreError {
  override name = 'LevelTooLow';

  constructor(level: number, needed: number) {
    super('refused', `the log is at level ${level}, and this takes level ${needed}: when no instance of an older version runs any more, npm run migrate -- --raise-level raises it`);
  }
}

/** The result of the command `npm run migrate`. */
export interface Migrated {
  /** The number of migrations applied. */
  readonly applied: number;
  /** Whether there was no log before. */
  readonly isNew: boolean;
  /** The level of the log; undefined until an instance has opened it. */
  readonly level: number | undefined;
  /** The level before, where it was raised. */
  readonly raisedFrom: number | undefined;
}

/** Throws where the level of the log is below what a change needs. @throws LevelTooLow */
export function requireLevel(level: number, needed: number): void {
  if (level < needed) throw new LevelTooLow(level, needed);
}

/** Throws when this program does not understand a log. */
export function refuseLevel(level: number): void {
  const reason = closedReason(level);
  if (reason !== undefined) throw new StoreError('unavailable', reason);
  if (level > UNDERSTOOD_LEVEL) throw new StoreError('unavailable', `the log is at level ${level}, and this program understands levels up to ${UNDERSTOOD_LEVEL}: replace it by a newer version`);
}
