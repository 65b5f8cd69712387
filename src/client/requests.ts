/** The service refused a request. It has the members of the problem (RFC 9457); programs should test `code`. */
export class TidingsError extends Error {
  override readonly name = 'TidingsError';
  declare readonly code: string;
  /** The HTTP status; 0 without an answer. */
  declare readonly status: number;
  /** The part of the request that was wrong. */
  declare readonly field: string | undefined;

  constructor(message: string, { code, status = 0, field }: { code: string; status?: number; field?: string | undefined }) {
    super(message);
    Object.assign(this, { code, status, field });
  }
}

/** Tests the name and not the class, because a module that is loaded later may have a copy of the class. */
export function isRefusal(error: unknown): error is TidingsError {
  return error instanceof Error && error.name === 'TidingsError';
}

export interface RequestParts {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal: AbortSignal;
}

/** Requests with the token of `getToken`, if there is one. */
export interface Requests {
  readonly url: string;
  /** Forgets the token: the next request calls `getToken`. */
  forget(): void;
  /**
   * Resolves with an answer of status 2xx. After a 401 the request is made once more, with a new token.
   * Rejects with a `TidingsError` if a retry is useless. Any other error may be retried: no answer, no token, or a `Passing` (problem.ts).
   */
  send(path: string, parts: RequestParts): Promise<Response>;
}
