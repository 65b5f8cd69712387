import { Problem } from '../../model/problem.ts';

/** The longest TTL, ten years. Stops mistakes, such as a time in milliseconds. */
export const TTL_MAX_SECONDS = 315_360_000;

/** The seconds that a `TTL` header asks for (RFC 8030, section 5.2); 0 when it is absent. Throws a `Problem` that names the field. */
export function parseTtl(header: string | undefined): number {
  if (header === undefined) return 0;
  const seconds = /^[0-9]{1,12}$/.test(header) ? Number(header) : NaN;
  if (!(seconds >= 1 && seconds <= TTL_MAX_SECONDS)) throw new Problem('invalid-ttl', `TTL must be a whole number of seconds from 1 to ${TTL_MAX_SECONDS}.`, { field: 'TTL' });
  return seconds;
}
