import type { Reply, Target } from './exchange.ts';
import type { StreamSeen } from './stream-watch.ts';
import type { WebSocketSeen } from './web-socket-watch.ts';

/** Observations through everything on the way. A verdict is made of these and of nothing else. */

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
  /** By the clock of this machine; undefined where there is no certificate. */
  readonly daysLeft: number | undefined;
}

/** Asked first, and alone: where it fails, so does the rest. */
export interface Reached {
  readonly health: Reply;
  /** The answer to a second request, over the same connection if that was kept. */
  readonly again: Reply | undefined;
  readonly tls: TlsSeen | undefined;
  /** How far the clock of this machine was behind when the answer came. Milliseconds. */
  readonly dateAheadMs: number | undefined;
}

export interface Live {
  readonly stream: StreamSeen;
  readonly published: readonly Published[];
  /** The answers to the publishes, in order; the last has the key of the one before it. */
  readonly publishes: readonly Reply[];
  /** A publish whose TTL is no number. It comes before all others. */
  readonly badTtl: Reply | undefined;
  /** History before, and after the messages came. */
  readonly historyBefore: Reply | undefined;
  readonly historyAfter: Reply | undefined;
  /** The stream once more, with the first message's id in `Last-Event-ID`. */
  readonly replay: StreamSeen | undefined;
}

export interface Requests {
  /** The stream, and history, each with a parameter that the service refuses. */
  readonly streamQuery: Reply;
  readonly historyQuery: Reply;
  /** History of a topic with a slash. */
  readonly slash: Reply;
  /** A publish by a page that the asked host served: as browsers send it over plain http, and as they do elsewhere, with `Sec-Fetch-Site`. */
  readonly ownPage: Reply;
  readonly ownPageWithSite: Reply;
  /** A large batch of which nothing is stored. */
  readonly largeBody: Reply;
  /** A publish that is too large by its head, while its body is held back. */
  readonly heldBody: Reply;
  /** History with the token, without a credential, and with an invalid credential. */
  readonly withToken: Reply | undefined;
  readonly withNone: Reply;
  readonly withBogus: Reply | undefined;
  readonly preflight: Reply | undefined;
}

export interface Idle {
  readonly stream: StreamSeen;
  readonly longPoll: Reply;
  readonly longPollSeconds: number;
  /** When the watch ended, by `performance.now()`. */
  readonly until: number;
}

/** How the service's own end of a stream arrived. */
export interface Ending {
  readonly stream: StreamSeen;
}

/** Streams and requests, by turns, without anything beside them. Milliseconds. */
export interface Openings {
  /** From the request to the first event. */
  readonly streams: readonly number[];
  /** From the request to the head. */
  readonly requests: readonly number[];
}

export interface Observations extends Reached {
  readonly target: Target;
  /** Absent where the service was not reached. */
  readonly rest?: {
    readonly live: Live;
    readonly requests: Requests;
    readonly idle: Idle | undefined;
    /** With an invalid id, which the service answers with `$gap`. */
    readonly unknownId: StreamSeen;
    readonly openings: Openings;
    /** Only where tickets may be made. */
    readonly ending: Ending | undefined;
    readonly webSocket: WebSocketSeen;
  };
}
