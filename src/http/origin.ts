import { fastifyCors } from '@fastify/cors';
import type { IncomingHttpHeaders } from 'node:http';
import type { Config } from '../config/config.ts';
import type { App } from './service.ts';

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
  if (site === undefined && (origin === undefined || URL.parse(origin)?.host === headers.host)) return false;
  return !(allowed === '*' || (origin !== undefined && allowed.includes(origin)));
}

/** What a page may see of an answer's headers, besides those that it always may. */
const EXPOSED_HEADERS = ['Location', 'Idempotency-Replayed', 'Retry-After', 'Allow'] as const;

/** Lets pages of allowed origins ask before they publish, and read every answer that passes the framework's hooks. */
export function allowOrigins(app: App, allowed: Origins, methods: readonly string[]): void {
  if (allowed.length === 0) return;
  void app.register(fastifyCors, {
    origin: allowed === '*' ? '*' : [...allowed],
    methods: [...methods],
    allowedHeaders: ['Content-Type', 'Last-Event-ID', 'Idempotency-Key', 'TTL', 'Tidings-Event', 'Authorization', 'Cache-Control'],
    exposedHeaders: [...EXPOSED_HEADERS],
    maxAge: PREFLIGHT_SECONDS,
    // Any OPTIONS is answered, rather than with an error of a form of its own.
    strictPreflight: false,
  });
}

/**
 * What lets a page of an allowed origin read an answer (https://fetch.spec.whatwg.org/#http-responses), where no hook of the framework
 * sees the answer. All others get the same from @fastify/cors.
 */
export function originHeaders(origin: string | undefined, allowed: Origins): Readonly<Record<string, string>> {
  if (allowed.length === 0) return {};
  const isAllowed = allowed === '*' || (origin !== undefined && allowed.includes(origin));
  return {
    ...(allowed === '*' ? {} : { vary: 'Origin' }),
    ...(isAllowed ? { 'access-control-allow-origin': allowed === '*' ? '*' : origin! } : {}),
    'access-control-expose-headers': EXPOSED_HEADERS.join(', '),
  };
}
