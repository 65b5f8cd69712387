const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

// The sign of the offset may be a space: a `+` that was not percent-encoded in a query string arrives as ` 02:00`.
const TIME = /^([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9]|60)(?:\.([0-9]+))?(?:[Zz]|([+ -])([01][0-9]|2[0-3]):([0-5][0-9]))$/;

/** Parses a time of RFC 3339, section 5.6. Cuts off fractions of a millisecond. @returns Milliseconds since 1970, or undefined if it is no time. */
export function parseTime(text: string): number | undefined {
  const match = TIME.exec(text);
  if (match === null) return undefined;
  const [, date, hour, minute, second, fraction = '', sign, offsetHours = '0', offsetMinutes = '0'] = match;
  const midnight = Date.parse(`${date}T00:00:00Z`);
  // `Date.parse` accepts 30 February as 1 or 2 March: compare.
  if (Number.isNaN(midnight) || !new Date(midnight).toISOString().startsWith(date!)) return undefined;
  const offset = Number(offsetHours) * HOUR_MS + Number(offsetMinutes) * MINUTE_MS;
  return midnight + Number(hour) * HOUR_MS + Number(minute) * MINUTE_MS + Number(second) * 1000
    + Number(fraction.slice(0, 3).padEnd(3, '0')) + (sign === '-' ? offset : -offset);
}
