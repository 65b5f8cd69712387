/**
 * All problems in one table: a stable code, its HTTP status, and a title. The code is part of the
 * wire contract (RFC 9457 `application/problem+json`); the `detail` that goes with it is for people and may change.
 */
export const PROBLEMS = {
  'invalid-request': [400, 'The request is not well formed'],
  'invalid-topic': [400, 'The topic is not valid'],
  'invalid-event': [400, 'The event name is not valid'],
  'invalid-data': [400, 'The data is not valid'],
  'invalid-cursor': [400, 'The cursor is not valid'],
  'invalid-ttl': [400, 'The TTL is not valid'],
  'invalid-key': [400, 'The idempotency key is not valid'],
  'invalid-batch': [400, 'The batch is not valid'],
  unauthorized: [401, 'This takes a credential'],
  'invalid-credential': [401, 'The credential is not good'],
  'cross-origin': [403, 'Pages of this origin may not do this'],
  forbidden: [403, 'This is not allowed'],
  'not-found': [404, 'Nothing is here'],
  'message-not-found': [404, 'No such message'],
  'method-not-allowed': [405, 'The method is not allowed here'],
  'not-acceptable': [406, 'The answer is not available in the format asked for'],
  'request-timeout': [408, 'The request took too long'],
  'stream-without-identity': [409, 'The next attempt of this stream cannot be recognised'],
  'level-too-low': [409, 'The message log is at a level that does not have this'],
  'stream-elsewhere': [409, 'Another instance holds the stream'],
  'rebalance-off': [409, 'Streams are not shared out here'],
  'message-erased': [410, 'The message was erased'],
  'length-required': [411, 'The length of the body is missing'],
  'too-large': [413, 'The message is too large'],
  'uri-too-long': [414, 'The URL is too long'],
  'unsupported-media-type': [415, 'The content type is not supported'],
  'expectation-failed': [417, 'The expectation cannot be met'],
  'unknown-host': [421, 'Nothing is served under this host name'],
  'key-reused': [422, 'The idempotency key was used for another request'],
  'rate-limited': [429, 'A limit was reached'],
  'topic-quota': [429, 'The quota of the log is used up'],
  'header-too-large': [431, 'The request header is too large'],
  internal: [500, 'Something went wrong here'],
  overloaded: [503, 'Too much is waiting here'],
  unavailable: [503, 'The message log is not available'],
  'outcome-unknown': [503, 'It is not known whether the request was carried out'],
} as const satisfies Record<string, readonly [status: number, title: string]>;

export type ProblemCode = keyof typeof PROBLEMS;

/** A limit that was reached, for the fields of draft-ietf-httpapi-ratelimit-headers-11. */
export interface SpentQuota {
  /** The name of the limit. */
  readonly policy: string;
  /** The most that a sender may use at once. A sender that has used all of it may do so again after `windowSeconds`. */
  readonly quota: number;
  readonly windowSeconds: number;
  /** How much of the quota is left, which is less than the request needed. */
  readonly left: number;
  /** After this time the quota suffices for the same request. Seconds. */
  readonly retrySeconds: number;
}

/** An error for a client. Its text reveals nothing internal, such as an error of the database; `cause` is for the log. */
export class Problem extends Error {
  override name = 'Problem';
  readonly code: ProblemCode;
  /** The part of the request that was wrong, such as `topic`, `[3].ttl` or `Idempotency-Key`. */
  readonly field: string | undefined;
  /** The methods that the endpoint has, for the header `Allow`. */
  readonly allow: readonly string[] | undefined;
  /** The limit that was reached. */
  readonly spent: SpentQuota | undefined;
  /** For the header `Retry-After`; undefined if the time is unknown. Seconds. */
  readonly retrySeconds: number | undefined;

  constructor(code: ProblemCode, detail: string, options: { field?: string | undefined; allow?: readonly string[]; spent?: SpentQuota; retrySeconds?: number; cause?: unknown } = {}) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.field = options.field;
    this.allow = options.allow;
    this.spent = options.spent;
    this.retrySeconds = options.retrySeconds;
  }

  get status(): number {
    return PROBLEMS[this.code][0];
  }
}

/** An administrator ended the stream of this credential for good. A stream gets 204, which ends an EventSource; any other request gets this problem. */
export class StreamEnded extends Problem {
  constructor(field: string) {
    super('invalid-credential', 'The credential is not good: an administrator ended its stream.', { field });
  }
}
