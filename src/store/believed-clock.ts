/**
 * Invariant 10: the clock by which a store deletes old messages and expired keys. By a clock that is years ahead, every message would be too old. So the store
 * compares the machine's clock with the latest time that it knows from the log, and does not believe a clock that is too far ahead of it:
 *
 * | machine's clock | latest known time | believed |
 * |---|---|---|
 * | 10:00 | 09:58 | 10:00 |
 * | 10:00 | 11:30 (the clock was set back) | 10:00 |
 * | 10:00 in a year | 09:58 today | 09:58 today |
 * | any | none: the log never had a message | the machine's clock, because there is nothing to lose |
 *
 * PostgreSQL does the same in the function `tidings.believe`.
 */

/** A clock further ahead of all known times than this is not believed. Milliseconds. */
export const CLOCK_JUMP_MS = 60 * 60 * 1000;
/** The log remembers the believed clock again when it has advanced by this much: one small write a minute. Milliseconds. */
export const CLOCK_KEPT_MS = 60 * 1000;

/** The times that a store compares. Milliseconds since 1970. */
export interface KnownTimes {
  /** The machine's clock. */
  readonly machine: number;
  /** The believed clock that the log remembers; null until retention has looked at a first message. */
  readonly kept: number | null;
  /** The time of the oldest message, for use while `kept` is null. A wrong clock may have given their times to later messages. Undefined for an empty log. */
  readonly oldest?: number | undefined;
  /** The time as the caller has counted it on; undefined before its first step of retention. */
  readonly counted?: CountedTime | undefined;
}

/** The time as one instance counts it on with its monotonic clock. Milliseconds since 1970. */
export interface CountedTime {
  /** The believed clock at the instance's last step of retention. */
  readonly from: number;
  /** `from`, and the time that has passed on the monotonic clock since then. */
  readonly latest: number;
}

/** The believed clock. */
export function believe({ machine, kept, oldest, counted }: KnownTimes): number {
  const known = Math.max(kept ?? oldest ?? machine, counted !== undefined && continues(counted, kept) ? counted.latest : -Infinity);
  return machine - known > CLOCK_JUMP_MS ? known : machine;
}

/**
 * Whether the count began at the time that the log remembers, or less than a minute after it. Otherwise ignore the count: another instance has looked later,
 * or a message has refuted the clock at which the count began. Ignore it also while the log remembers none: the count may have begun at any clock.
 */
function continues({ from }: CountedTime, kept: number | null): boolean {
  return kept !== null && from >= kept && from - kept < CLOCK_KEPT_MS;
}

/**
 * Whether the log should remember the believed clock now. It never remembers an earlier time than before. Otherwise a machine that boots in 1970 and sets its
 * clock a minute later would not be believed again.
 */
export function isWorthKeeping(believed: number, { kept, oldest }: KnownTimes): boolean {
  return kept === null ? oldest !== undefined : believed - kept >= CLOCK_KEPT_MS;
}

/**
 * Whether a new message refutes the remembered clock: its time is far behind it, so one of the two clocks was wrong. Then the log remembers the time of the
 * message instead. If it kept the later clock, retention would delete the message at once, and its idempotency key.
 */
export function isRefuted(kept: number | null, time: number): boolean {
  return kept !== null && kept - time > CLOCK_JUMP_MS;
}
