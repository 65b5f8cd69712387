import type { IncomingHttpHeaders } from 'node:http';
import { Problem, type ProblemCode } from '../../model/problem.ts';
import type { Query } from './query-string.ts';

/**
 * Parameters of a URL that name a header of the sender's own. A webhook cannot set our headers, and its URL is the same for every delivery. Many webhooks have headers of their own
 * that tell the delivery's id and the event's kind.
 */
export interface NamingParameter {
  readonly parameter: 'idempotencyHeader' | 'eventHeader';
  readonly code: ProblemCode;
  /** Why the header must not be one of this name, in lower case; undefined where it may. */
  readonly objection: (name: string) => string | undefined;
}

/** Names the header with the idempotency key. */
export const KEY_HEADER: NamingParameter = {
  parameter: 'idempotencyHeader',
  code: 'invalid-key',
  objection: (name) => (CREDENTIALS.has(name) ? 'it holds credentials, and a key is stored' : undefined),
};

/** Names the header with the event name. */
export const EVENT_HEADER: NamingParameter = {
  parameter: 'eventHeader',
  code: 'invalid-event',
  objection: (name) => (EVENT_WORD.test(name) ? undefined : 'its name has no word "event" or "topic", as X-GitHub-Event has'),
};

export const NAMING_PARAMETERS: readonly NamingParameter[] = [KEY_HEADER, EVENT_HEADER];

const CREDENTIALS: ReadonlySet<string> = new Set(['authorization', 'proxy-authorization', 'cookie']);

/** Readers see the event name. Stops publishers from reading the secrets that a proxy adds to requests. */
const EVENT_WORD = /(?:^|-)(?:event|topic)(?:-|$)/;

/** Stops the name from filling the database: it is stored with the key. No sender's own header is nearly as long. */
const HEADER_NAME_MAX_BYTES = 255;

/** A token of RFC 9110, section 5.6.2. */
const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;

/** The name of the header, in lower case; undefined where the URL names none. */
export function headerNamedBy(query: Query, { parameter }: NamingParameter): string | undefined {
  return (query[parameter] as string | undefined)?.toLowerCase();
}

/**
 * The value of the header that the URL names; undefined where it names none.
 * @throws Problem Also where the request lacks the header: its wish would not be met.
 */
export function readNamedHeader(headers: IncomingHttpHeaders, query: Query, naming: NamingParameter): string | undefined {
  const name = headerNamedBy(query, naming);
  if (name === undefined) return undefined;
  const { parameter: field, code } = naming;
  if (!HEADER_NAME.test(name)) throw new Problem(code, `${field} must name a header.`, { field });
  if (name.length > HEADER_NAME_MAX_BYTES) throw new Problem(code, `${field} is longer than ${HEADER_NAME_MAX_BYTES} characters.`, { field });
  const objection = naming.objection(name);
  if (objection !== undefined) throw new Problem(code, `${field} cannot name the header ${name}: ${objection}.`, { field });
  if (!Object.hasOwn(headers, name)) throw new Problem(code, `The request lacks the header ${name}, which ${field} names.`, { field });
  return String(headers[name]);
}
