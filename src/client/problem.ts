import type { TidingsError } from './requests.ts';

/** Statuses that get better by waiting. */
const PASSING: readonly number[] = [408, 425, 429, 500, 502, 503, 504];

/** An attempt that failed, and may be made again. */
export class Passing extends Error {
  /** How long the server asks to wait; 0 where it does not say. Milliseconds. */
  readonly retryAfter: number;

  constructor(cause: unknown, retryAfter = 0) {
    super('The service cannot be reached just now.', { cause });
    this.retryAfter = retryAfter;
  }
}

/**
 * What becomes of an answer whose status is not 2xx. Rejects as `Requests.send` does.
 * @param Refusal The class of the library.
 * @param again Makes the request once more, with a new token; undefined where no token can be had.
 */
export async function settle(answer: Response, Refusal: typeof TidingsError, again?: () => Promise<Response>): Promise<Response> {
  const { status } = answer;
  if (status === 401 && again !== undefined) {
    // The connection can be used again.
    await answer.body?.cancel().catch(() => undefined);
    return again();
  }
  const problem: unknown = await answer.json().catch(() => undefined);
  const { code = `http-${status}`, detail = `The service answered with status ${status}.`, field } = (problem ?? {}) as { readonly code?: string; readonly detail?: string; readonly field?: string };
  const error = new Refusal(detail, { code, status, field });
  // There is no room until retention has made some: that may take days.
  if (!PASSING.includes(status) || code === 'topic-quota') throw error;
  // A date is not a number: the pause is then the client's own.
  throw new Passing(error, Number(answer.headers.get('retry-after')) * 1000 || 0);
}
