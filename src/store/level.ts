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

/** Throws when this program does not understand a log. */
export function refuseLevel(level: number): void {
  if (level > UNDERSTOOD_LEVEL) throw new StoreError('unavailable', `the log is at level ${level}, and this program understands levels up to ${UNDERSTOOD_LEVEL}: replace it by a newer version`);
}
