import { Problem, type ProblemCode } from '../../model/problem.ts';
import { headerNamedBy, NAMING_PARAMETERS } from '../input/named-header.ts';
import { nearParameter } from '../input/near-parameter.ts';
import { malformedQuery, type Query } from '../input/query-string.ts';
import type { Endpoint } from './endpoints.ts';
import type { RequestHead } from './request-head.ts';
import { URL_MAX_BYTES } from './server-limits.ts';

/** The rules about the form of a head: it is well formed, short enough, and has one meaning. */

export function urlLength({ url }: RequestHead): Problem | undefined {
  return url.length > URL_MAX_BYTES ? new Problem('uri-too-long', `The URL is longer than ${URL_MAX_BYTES} bytes.`) : undefined;
}

/** No client sends a fragment (RFC 9112, section 3.2). Some proxies cut the path there, and others do not. So proxy and router could disagree about the requested resource. */
export function fragment({ url }: RequestHead): Problem | undefined {
  return url.includes('#') ? new Problem('invalid-request', 'The URL has a fragment; write %23 for a # in a path or a query.') : undefined;
}

/** RFC 9112, section 3.2. The server leaves this check to admission (`SERVER_OPTIONS`), because Node's own answer has no body. */
export function hostMissing({ headers, httpVersion }: RequestHead): Problem | undefined {
  return headers.host === undefined && httpVersion === '1.1' ? new Problem('invalid-request', 'The Host header is missing.', { field: 'Host' }) : undefined;
}

/** Headers that a request may have only once, by their names in lower case. Of two values, a proxy might use the other one than this service. */
const ONCE: ReadonlyMap<string, readonly [name: string, code: ProblemCode]> = new Map([
  ['host', ['Host', 'invalid-request']],
  ['origin', ['Origin', 'invalid-request']],
  ['sec-fetch-site', ['Sec-Fetch-Site', 'invalid-request']],
  ['authorization', ['Authorization', 'invalid-request']],
  ['content-type', ['Content-Type', 'invalid-request']],
  ['idempotency-key', ['Idempotency-Key', 'invalid-key']],
  ['tidings-event', ['Tidings-Event', 'invalid-event']],
  ['ttl', ['TTL', 'invalid-ttl']],
]);

export function repeatedHeader({ repeated, endpoint, query }: RequestHead): Problem | undefined {
  if (repeated.length === 0) return undefined;
  for (const header of repeated) {
    const [name, code] = ONCE.get(header) ?? [];
    if (name !== undefined) return new Problem(code!, `The header ${name} was given more than once.`, { field: name });
  }
  return endpoint === undefined ? undefined : repeatedNamedHeader(repeated, endpoint, query);
}

/** A parameter such as `idempotencyHeader=X-GitHub-Delivery` names a header that takes the place of ours. So that header may come only once, too. */
function repeatedNamedHeader(repeated: readonly string[], endpoint: Endpoint, query: Query): Problem | undefined {
  for (const naming of NAMING_PARAMETERS) {
    const { parameter, code } = naming;
    // `repeatedParameter` refuses a repeated parameter later.
    if (!endpoint.once.includes(parameter) || Array.isArray(query[parameter])) continue;
    const name = headerNamedBy(query, naming);
    if (name !== undefined && repeated.includes(name)) return new Problem(code, `The header ${name}, which ${parameter} names, was given more than once.`, { field: parameter });
  }
  return undefined;
}

export function queryEncoding({ query }: RequestHead): Problem | undefined {
  const malformed = malformedQuery(query);
  return malformed === undefined ? undefined : new Problem('invalid-request', `The parameter ${malformed} is not percent-encoded UTF-8.`, { field: malformed });
}

export function repeatedParameter({ endpoint, query }: RequestHead): Problem | undefined {
  for (const given in query) {
    if (Array.isArray(query[given]) && endpoint?.once.includes(given) === true) return new Problem('invalid-request', `${given} was given more than once.`, { field: given });
  }
  return undefined;
}

/** Refuses a misspelt parameter. If it were ignored, the client would get an answer to another question without a sign of the mistake. */
export function mistakenParameter({ endpoint, query }: RequestHead): Problem | undefined {
  if (endpoint === undefined) return undefined;
  const near = nearParameter(query, endpoint);
  if (near !== undefined) return new Problem('invalid-request', `The parameter ${JSON.stringify(near.given)} is unknown here; use ${near.meant}.`, { field: near.given });
  // A publisher's URL may have parameters of its own, and `topic` among them.
  const isTopicInPath = endpoint.url.startsWith('/topics/') && endpoint.body === undefined;
  if (query['topic'] === undefined || !isTopicInPath) return undefined;
  return new Problem('invalid-request', 'The path already names the topic; remove the parameter topic. For several topics use /events?topic=a&topic=b, or /messages.', { field: 'topic' });
}
