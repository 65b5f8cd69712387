import type { Retry } from '../../fleet/steering.ts';
import { Problem } from '../../model/problem.ts';

/** The longest time that a client may be told to stay away: a day. Stops mistakes, such as milliseconds. */
export const RETRY_MAX_SECONDS = 86_400;

const SECONDS = /^[1-9][0-9]{0,5}$/;

/** The parameter `retry`: milliseconds, or never; undefined where it is absent. Throws `invalid-request`. */
export function retryFrom(text: string | undefined): Retry {
  if (text === undefined || text === 'never') return text;
  const seconds = SECONDS.test(text) ? Number(text) : Infinity;
  if (seconds > RETRY_MAX_SECONDS) throw new Problem('invalid-request', `retry must be a whole number of seconds from 1 to ${RETRY_MAX_SECONDS}, or never.`, { field: 'retry' });
  return seconds * 1000;
}
