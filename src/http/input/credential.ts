import { parseCookie } from 'cookie';
import type { IncomingHttpHeaders } from 'node:http';
import { isSession } from '../../access/credentials/session-text.ts';
import { isTicket } from '../../access/tickets/ticket-text.ts';
import { Problem } from '../../model/problem.ts';
import type { Query } from './query-string.ts';

/** Stops a long credential from costing anything. Bytes; tokens with many claims have some thousand. */
const CREDENTIAL_MAX_BYTES = 8 * 1024;

/** RFC 6750, section 2.1. */
const TOKEN = /^[A-Za-z0-9._~+/-]+=*$/;
const BEARER = /^bearer +(\S+)$/i;
/** RFC 7617, section 2. */
const BASIC = /^basic +([A-Za-z0-9+/]+=*)$/i;

/** The parameter of a URL that may hold a credential (RFC 6750, section 2.3). */
const PARAMETER = 'access_token';

/** The parameter of a stream's URL that may hold a ticket. */
const TICKET = 'ticket';

/** A key, token, session or ticket, and where it was. */
export interface Credential {
  readonly text: string;
  readonly source: 'header' | 'query' | 'ticket' | 'cookie';
}

export interface CredentialPlaces {
  /** The name of the cookie that may hold one; undefined where none may. */
  readonly cookie: string | undefined;
  /** Whether the URL may hold one. */
  readonly isQueryTaken: boolean;
  /** Whether the URL may hold a ticket. */
  readonly isTicketTaken: boolean;
}

/** The parts of a request in which it may be. */
export interface CredentialParts {
  readonly headers: IncomingHttpHeaders;
  readonly query: Query;
}

/**
 * The credential of a request: in the header `Authorization`, in the URL or in a cookie, where these may hold one. The header and the URL go before a cookie, which a browser sends by itself.
 * Of the header and the two parameters of a URL, one at most may hold one.
 * @returns undefined without a credential; a problem where its form is invalid.
 */
export function readCredential({ headers: { authorization, cookie }, query }: CredentialParts, places: CredentialPlaces): Credential | Problem | undefined {
  const parameter = places.isQueryTaken ? query[PARAMETER] : undefined;
  const ticket = places.isTicketTaken ? query[TICKET] : undefined;
  if (ticket !== undefined && parameter !== undefined) return new Problem('invalid-request', `There is a credential in ${PARAMETER} and another in ${TICKET}.`, { field: TICKET });
  const [name, value, source] = ticket === undefined ? [PARAMETER, parameter, 'query'] as const : [TICKET, ticket, 'ticket'] as const;
  if (authorization !== undefined) {
    return value === undefined ? fromHeader(authorization) : new Problem('invalid-request', `There is a credential in ${name} and another in the header Authorization.`, { field: name });
  }
  if (value !== undefined) return Array.isArray(value) ? invalid(`${name} was given more than once`, name) : checked(value as string, source, name);
  return places.cookie === undefined || cookie === undefined ? undefined : fromCookie(cookie, places.cookie);
}

/** After `Bearer`, or as the password of `Basic`, as `curl -u name:key` sends it. A key in the place of the name, without a password, counts too. */
function fromHeader(authorization: string): Credential | Problem {
  if (authorization.length > CREDENTIAL_MAX_BYTES) return tooLong('Authorization');
  const token = BEARER.exec(authorization)?.[1];
  if (token !== undefined) return checked(token, 'header', 'Authorization');
  const basic = BASIC.exec(authorization)?.[1];
  if (basic === undefined) return invalid('the header Authorization takes Bearer with a key or token, or Basic with it as the password', 'Authorization');
  const pair = Buffer.from(basic, 'base64').toString();
  const colon = pair.indexOf(':');
  const text = colon === -1 ? '' : pair.slice(colon + 1) || pair.slice(0, colon);
  return text === '' ? invalid('Basic has no password', 'Authorization') : inItsPlace({ text, source: 'header' }, 'Authorization');
}

/** A page of a neighbouring host may have set one of two cookies with the same name: neither counts. */
function fromCookie(header: string, name: string): Credential | Problem | undefined {
  const [value = '', ...others] = cookieValues(header, name);
  if (others.length > 0) return repeatedCookie(name);
  return value === '' ? undefined : checked(value, 'cookie', 'Cookie');
}

export function repeatedCookie(name: string): Problem {
  return invalid(`the cookie ${name} was sent more than once`, 'Cookie');
}

/** The values of the cookies with a name: usually one. */
export function cookieValues(header: string, name: string): readonly string[] {
  return header.split(';').filter((pair) => pair.split('=', 1)[0]!.trim() === name).map((pair) => parseCookie(pair)[name] ?? '');
}

function checked(text: string, source: Credential['source'], field: string): Credential | Problem {
  if (text.length > CREDENTIAL_MAX_BYTES) return tooLong(field);
  if (!TOKEN.test(text)) return invalid('it is no key and no token', field);
  return inItsPlace({ text, source }, field);
}

/** A session is for a cookie, which no script of a page can read: elsewhere it was taken out of one. A ticket is for the URL of a stream, and nothing else is for its parameter. */
function inItsPlace(credential: Credential, field: string): Credential | Problem {
  const { text, source } = credential;
  if (source !== 'cookie' && isSession(text)) return invalid('a session counts in its cookie only', field);
  if (source !== 'ticket' && isTicket(text)) return invalid(`a ticket counts in the parameter ${TICKET} of a stream only`, field);
  return source === 'ticket' && !isTicket(text) ? invalid('it is no ticket', field) : credential;
}

function tooLong(field: string): Problem {
  return invalid(`it is longer than ${CREDENTIAL_MAX_BYTES} bytes`, field);
}

function invalid(why: string, field: string): Problem {
  return new Problem('invalid-credential', `The credential is not good: ${why}.`, { field });
}
