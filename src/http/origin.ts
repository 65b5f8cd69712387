import type { IncomingHttpHeaders } from 'node:http';
import type { Config } from '../config.ts';

/**
 * Whether a request that changes something comes from a page of another origin that is not allowed to. A browser sends a
 * plain-text POST to anywhere without asking first, and CORS keeps the page only from reading the answer; so without
 * this check, any web page that somebody opens could publish to the service on that person's own machine or network.
 *
 * Browsers say with `Sec-Fetch-Site` where a request comes from, on localhost and https; a page cannot forge it. To a plain
 * http address they send `Origin` only, which is then compared with the host that was asked. Programs send neither, or
 * can send what they like: this is no access control. (The same rule as Go's http.CrossOriginProtection.)
 */
export function isForeignPage(headers: IncomingHttpHeaders, allowed: Config['CORS_ORIGINS']): boolean {
  const { origin } = headers;
  const site = headers['sec-fetch-site'];
  if (site === 'same-origin' || site === 'none') return false;
  if (site === undefined && (origin === undefined || URL.parse(origin)?.host === headers.host)) return false;
  return !(allowed === '*' || (origin !== undefined && allowed.includes(origin)));
}
