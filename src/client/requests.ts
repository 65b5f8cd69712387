import type { ConnectOptions } from './api.ts';

/** The service refused a request: its problem (RFC 9457), by whose `code` a program goes. */
export class TidingsError extends Error {
  override readonly name = 'TidingsError';
  readonly code: string;
  /** 0 where there was no answer. */
  readonly status: number;
  /** The part of the request that was wrong. */
  readonly field: string | undefined;

  constructor(message: string, { code, status = 0, field }: { code: string; status?: number; field?: string | undefined }) {
    super(message);
    this.code = code;
    this.status = status;
    this.field = field;
  }
}

/** Statuses that get better by waiting. */
const PASSING = new Set([408, 425, 429, 500, 502, 503, 504]);

/** An attempt that failed, and may be made again. */
export class Passing extends Error {
  /** How long the server asks to wait; 0 where it does not say. Milliseconds. */
  readonly retryAfter: number;

  constructor(cause: unknown, retryAfter = 0) {
    super('The service cannot be reached just now.', { cause });
    this.retryAfter = retryAfter;
  }
}

export interface RequestParts {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal: AbortSignal;
}

/** Requests with the application's token. */
export class Requests {
  readonly url: string;
  readonly #options: ConnectOptions;
  #token: Promise<string | null> | undefined;

  constructor(url: string, options: ConnectOptions) {
    this.url = url.replace(/\/+$/, '');
    this.#options = options;
  }

  /** The next request asks for a new token. */
  forgetToken(): void {
    this.#token = undefined;
  }

  /**
   * Resolves with an answer of status 2xx. After a 401 the request is made once more, with a new token.
   * Rejects with a `Passing` where it may be tried again, and with a `TidingsError` where that is no use.
   */
  async send(path: string, parts: RequestParts): Promise<Response> {
    const used = this.#currentToken();
    const answer = await this.#sendOnce(path, parts, used);
    if (answer.status !== 401 || this.#options.getToken === undefined) return good(answer);
    // The connection can be used again.
    await answer.body?.cancel().catch(() => undefined);
    // Another request may have noticed it before.
    if (this.#token === used) this.#token = undefined;
    return good(await this.#sendOnce(path, parts, this.#currentToken()));
  }

  #currentToken(): Promise<string | null> {
    return this.#token ??= Promise.resolve().then(() => this.#options.getToken?.() ?? null);
  }

  async #sendOnce(path: string, { headers, ...parts }: RequestParts, pendingToken: Promise<string | null>): Promise<Response> {
    const send = this.#options.fetch ?? fetch;
    let token: string | null;
    try {
      token = await pendingToken;
    } catch (error) {
      // What it could not get now it may get later.
      if (this.#token === pendingToken) this.#token = undefined;
      throw new Passing(error);
    }
    try {
      return await send(this.url + path, {
        ...parts, cache: 'no-store', credentials: this.#options.credentials ?? 'same-origin',
        headers: { ...headers, ...(token === null ? {} : { authorization: `Bearer ${token}` }) },
      });
    } catch (error) {
      throw new Passing(error);
    }
  }
}

async function good(answer: Response): Promise<Response> {
  if (answer.ok) return answer;
  const error = await problemOf(answer);
  // There is no room until retention has made some: that may take days.
  if (!PASSING.has(answer.status) || error.code === 'topic-quota') throw error;
  // A date is not a number: the pause is then the client's own.
  throw new Passing(error, Number(answer.headers.get('retry-after')) * 1000 || 0);
}

async function problemOf(answer: Response): Promise<TidingsError> {
  const { status } = answer;
  const problem: unknown = await answer.json().catch(() => undefined);
  const { code = `http-${status}`, detail = `The service answered with status ${status}.`, field } = (problem ?? {}) as { readonly code?: string; readonly detail?: string; readonly field?: string };
  return new TidingsError(detail, { code, status, field });
}
