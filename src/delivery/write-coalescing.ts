/**
 * When messages share writes. A sweep of the fan-out writes once to each socket, whatever came since the last sweep; a rest after each sweep lets
 * messages gather. Where a sweep for each message leaves time to spare, the rest is over before the next message comes, and nothing waits.
 */

/**
 * A rest lasts a quarter of the time that its sweep took, and that time again for each message beyond the first that shared a write, up to
 * four times. So sweeps take four fifths of the time at most where they can keep up with one write for each message, and a fifth where they cannot.
 */
const REST_MIN_FACTOR = 0.25;
const REST_MAX_FACTOR = 4;
/** The longest rest. Bounds the delay of a message, however many readers there are. */
const REST_MAX_MS = 20;

/** The cost of a sweep. */
export interface SweepCost {
  readonly costMs: number;
  /** How many messages have shared a write, on average. */
  readonly messagesPerWrite: number;
}

/** How long the fan-out rests after a sweep. Milliseconds. */
export function restAfter({ costMs, messagesPerWrite }: SweepCost): number {
  const factor = Math.min(Math.max(0, messagesPerWrite - 1) + REST_MIN_FACTOR, REST_MAX_FACTOR);
  return Math.min(factor * costMs, REST_MAX_MS);
}
