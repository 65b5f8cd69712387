import type { IncomingHttpHeaders } from 'node:http';
import { Problem } from '../../model/problem.ts';

/** Stops a long credential from costing anything. Bytes; tokens with many claims have some thousand. */
const CREDENTIAL_MAX_BYTES = 8 * 1024;

/** RFC 6750, section 2.1. */
const BEARER = /^bearer +([A-Za-z0-9._~+/-]+=*)$/i;
/** RFC 7617, section 2. */
const BASIC = /^basic +([A-Za-z0-9+/]+=*)$/i;

/**
 * The key or token of a request: after `Bearer`, or as the password of `Basic`, as `curl -u name:key` sends it. A key in the place of the name, without a password, counts too.
 * @returns undefined where there is none; a problem where it can be none.
 */
export function readCredential({ authorization }: IncomingHttpHeaders): string | Problem | undefined {
  if (authorization === undefined) return undefined;
  if (authorization.length > CREDENTIAL_MAX_BYTES) return invalid(`it is longer than ${CREDENTIAL_MAX_BYTES} bytes`);
  const token = BEARER.exec(authorization)?.[1];
  if (token !== undefined) return token;
  const basic = BASIC.exec(authorization)?.[1];
  if (basic === undefined) return invalid('the header Authorization takes Bearer with a key or token, or Basic with it as the password');
  const pair = Buffer.from(basic, 'base64').toString();
  const colon = pair.indexOf(':');
  const credential = colon === -1 ? '' : pair.slice(colon + 1) || pair.slice(0, colon);
  return credential === '' ? invalid('Basic has no password') : credential;
}

function invalid(why: string): Problem {
  return new Problem('invalid-credential', `The credential is not good: ${why}.`, { field: 'Authorization' });
}
