/** A clock further ahead of all known times than this is not believed. Milliseconds. */
export const CLOCK_JUMP_MS = 60 * 60 * 1000;
/** The believed clock is stored when it has moved on by this much: one small write in a minute. Milliseconds. */
export const CLOCK_KEPT_MS = 60 * 1000;

/** The store's view of the time. Milliseconds since 1970. */
export interface KnownTimes {
  /** The machine's clock. */
  readonly machine: number;
  /** The latest believed clock, as the log remembers it; null before retention has first looked at a message. */
  readonly kept: number | null;
  /** The time of the oldest message, used while `kept` is null: a wrong clock may have written the later ones. Undefined for an empty log. */
  readonly oldest?: number | undefined;
  /** The time as the caller counts it; undefined before its first look. */
  readonly counted?: CountedTime | undefined;
}

/** The time as one instance counts it, from what the store believed when it last looked. Milliseconds since 1970. */
export interface CountedTime {
  readonly from: number;
  readonly latest: number;
}

/**
 * Invariant 10: the believed clock. With a clock that is years ahead every message would be too old. So the clock is compared with
 * the times in the log, which outlast every process. A clock that is behind is followed. A log that never had a message
 * has nothing to lose, and believes every clock. PostgreSQL's twin of this is `tidings.believe`.
 */
export function believe({ machine, kept, oldest, counted }: KnownTimes): number {
  const known = Math.max(kept ?? oldest ?? machine, counted !== undefined && continues(counted, kept) ? counted.latest : -Infinity);
  return machine - known > CLOCK_JUMP_MS ? known : machine;
}

/**
 * Whether a count continues from the time that the log remembers. Otherwise the log knows better: other instances looked later, or a message refuted the
 * beginning of the count. A count from an empty log may come from any clock, so the first messages decide.
 */
function continues({ from }: CountedTime, kept: number | null): boolean {
  return kept !== null && from >= kept && from - kept < CLOCK_KEPT_MS;
}

/**
 * Whether the log has to remember a believed clock. Never a time before the remembered one. Otherwise a machine that boots in 1970 and sets its clock a minute
 * later would not be believed again.
 */
export function isWorthKeeping(believed: number, { kept, oldest }: KnownTimes): boolean {
  return kept === null ? oldest !== undefined : believed - kept >= CLOCK_KEPT_MS;
}

/**
 * Whether a new message's time is so far behind the remembered one that the log has to remember it instead. One of two clocks was wrong, and nobody
 * knows which. If the log believed the later one again, retention would delete the message at once, and forget its key.
 */
export function isRefuted(kept: number | null, time: number): boolean {
  return kept !== null && kept - time > CLOCK_JUMP_MS;
}
