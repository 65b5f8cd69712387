import { StoreError } from './store.ts';

/**
 * The level of the log: what a program must understand to use it. A new kind of message, say, which an older program would not merely lack but get wrong
 * without a word, has a level of its own. Every answer of a store compares the log's level with this one. Above it the program says
 * `unavailable` until it is replaced: publishes get 503, streams stay open and idle, so they are late and never wrong.
 *
 * A new log has the level of the program that made it. No program raises the level of a log by itself, because instances that do not understand it may
 * still run. An operator raises it when all are replaced: `npm run migrate -- --raise-level`.
 */
export const UNDERSTOOD_LEVEL = 1;

/** What the command `npm run migrate` did to a log. */
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

/** Throws when this program does not understand a log. */
export function refuseLevel(level: number): void {
  if (level > UNDERSTOOD_LEVEL) throw new StoreError('unavailable', `the log is at level ${level}, and this program understands levels up to ${UNDERSTOOD_LEVEL}: replace it by a newer version`);
}
