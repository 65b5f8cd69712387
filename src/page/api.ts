/** Requests to the service, with the credential of the signed-in person. Only memory keeps it: a reload forgets it. */

/** The answer of `GET /`: the version of the service, and what the person may do. */
export interface Index {
  readonly version?: string;
  readonly open: boolean;
  readonly sessions: boolean;
  readonly you: {
    readonly name?: string;
    /** The name of the key, or the subject of the token. */
    readonly member?: string;
    readonly publish: boolean;
    readonly read: boolean;
    readonly topics?: readonly string[];
    readonly presence: boolean;
    readonly streams: boolean;
    readonly operate: boolean;
    readonly administer: boolean;
  };
}

/** Where the service is: the folder of this page. A proxy may have put it below a path. */
export const BASE = new URL('.', document.baseURI).href;

/** The timeout of a request. */
const REQUEST_TIMEOUT_MS = 30_000;

/** The characters that a key or token may have in a header. With others `fetch` fails as if the service were away. */
const SENDABLE = /^[\x20-\x7e]*$/;

/** Why a request failed. */
export class ApiError extends Error {
  /** The HTTP status; 0 without an answer. */
  readonly status: number;
  readonly code: string;
  /** The part of the request that was wrong. */
  readonly field: string | undefined;

  constructor(message: string, status: number, code: string, field?: string) {
    super(message);
    this.status = status;
    this.code = code;
    this.field = field;
  }
}

const LIMITED_CODE = 429;
const FAILURE_CODE = 500;

/** Whether a retry may succeed: the service was away, could not answer, or had no room. */
export function mayPass(error: unknown): boolean {
  return error instanceof ApiError && (error.code === 'unreachable' || error.status === LIMITED_CODE || error.status >= FAILURE_CODE);
}

export interface RequestParts {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal?: AbortSignal;
  /** The answer is a stream: the timeout covers only its head. */
  readonly isStream?: true;
}

export class Api {
  readonly #token: string | undefined;

  constructor(token?: string) {
    this.#token = token;
  }

  get token(): string | undefined {
    return this.#token;
  }

  /** Sends a request, and returns every answer. @param path Relative to the service. @throws ApiError Without an answer. */
  async request(path: string, { headers, signal, isStream, ...parts }: RequestParts = {}): Promise<Response> {
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(new ApiError('The service has not answered in time. It may be overloaded, or something on the way holds the answer back.', 0, 'unreachable')), REQUEST_TIMEOUT_MS);
    if (this.#token !== undefined && !SENDABLE.test(this.#token)) throw new ApiError('The key or token has characters that no key or token has. It may have been copied with something around it.', 0, 'invalid-credential');
    try {
      const answer = await fetch(new URL(path, BASE), {
        ...parts, cache: 'no-store', signal: signal === undefined ? limit.signal : AbortSignal.any([signal, limit.signal]),
        headers: { accept: 'application/json', ...headers, ...(this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` }) },
      });
      if (isStream === true) clearTimeout(timer);
      return answer;
    } catch (error) {
      if (signal?.aborted === true || error instanceof ApiError) throw error;
      throw new ApiError('The service cannot be reached. It may be restarting, or the network is away.', 0, 'unreachable');
    }
  }

  /** @param path Relative to the service. @throws ApiError */
  async send(path: string, parts?: RequestParts): Promise<Response> {
    const answer = await this.request(path, parts);
    if (answer.ok) return answer;
    const problem = await answer.json().catch(() => ({})) as { readonly detail?: string; readonly code?: string; readonly field?: string };
    throw new ApiError(problem.detail ?? `The service answered with status ${answer.status}.`, answer.status, problem.code ?? `http-${answer.status}`, problem.field);
  }

  /** @throws ApiError */
  async json<Body>(path: string, parts?: RequestParts): Promise<Body> {
    const answer = await this.send(path, parts);
    return await answer.json() as Body;
  }
}

/** The parts of a request that sends JSON. */
export function jsonBody(body: object): Required<Pick<RequestParts, 'headers' | 'body'>> {
  return { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
}

/** The path of a topic. @throws ApiError for names that no topic has, and that in a path mean another one. */
export function topicPath(topic: string, rest = ''): string {
  if (topic === '.' || topic === '..') throw new ApiError('The topic is not valid: it has an empty segment.', 0, 'invalid-topic');
  return `topics/${encodeURIComponent(topic)}${rest}`;
}

/** Whether something is allowed, and what the service would say if it is not. */
export interface Verdict {
  readonly allowed: boolean;
  readonly detail?: string;
}

/** Asks whether a request is allowed before sending it: a refused request shows in the console of the browser, and counts as an attempt. @throws ApiError */
export function verdict(api: Api, action: 'publish' | 'read', topic: string, signal?: AbortSignal): Promise<Verdict> {
  return api.json(`access${query({ action, topic })}`, signal === undefined ? {} : { signal });
}

/** A query of the parameters that are not empty, with its `?`. */
export function query(parameters: Readonly<Record<string, string | number | undefined>>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) if (value !== undefined && value !== '') search.set(name, String(value));
  const text = search.toString();
  return text === '' ? '' : `?${text}`;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
