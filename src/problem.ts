import { STATUS_CODES } from 'node:http';
import { Problem, PROBLEMS, type ProblemCode } from './errors.ts';
import type { Query } from './query.ts';

/** Errors as clients see them: RFC 9457 problem details. */
export const PROBLEM_TYPE = 'application/problem+json';

/** The shortest and longest `Retry-After` of a 503, in whole seconds: spread, so that all do not come back at once. */
const RETRY_AFTER_MIN = 1;
const RETRY_AFTER_MAX = 5;

export function problemBody(problem: Problem): Buffer {
  const [status, title] = PROBLEMS[problem.code];
  return Buffer.from(JSON.stringify({
    type: `urn:tidings:problem:${problem.code}`,
    title,
    status,
    code: problem.code,
    detail: problem.message,
    field: problem.field,
  }));
}

/** The headers that belong to a problem because of its kind, besides its content type. */
export function problemHeaders(problem: Problem): Readonly<Record<string, string>> {
  if (problem.status !== 503) return {};
  return { 'retry-after': String(RETRY_AFTER_MIN + Math.floor(Math.random() * (RETRY_AFTER_MAX - RETRY_AFTER_MIN + 1))) };
}

/** A whole HTTP answer, for a connection on which nothing could be parsed. It is the last one there. */
export function rawProblem(problem: Problem): Buffer {
  const body = problemBody(problem);
  const head = `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status] ?? ''}\r\nContent-Type: ${PROBLEM_TYPE}\r\n`
    + `Content-Length: ${body.length}\r\nConnection: close\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), body]);
}

/** What an error of the framework is to the client; undefined when it is none of the client's making. */
export function knownProblem(error: unknown, query: Query): Problem | undefined {
  if (error instanceof Problem) return error;
  if (!(error instanceof Error)) return undefined;
  const { code, validation, validationContext, statusCode } = error as FrameworkError;
  if (validation !== undefined) return invalidInput(validation, validationContext, query, error);
  const known = code === undefined ? undefined : FRAMEWORK[code];
  if (known !== undefined) return new Problem(known[0], known[1], { cause: error });
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    return new Problem('invalid-request', 'The request is not well formed.', { cause: error });
  }
  return undefined;
}

interface FrameworkError extends Error {
  readonly code?: string;
  readonly statusCode?: number;
  readonly validation?: readonly ValidationError[];
  readonly validationContext?: string;
}

interface ValidationError {
  readonly keyword: string;
  readonly instancePath: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly message?: string;
}

const FRAMEWORK: Readonly<Record<string, readonly [ProblemCode, string]>> = {
  FST_ERR_BAD_URL: ['invalid-request', 'The path of the URL is not percent-encoded UTF-8.'],
  FST_ERR_MAX_PARAM_LENGTH: ['uri-too-long', 'A part of the path is too long.'],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: ['unsupported-media-type', 'The Content-Type is no media type.'],
};

/** Parameters whose problems have a code of their own. */
const CODES: Readonly<Record<string, ProblemCode>> = { topic: 'invalid-topic', event: 'invalid-event', after: 'invalid-cursor', since: 'invalid-cursor', lastEventId: 'invalid-cursor' };

function invalidInput(errors: readonly ValidationError[], where: string | undefined, query: Query, cause: Error): Problem {
  const [first] = errors;
  const missing = first?.keyword === 'required' ? String(first.params['missingProperty']) : undefined;
  const field = missing ?? first?.instancePath.split('/')[1];
  if (field === undefined || field === '') return new Problem('invalid-request', 'The request is not well formed.', { cause });
  const twice = where === 'querystring' && Array.isArray(query[field]);
  const why = missing !== undefined ? 'is missing' : twice ? 'was given more than once' : first?.message ?? 'is not valid';
  return new Problem(CODES[field] ?? 'invalid-request', `${field} ${why}.`, { field, cause });
}
