const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

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
  const offset = Number(offsetHours) * HOUR_MS + Number(offsetMinutes) * MINUTE_MS;
  return midnight + Number(hour) * HOUR_MS + Number(minute) * MINUTE_MS + Number(second) * 1000
    + Number(fraction.slice(0, 3).padEnd(3, '0')) + (sign === '-' ? offset : -offset);
}
