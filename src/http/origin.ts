import type { IncomingHttpHeaders } from 'node:http';
import type { Config } from '../config/config.ts';

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

/** What a page may see of an answer's headers, besides those that it always may. */
export const EXPOSED_HEADERS = ['Location', 'Idempotency-Replayed', 'Retry-After', 'Allow'] as const;

/**
 * What lets a page of an allowed origin read an answer (https://fetch.spec.whatwg.org/#http-responses): for the few that
 * no hook sees. All others get the same from @fastify/cors.
 */
export function originHeaders(origin: string | undefined, allowed: Config['CORS_ORIGINS']): Readonly<Record<string, string>> {
  if (allowed.length === 0) return {};
  const isAllowed = allowed === '*' || (origin !== undefined && allowed.includes(origin));
  return {
    ...(allowed === '*' ? {} : { vary: 'Origin' }),
    ...(isAllowed ? { 'access-control-allow-origin': allowed === '*' ? '*' : origin! } : {}),
    'access-control-expose-headers': EXPOSED_HEADERS.join(', '),
  };
}
