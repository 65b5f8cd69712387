/** When a delivery that failed is attempted again. */

/** The longest pause. Stops a receiver that was away for a night from being away for a day. */
const FAILURE_PAUSE_MAX_MS = 3_600_000;
/** The longest time that a receiver can ask for (`Retry-After`), and so the longest pause of all. Stops one from putting a webhook off for ever. */
const ASKED_PAUSE_MAX_MS = 86_400_000;
/** This number of failures in a row opens the circuit. */
export const CIRCUIT_OPEN_FAILURES = 5;

/**
 * How long to wait after a number of failures in a row. The pause doubles with each. Chance takes up to half of it away, so that not everybody asks a receiver at the moment when it comes back.
 * Failures count on from one message to the next: a dead receiver is asked as seldom for the next message as for the last.
 *
 * @param retryAfter What the receiver asked for. Milliseconds.
 */
export function pauseMs(failures: number, firstMs: number, retryAfter: number | undefined, random: () => number): number {
  return Math.round(Math.max(longestPauseMs(failures, firstMs) * (0.5 + random() / 2), Math.min(retryAfter ?? 0, ASKED_PAUSE_MAX_MS)));
}

/** The longest pause after this number of failures in a row, unless the receiver asks for more. */
export function longestPauseMs(failures: number, firstMs: number): number {
  return failures === 0 ? 0 : Math.min(FAILURE_PAUSE_MAX_MS, firstMs * 2 ** (failures - 1));
}

/** `Retry-After` in milliseconds: seconds, or a date (RFC 9110, section 10.2.3). undefined where it is neither. */
export function retryAfterMs(header: string | undefined, now: number): number | undefined {
  if (header === undefined) return undefined;
  if (/^[0-9]{1,9}$/.test(header)) return Number(header) * 1000;
  const time = /^[A-Z][a-z]{2}, /.test(header) ? Date.parse(header) : NaN;
  return Number.isNaN(time) ? undefined : Math.max(0, time - now);
}
