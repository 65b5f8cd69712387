import type { StartRequest } from '../../log/start-position.ts';

const UNIT_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const DURATION = /^(?:[0-9]+(?:ms|[smhd]))+$/;
const PART = /([0-9]+)(ms|[smhd])/g;

/** No duration is longer, some 285 years: stops sums that are no exact numbers any more. */
const DURATION_MAX_MS = 9e12;

/**
 * A time to read from, as `?since=` says it: a duration back from now (`500ms`, `90s`, `10m`, `2h30m`, `7d`), or a time
 * of RFC 3339. undefined when it is neither.
 */
export function parseSince(text: string): StartRequest | undefined {
  const milliseconds = parseDuration(text);
  if (milliseconds !== undefined) return { kind: 'ago', milliseconds };
  const time = parseTime(text);
  return time === undefined ? undefined : { kind: 'since', time };
}

/** Milliseconds. */
export function parseDuration(text: string): number | undefined {
  if (!DURATION.test(text)) return undefined;
  let sum = 0;
  for (const [, count, unit] of text.matchAll(PART)) sum += Number(count) * UNIT_MS[unit as keyof typeof UNIT_MS];
  return sum <= DURATION_MAX_MS ? sum : undefined;
}

// In a query string a + means a space: an offset that was not percent-encoded arrives as ` 02:00`.
const TIME = /^([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9]|60)(?:\.([0-9]+))?(?:[Zz]|([+ -])([01][0-9]|2[0-3]):([0-5][0-9]))$/;

/** Milliseconds since 1970 of a time as RFC 3339, section 5.6, writes it; finer fractions are cut off. */
export function parseTime(text: string): number | undefined {
  const match = TIME.exec(text);
  if (match === null) return undefined;
  const [, date, hour, minute, second, fraction = '', sign, offsetHours = '0', offsetMinutes = '0'] = match;
  const midnight = Date.parse(`${date}T00:00:00Z`);
  // A day that its month does not have is counted on into the next month.
  if (Number.isNaN(midnight) || !new Date(midnight).toISOString().startsWith(date!)) return undefined;
  const offset = Number(offsetHours) * UNIT_MS.h + Number(offsetMinutes) * UNIT_MS.m;
  return midnight + Number(hour) * UNIT_MS.h + Number(minute) * UNIT_MS.m + Number(second) * UNIT_MS.s
    + Number(fraction.slice(0, 3).padEnd(3, '0')) + (sign === '-' ? offset : -offset);
}
