/** When a delivery that failed is attempted again. */

/** The longest pause, unless the receiver asks for more. A receiver that comes back gets its messages within this time. */
const FAILURE_PAUSE_MAX_MS = 3_600_000;
/** The longest pause that a receiver can ask for (`Retry-After`). Stops a receiver from delaying its webhook for ever. */
const ASKED_PAUSE_MAX_MS = 86_400_000;
/** This number of failures in a row opens the circuit. */
export const CIRCUIT_OPEN_FAILURES = 5;

/**
 * The pause after a number of failures in a row. It doubles with each failure, less a random part of up to half, so that not all webhooks attempt a receiver at once when it comes back.
 * With `firstMs` 1000: 0.5 to 1 s, 1 to 2 s, 2 to 4 s, … A given-up message does not reset the failures, so a dead receiver gets few attempts for the next message too.
 *
 * @param retryAfter The pause that the receiver asked for, in milliseconds.
 */
export function pauseMs(failures: number, firstMs: number, retryAfter: number | undefined, random: () => number): number {
  return Math.round(Math.max(longestPauseMs(failures, firstMs) * (0.5 + random() / 2), Math.min(retryAfter ?? 0, ASKED_PAUSE_MAX_MS)));
}

/** The longest pause after this number of failures in a row, unless the receiver asks for more. */
export function longestPauseMs(failures: number, firstMs: number): number {
  return failures === 0 ? 0 : Math.min(FAILURE_PAUSE_MAX_MS, firstMs * 2 ** (failures - 1));
}

/** `Retry-After` in milliseconds: seconds, or a date (RFC 9110, section 10.2.3). Undefined if it is neither. */
export function retryAfterMs(header: string | undefined, now: number): number | undefined {
  if (header === undefined) return undefined;
  if (/^[0-9]{1,9}$/.test(header)) return Number(header) * 1000;
  const time = /^[A-Z][a-z]{2}, /.test(header) ? Date.parse(header) : NaN;
  return Number.isNaN(time) ? undefined : Math.max(0, time - now);
}
