import type { IncomingHttpHeaders } from 'node:http';
import type { Config } from '../config/config.ts';

/** Web pages of other origins: which may publish, and which may read what is answered. */

type Origins = Config['CORS_ORIGINS'];

/** For how long a browser may remember that a cross-origin request is allowed. */
const PREFLIGHT_SECONDS = 3600;

/**
 * Whether a request that changes something comes from a page of another origin that is not allowed to. A browser sends a
 * plain-text POST to anywhere without asking first; CORS only keeps the page from reading the answer. Without this check,
 * any web page that somebody opens could publish to a service on that person's own machine or network.
 *
 * Browsers say with `Sec-Fetch-Site` where a request comes from, on localhost and https; a page cannot forge it. To a plain
 * http address they send `Origin` only, which is then compared with the host that was asked. Programs send neither, or
 * can send what they like: this is no access control. (The same rule as Go's http.CrossOriginProtection.)
 */
export function isForeignPage(headers: IncomingHttpHeaders, allowed: Origins): boolean {
  const { origin } = headers;
  const site = headers['sec-fetch-site'];
  if (site === 'same-origin' || site === 'none') return false;
  if (site === undefined && (origin === undefined || isSameHost(origin, headers.host))) return false;
  return !(allowed === '*' || (origin !== undefined && allowed.includes(origin)));
}

/** `null`, which is the origin of a sandboxed page, has no host. */
function isSameHost(origin: string, host: string | undefined): boolean {
  return host !== undefined && host !== '' && URL.parse(origin)?.host === host;
}

/** Headers of answers that a page may see, besides those that it always may. */
const EXPOSED_HEADERS = 'Location, Idempotency-Replayed, Retry-After, Allow';

/** What a page may send. */
const PREFLIGHT_HEADERS = {
  'access-control-allow-methods': 'GET, HEAD, POST',
  'access-control-allow-headers': 'Content-Type, Last-Event-ID, Idempotency-Key, TTL, Tidings-Event, Authorization, Cache-Control',
  'access-control-max-age': String(PREFLIGHT_SECONDS),
} as const;

/** Whether a browser asks which requests a page may send. Any OPTIONS counts, so that none is answered with an error in some other form. */
export function isPreflight({ method }: { readonly method: string }, allowed: Origins): boolean {
  return method === 'OPTIONS' && allowed.length > 0;
}

const NO_HEADERS = {};

/** What lets a page of an allowed origin read an answer (https://fetch.spec.whatwg.org/#http-responses). */
export function originHeaders(origin: string | undefined, allowed: Origins, preflight: boolean): Readonly<Record<string, string>> {
  if (allowed.length === 0) return NO_HEADERS;
  const isAllowed = allowed === '*' || (origin !== undefined && allowed.includes(origin));
  return {
    ...(allowed === '*' ? {} : { vary: 'Origin' }),
    ...(isAllowed ? { 'access-control-allow-origin': allowed === '*' ? '*' : origin! } : {}),
    'access-control-expose-headers': EXPOSED_HEADERS,
    ...(preflight ? PREFLIGHT_HEADERS : {}),
  };
}
