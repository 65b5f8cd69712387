import type { IncomingHttpHeaders } from 'node:http';
import type { Config } from '../../config/config.ts';
import type { Origins } from '../../config/origins.ts';
import { hostOfOrigin, isSameHost } from './host.ts';
import { shown } from './kept-out.ts';
import { SECURITY_HEADERS } from '../output/security-headers.ts';
import type { Listener } from './request-head.ts';

/** Web pages of other origins: which may publish, and which may read answers. */

const NO_ORIGINS: Origins = [];

/** The operations listener takes no credential, so no web page may read its answers, whatever CORS_ORIGINS says. */
export function originsAllowedAt(listener: Listener, { CORS_ORIGINS }: Pick<Config, 'CORS_ORIGINS'>): Origins {
  return listener === 'operations' ? NO_ORIGINS : CORS_ORIGINS;
}

/** Methods that change nothing (RFC 9110, section 9.2.1). */
const SAFE_METHODS: readonly string[] = ['GET', 'HEAD', 'OPTIONS'];

/** Whether a request changes nothing. An upgrade counts as a change with every method: a browser sends no preflight before a page opens a WebSocket to another origin. */
export function isSafe(method: string, headers: IncomingHttpHeaders): boolean {
  return SAFE_METHODS.includes(method) && headers.upgrade === undefined;
}

/** For how long a browser may remember that a cross-origin request is allowed. */
const PREFLIGHT_SECONDS = 3600;

/**
 * Whether a page of another origin sent the request, and `allowed` does not have that origin. The rule `foreignPage` refuses changes from such pages: a browser sends
 * their plain-text POST without a preflight, and CORS only keeps the page from reading the answer. Without that rule, any web page could publish to a service on
 * its visitor's own machine or network.
 *
 * On localhost and https, browsers say in `Sec-Fetch-Site` where a request comes from, and a page cannot forge it. On plain http they send only `Origin`, which is
 * compared with `Host`. This is no access control, because programs can send any headers. (The same rule as Go's http.CrossOriginProtection.)
 */
export function isForeignPage(headers: IncomingHttpHeaders, allowed: Origins): boolean {
  const { origin } = headers;
  const site = headers['sec-fetch-site'];
  if (site === 'same-origin' || site === 'none') return false;
  if (site === undefined && (origin === undefined || isSameHost(origin, headers.host))) return false;
  return !(allowed === '*' || (origin !== undefined && allowed.includes(origin)));
}

/** The detail of a refusal for a foreign page. It shows both compared values, so that operators notice a proxy that changed the Host header. */
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
 * The headers of a preflight's answer. They allow every header that the page asks for. Tracing code adds its own headers to all requests of a page (`traceparent`, `sentry-trace`),
 * and this service ignores them.
 */
function preflightHeaders(asked: string | undefined): Readonly<Record<string, string>> {
  const names = asked !== undefined && HEADER_NAMES.test(asked) ? asked.split(',').map((name) => name.trim().toLowerCase()) : [];
  const more = names.filter((name) => name !== '' && !REQUEST_HEADERS.some((header) => header.toLowerCase() === name));
  return {
    'access-control-allow-methods': 'GET, HEAD, POST, PATCH, DELETE',
    'access-control-allow-headers': [...REQUEST_HEADERS, ...new Set(more)].join(', '),
    'access-control-max-age': String(PREFLIGHT_SECONDS),
  };
}

/** Whether a request is a CORS preflight. Every OPTIONS counts as one if any origin is allowed: no endpoint has this method. */
export function isPreflight({ method }: { readonly method: string }, allowed: Origins): boolean {
  return method === 'OPTIONS' && allowed.length > 0;
}

/**
 * The headers of every answer: those for security, and those with which a browser lets pages of allowed origins read it (https://fetch.spec.whatwg.org/#http-responses).
 * Pages of an origin that CORS_ORIGINS names may send credentials: cookies of this service, or of a proxy in front of it.
 */
export function commonHeaders(request: IncomingHttpHeaders, allowed: Origins, preflight: boolean): Readonly<Record<string, string>> {
  if (allowed.length === 0) return SECURITY_HEADERS;
  const { origin } = request;
  const isNamed = allowed !== '*' && origin !== undefined && allowed.includes(origin);
  return {
    ...SECURITY_HEADERS,
    // For pages that publish with `no-cors`: otherwise their browser would report a failure, although the message is stored.
    ...(allowed === '*' || isNamed ? { 'cross-origin-resource-policy': 'cross-origin' } : {}),
    ...(allowed === '*' ? { 'access-control-allow-origin': '*' } : { vary: 'Origin' }),
    ...(isNamed ? { 'access-control-allow-origin': origin, 'access-control-allow-credentials': 'true' } : {}),
    'access-control-expose-headers': EXPOSED_HEADERS,
    ...(preflight ? preflightHeaders(request['access-control-request-headers']) : {}),
  };
}
