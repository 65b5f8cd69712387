/** A clock that is further than this ahead of all that is known of the time is not believed. Milliseconds. */
export const CLOCK_JUMP_MS = 60 * 60 * 1000;
/** The believed clock is kept when it has moved on by so much: one small write in a minute. Milliseconds. */
const CLOCK_KEPT_MS = 60 * 1000;

/** What is known of the time. Milliseconds since 1970. */
export interface KnownTimes {
  /** The machine's clock. */
  readonly machine: number;
  /** The furthest that the clock was believed, as the log keeps it; null before retention has first looked at a message. */
  readonly kept: number | null;
  /** Until then: the time of the oldest message held, since later ones may be from a clock that was wrong already; undefined when there is none. */
  readonly oldest?: number | undefined;
  /** What the caller knows, who counts the time himself. */
  readonly latest?: number | undefined;
}

/**
 * Invariant 10: the machine's clock as far as it is believed. By a clock that is years ahead every message would be too old at once, so it is
 * compared with what the log itself remembers, which outlasts every process. A clock that is behind is followed. A log that never had a message
 * has nothing to lose, and believes every clock. PostgreSQL's twin of this is `tidings.believe`.
 */
export function believe({ machine, kept, oldest, latest = -Infinity }: KnownTimes): number {
  const known = Math.max(kept ?? oldest ?? machine, latest);
  return machine - known > CLOCK_JUMP_MS ? known : machine;
}

/**
 * Whether the log has to remember a believed clock. Never one that is behind what it remembers: a machine that boots with its clock at 1970, and sets
 * it a minute later, would not be believed again.
 */
export function isWorthKeeping(believed: number, { kept, oldest }: KnownTimes): boolean {
  return kept === null ? oldest !== undefined : believed - kept >= CLOCK_KEPT_MS;
}
