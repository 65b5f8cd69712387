import type { StartRequest } from './start-position.ts';
import { parseTime } from '../../model/rfc3339.ts';

const UNIT_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const DURATION = /^(?:[0-9]+(?:ms|[smhd]))+$/;
const PART = /([0-9]+)(ms|[smhd])/g;

/** The longest duration, some 285 years. Stops sums that a number cannot hold exactly. */
const DURATION_MAX_MS = 9e12;

/**
 * Parses the value of `?since=`: a duration back from now (`500ms`, `90s`, `10m`, `2h30m`, `7d`), or a time of RFC 3339.
 * undefined if it is neither.
 */
export function parseSince(text: string): StartRequest | undefined {
  const milliseconds = parseDuration(text);
  if (milliseconds !== undefined) return { kind: 'ago', milliseconds };
  const time = parseTime(text);
  return time === undefined ? undefined : { kind: 'since', time };
}

/** The milliseconds of a duration such as `2h30m`; undefined if it is none, or longer than `DURATION_MAX_MS`. */
export function parseDuration(text: string): number | undefined {
  if (!DURATION.test(text)) return undefined;
  let sum = 0;
  for (const [, count, unit] of text.matchAll(PART)) sum += Number(count) * UNIT_MS[unit as keyof typeof UNIT_MS];
  return sum <= DURATION_MAX_MS ? sum : undefined;
}
