/** Where nothing tells that clients are gone, streams end between half of this age and all of it. It stops streams of vanished clients from filling `MAX_STREAMS`. */
export const UNWATCHED_MAX_AGE_MS = 10 * 60_000;

/** The shortest life of a stream. It stops a long HEARTBEAT_SECONDS from ending every stream at its first heartbeat. */
const LIFE_MIN_BEATS = 2;

/**
 * Whether a stream that nobody can watch ends with this heartbeat. Each heartbeat in the second half of its life is equally likely to be the last.
 * So streams that were opened together do not come back together.
 *
 * @param beats How many heartbeats it has had: its age.
 * @param random From 0 to below 1.
 */
export function isOfAge(beats: number, heartbeatMs: number, random: number): boolean {
  const last = Math.max(LIFE_MIN_BEATS, Math.floor(UNWATCHED_MAX_AGE_MS / heartbeatMs));
  return 2 * beats >= last && random * (last - beats + 1) < 1;
}
