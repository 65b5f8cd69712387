import { Problem, PROBLEMS, type SpentQuota } from '../../model/problem.ts';
import type { Logger } from '../../runtime/logging/logger.ts';
import { httpDate } from './response-head.ts';
import { SECURITY_HEADERS } from './security-headers.ts';
import { STATUS_CODES } from './status.ts';

/**
 * Answers to clients, except for the frames of streams. Results and errors of the service come in; bodies and headers go out, the same
 * on both edges. The room also bounds the bytes of answers that wait for their clients, and describes the whole interface (openapi.ts).
 *
 * This file shows errors as clients see them: RFC 9457 problem details. Nothing of the inside is in them.
 */

export const PROBLEM_TYPE = 'application/problem+json';

/** The shortest and longest `Retry-After` of a 503. Stops all clients from coming back at once. */
const RETRY_AFTER_MIN_SECONDS = 1;
const RETRY_AFTER_MAX_SECONDS = 5;

export function problemBody(problem: Problem): Buffer {
  const [status, title] = PROBLEMS[problem.code];
  const body = JSON.stringify({
    type: `urn:tidings:problem:${problem.code}`,
    title,
    status,
    code: problem.code,
    detail: problem.message,
    field: problem.field,
  });
  return Buffer.from(`${body}\n`);
}

/** RFC 6750, section 3. Basic is accepted too, but not named: browsers would ask people for a password. */
const CHALLENGE = 'Bearer realm="tidings"';

/** The headers that belong to a problem, besides its content type. */
export function problemHeaders(problem: Problem): Readonly<Record<string, string>> {
  // Some statuses, 404 among them, may otherwise be kept by caches (RFC 9111, section 4.2.2).
  const headers = {
    'cache-control': 'no-store',
    ...(problem.status === 401 ? { 'www-authenticate': problem.code === 'unauthorized' ? CHALLENGE : `${CHALLENGE}, error="invalid_token"` } : {}),
    ...(problem.allow === undefined ? {} : { allow: problem.allow.join(', ') }),
    // RFC 9110, section 15.5.16: it tells a 415 for the encoding from one for the type.
    ...(problem.code === 'unsupported-media-type' && problem.field === 'Content-Encoding' ? { 'accept-encoding': 'identity' } : {}),
  };
  if (problem.spent !== undefined) return { ...headers, ...quotaHeaders(problem.spent) };
  if (problem.retrySeconds !== undefined) return { ...headers, 'retry-after': String(problem.retrySeconds) };
  if (problem.status !== 503) return headers;
  return { ...headers, 'retry-after': String(RETRY_AFTER_MIN_SECONDS + Math.floor(Math.random() * (RETRY_AFTER_MAX_SECONDS - RETRY_AFTER_MIN_SECONDS + 1))) };
}

/** Retry-After (RFC 9110, section 10.2.3), and the fields of draft-ietf-httpapi-ratelimit-headers-11. */
function quotaHeaders({ policy, quota, windowSeconds, left, retrySeconds }: SpentQuota): Readonly<Record<string, string>> {
  return { 'retry-after': String(retrySeconds), 'ratelimit-policy': `"${policy}";q=${quota};w=${windowSeconds}`, ratelimit: `"${policy}";r=${left};t=${retrySeconds}` };
}

/** A whole HTTP answer, for a connection on which nothing could be parsed. It is the last one there. */
export function rawProblem(problem: Problem): Buffer {
  const body = problemBody(problem);
  const headers = { ...SECURITY_HEADERS, ...problemHeaders(problem), 'content-type': PROBLEM_TYPE, 'content-length': body.length, date: httpDate(), connection: 'close' };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status] ?? ''}\r\n${lines.join('')}\r\n`;
  return Buffer.concat([Buffer.from(head), body]);
}

/** The problem that a client gets for an error. If the error is ours, the log has more, under the id of the request. */
export function problemOf(error: unknown, logger: Pick<Logger, 'error'>, requestId: () => string): Problem {
  const known = knownProblem(error);
  if (known !== undefined && known.code !== 'internal') return known;
  const request = requestId();
  logger.error({ err: error, request }, 'a request failed');
  return new Problem('internal', `It is not your fault; the operator finds it under request ${request}.`);
}

/** The problem that an error is to the client; undefined if the client did not cause it. */
function knownProblem(error: unknown): Problem | undefined {
  if (error instanceof Problem) return error;
  if (!(error instanceof Error)) return undefined;
  const { statusCode } = error as Error & { readonly statusCode?: number };
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    return new Problem('invalid-request', 'The request is not well formed.', { cause: error });
  }
  return undefined;
}
