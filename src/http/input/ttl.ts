import { Problem } from '../../model/problem.ts';

/** The longest TTL, ten years. Stops mistakes, such as a time in milliseconds. */
export const TTL_MAX_SECONDS = 315_360_000;

/** The shortest TTL. A TTL of 0 asks for delivery now or never (RFC 8030, section 5.2). It becomes this one, which is long enough for all open streams. */
const TTL_MIN_SECONDS = 1;

/** The TTL of a message, from the TTL of its request; 0 means that it does not expire. */
export function ttlSeconds(asked: number | undefined): number {
  return asked === undefined ? 0 : Math.max(asked, TTL_MIN_SECONDS);
}

/** The seconds that a `TTL` header asks for (RFC 8030, section 5.2); 0 when it is absent. Throws a `Problem` that names the field. */
export function parseTtl(header: string | undefined): number {
  if (header === undefined) return ttlSeconds(undefined);
  const seconds = /^[0-9]{1,12}$/.test(header) ? Number(header) : NaN;
  if (!(seconds <= TTL_MAX_SECONDS)) throw new Problem('invalid-ttl', `TTL must be a whole number of seconds from 0 to ${TTL_MAX_SECONDS}.`, { field: 'TTL' });
  return ttlSeconds(seconds);
}
