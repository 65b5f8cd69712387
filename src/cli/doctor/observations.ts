import type { Reply, Target } from './exchange.ts';
import type { StreamSeen } from './stream-watch.ts';
import type { WebSocketSeen } from './web-socket-watch.ts';

/** The types of all observations: the input of the verdicts. */

/** A message that doctor published itself. */
export interface Published {
  readonly id: string;
  /** When the 201 came, by `performance.now()`. */
  readonly storedAt: number;
}

export const DAY_MS = 86_400_000;

export interface TlsSeen {
  /** `h2`, `http/1.1`, or nothing. */
  readonly protocol: string | undefined;
  readonly version: string;
  /** Why the certificate is not trusted. */
  readonly distrust: string | undefined;
  /** By the clock of this machine; undefined without a certificate. */
  readonly daysLeft: number | undefined;
}

/** The first requests. If they fail, doctor sends no others. */
export interface Reached {
  readonly health: Reply;
  /** The answer to a second request, over the same connection if that was kept. */
  readonly again: Reply | undefined;
  readonly tls: TlsSeen | undefined;
  /** The `Date` of the answer minus the clock of this machine. Milliseconds. */
  readonly dateAheadMs: number | undefined;
}

/** A stream while messages are published. */
export interface Live {
  readonly stream: StreamSeen;
  readonly published: readonly Published[];
  /** The answers to the publishes, in order; the last has the key of the one before it. */
  readonly publishes: readonly Reply[];
  /** The answer to a publish with an invalid TTL, which the service must refuse. Sent before the others. */
  readonly badTtl: Reply | undefined;
  /** History before the first publish, and after the messages came. */
  readonly historyBefore: Reply | undefined;
  readonly historyAfter: Reply | undefined;
  /** The stream once more, with the first message's id in `Last-Event-ID`. */
  readonly replay: StreamSeen | undefined;
}

/** Answers to single requests. */
export interface Requests {
  /** A stream, and history, each with a parameter that the service refuses. */
  readonly streamQuery: Reply;
  readonly historyQuery: Reply;
  /** History of a topic with a slash. */
  readonly slash: Reply;
  /** A publish by a page of the service's own host: without `Sec-Fetch-Site`, as over plain http, and with it. */
  readonly ownPage: Reply;
  readonly ownPageWithSite: Reply;
  /** A large batch that is invalid, so the service stores nothing. */
  readonly largeBody: Reply;
  /** A publish whose `Content-Length` is too large, and whose body is never sent. */
  readonly heldBody: Reply;
  /** History with the token, without a credential, and with an invalid credential. */
  readonly withToken: Reply | undefined;
  readonly withNone: Reply;
  readonly withBogus: Reply | undefined;
  readonly preflight: Reply | undefined;
}

/** A stream and a long poll without messages. */
export interface Idle {
  readonly stream: StreamSeen;
  readonly longPoll: Reply;
  readonly longPollSeconds: number;
  /** When the watch ended, by `performance.now()`. */
  readonly until: number;
}

/** A stream that the service ended itself. */
export interface Ending {
  readonly stream: StreamSeen;
}

/** Times of streams and requests that were opened in turn, with no other load. Milliseconds. */
export interface Openings {
  /** From the request to the first event. */
  readonly streams: readonly number[];
  /** From the request to the head. */
  readonly requests: readonly number[];
}

export interface Observations extends Reached {
  readonly target: Target;
  /** Absent if the service was not reached. */
  readonly rest?: {
    readonly live: Live;
    readonly requests: Requests;
    readonly idle: Idle | undefined;
    /** A stream with an invalid `Last-Event-ID`, to which the service answers with `$gap`. */
    readonly unknownId: StreamSeen;
    readonly openings: Openings;
    /** Undefined if the credential may make no ticket. */
    readonly ending: Ending | undefined;
    readonly webSocket: WebSocketSeen;
  };
}
