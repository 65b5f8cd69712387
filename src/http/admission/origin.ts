import type { IncomingHttpHeaders } from 'node:http';
import type { Origins } from '../../config/origins.ts';
import { hostOfOrigin, isSameHost } from './host.ts';
import { shown } from './kept-out.ts';
import { SECURITY_HEADERS } from '../output/security-headers.ts';

/** Web pages of other origins: which may publish, and which may read answers. */

/** Methods that change nothing (RFC 9110, section 9.2.1). */
const SAFE_METHODS: readonly string[] = ['GET', 'HEAD', 'OPTIONS'];

/** Whether a request changes nothing. An upgrade counts as a change with every method: no browser asks anybody before a page opens a WebSocket to another origin. */
export function isSafe(method: string, headers: IncomingHttpHeaders): boolean {
  return SAFE_METHODS.includes(method) && headers.upgrade === undefined;
}

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

/** The detail for a page that may change nothing. It gives both compared values, so that its author finds the proxy that changed the host. */
export function foreignPageDetail({ origin, host, 'sec-fetch-site': site }: IncomingHttpHeaders): string {
  if (origin === undefined) return `A page of another site may not do this here, unless CORS_ORIGINS names its origin; the browser says Sec-Fetch-Site: ${shown(String(site))}.`;
  const said = site === undefined ? '' : `, and Sec-Fetch-Site says ${shown(String(site))}`;
  return `A page of ${shown(origin)} may not do this here, unless CORS_ORIGINS names that origin: its host is ${shown(hostOfOrigin(origin)) ?? 'no name'}, the Host header says ${shown(host) ?? 'nothing'}${said}. A proxy must pass the Host header on.`;
}

/** Headers of answers that a page may see, besides those that CORS always shows. */
const EXPOSED_HEADERS = 'Location, Idempotency-Replayed, Retry-After, RateLimit, RateLimit-Policy, Allow, Tidings-Cursor';

/** Headers that every page may send. */
const REQUEST_HEADERS = ['Content-Type', 'Last-Event-ID', 'Idempotency-Key', 'TTL', 'Tidings-Event', 'Authorization', 'Cache-Control'] as const;

/** Names of headers, in a list (RFC 9110, section 5.6.2). */
const HEADER_NAMES = /^[!#$%&'*+.^_`|~0-9A-Za-z, \t-]+$/;

/**
 * The headers that a page may send. Other code in the page, such as that which traces requests, adds headers of its own to all of them (`traceparent`, `sentry-trace`, `X-Requested-With`). They mean nothing here, so whatever
 * an allowed page asks for is allowed.
 */
function preflightHeaders(asked: string | undefined): Readonly<Record<string, string>> {
  const more = asked !== undefined && HEADER_NAMES.test(asked) ? asked.split(',').map((name) => name.trim().toLowerCase()).filter((name) => name !== '' && !REQUEST_HEADERS.some((one) => one.toLowerCase() === name)) : [];
  return {
    'access-control-allow-methods': 'GET, HEAD, POST, PATCH, DELETE',
    'access-control-allow-headers': [...REQUEST_HEADERS, ...new Set(more)].join(', '),
    'access-control-max-age': String(PREFLIGHT_SECONDS),
  };
}

/** Whether a browser asks which requests a page may send. Any OPTIONS counts, so that none is answered with an error in some other form. */
export function isPreflight({ method }: { readonly method: string }, allowed: Origins): boolean {
  return method === 'OPTIONS' && allowed.length > 0;
}

/**
 * The headers of an answer that belong to no route. Among them is what lets a page of an allowed origin read it (https://fetch.spec.whatwg.org/#http-responses). A page may send credentials
 * to a service that names its origin: to a proxy before it, which decides who may come in.
 */
export function commonHeaders(request: IncomingHttpHeaders, allowed: Origins, preflight: boolean): Readonly<Record<string, string>> {
  if (allowed.length === 0) return SECURITY_HEADERS;
  const { origin } = request;
  const isNamed = allowed !== '*' && origin !== undefined && allowed.includes(origin);
  return {
    ...SECURITY_HEADERS,
    // Without it, a page that may publish, and does so without a look at the answer (`no-cors`), would be told that it failed.
    ...(allowed === '*' || isNamed ? { 'cross-origin-resource-policy': 'cross-origin' } : {}),
    ...(allowed === '*' ? { 'access-control-allow-origin': '*' } : { vary: 'Origin' }),
    ...(isNamed ? { 'access-control-allow-origin': origin, 'access-control-allow-credentials': 'true' } : {}),
    'access-control-expose-headers': EXPOSED_HEADERS,
    ...(preflight ? preflightHeaders(request['access-control-request-headers']) : {}),
  };
}
