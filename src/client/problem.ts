import type { TidingsError } from './requests.ts';

/** The statuses for which a retry may succeed. */
const PASSING: readonly number[] = [408, 425, 429, 500, 502, 503, 504];

/** A failed attempt that may be retried. */
export class Passing extends Error {
  /** The `Retry-After` of the answer; 0 without one. Milliseconds. */
  readonly retryAfter: number;

  constructor(cause: unknown, retryAfter = 0) {
    super('The service cannot be reached just now.', { cause });
    this.retryAfter = retryAfter;
  }
}

/**
 * Handles an answer whose status is not 2xx. Rejects as `Requests.send` does.
 * @param Refusal The error class of the library: this module is loaded later, and must not have a copy of it.
 * @param again Repeats the request with a new token after a 401; undefined if that is no use.
 */
export async function settle(answer: Response, Refusal: typeof TidingsError, again?: () => Promise<Response>): Promise<Response> {
  const { status } = answer;
  if (status === 401 && again !== undefined) {
    // Frees the connection for the next request.
    await answer.body?.cancel().catch(() => undefined);
    return again();
  }
  const problem: unknown = await answer.json().catch(() => undefined);
  const { code = `http-${status}`, detail = `The service answered with status ${status}.`, field } = (problem ?? {}) as { readonly code?: string; readonly detail?: string; readonly field?: string };
  const error = new Refusal(detail, { code, status, field });
  // `topic-quota` lasts until retention makes room, perhaps for days: no retry.
  if (!PASSING.includes(status) || code === 'topic-quota') throw error;
  // `Retry-After` may also be a date. That is no number, so the pause is then the client's own.
  throw new Passing(error, Number(answer.headers.get('retry-after')) * 1000 || 0);
}
