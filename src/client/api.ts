/** What applications see of the client library: types alone. */

/** A message, as `GET /events` sends it. `data` is the JSON that was published, or a string if text was. */
export interface Message<Data = unknown> {
  /** Opaque, and good as `after`. */
  readonly id: string;
  readonly topic: string;
  /** `message` where the publisher named none. */
  readonly event: string;
  /** RFC 3339. */
  readonly time: string;
  readonly data: Data;
}

/** Messages after `requested` may be missing; reading goes on after `resumed`. */
export interface Gap {
  readonly requested: string | null;
  readonly resumed: string;
  readonly oldest: string;
  readonly reason: 'expired' | 'unknown-log' | 'ahead' | 'forked';
}

/** A message was erased, or all messages of a topic up to an id. */
export interface Erased {
  readonly id?: string;
  readonly topic: string;
  readonly through?: string;
}

/**
 * `connecting`: the first attempt, or one after an orderly end. `catching-up`: the stream is open, and some subscription waits for its topic, or reads what came before. `live`. `offline`: an attempt
 * failed, and the next is due. `denied`: the service refuses the credential, or what is asked for; `login()` tries again. `closed`: by `close()` or `logout()`.
 */
export type Status = 'connecting' | 'catching-up' | 'live' | 'offline' | 'denied' | 'closed';

/** Where a cursor survives a reload: what of Web Storage is used. */
export interface CursorStore {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

export interface ConnectOptions {
  /** Asked before the first request, at `$expiring`, and after a 401. `null`: without a credential. */
  readonly getToken?: () => string | null | Promise<string | null>;
  /** Whether cookies go along to another origin (`include`); by default to this one alone. */
  readonly credentials?: 'same-origin' | 'include' | 'omit';
  /** By default `memory`: a reload begins anew. */
  readonly store?: 'memory' | 'session' | 'local' | CursorStore;
  /** After this time without a byte, the connection is taken for dead. Milliseconds, above the service's `HEARTBEAT_SECONDS`; by default 60,000. */
  readonly staleAfter?: number;
  /**
   * One stream for all tabs of this origin that are connected to the same service with the same value. That is `true`, or the user's name where tabs may belong to several users. By default
   * `false`: whoever shares gets what the credential of another tab may read. Without Web Locks, as on pages without TLS, each tab has a stream of its own.
   */
  readonly share?: boolean | string;
  /** Where something on the way holds the stream back: `long-poll`, the default, asks for messages instead, and goes back to a stream once one comes through. */
  readonly fallback?: 'long-poll' | 'none';
  /** How messages come: `sse`, the default, or `websocket`. Where no WebSocket comes through, it is an event stream, too. With `getToken` each connection takes a ticket. */
  readonly transport?: 'sse' | 'websocket';
  /** Who listens, as others see it. Only where the service has no access control: elsewhere the credential says it, and this is refused. */
  readonly as?: string;
  /** What others see of that member: JSON of at most 1 KiB. */
  readonly meta?: object;
  /** In the place of the global one. */
  readonly fetch?: typeof fetch;
}

/** Where a subscription begins; one of them, or none, which is from now on. Once it has begun it goes on where it was. */
export interface SubscribeOptions {
  /** A duration such as `10m`, or a time of RFC 3339. */
  readonly since?: string;
  /** An id or cursor, or `start`: the oldest message held. */
  readonly after?: string;
  /** Starts with the newest messages, this many, at most 1,000. */
  readonly last?: number;
  /**
   * Reads what the messages change, and resolves with the cursor that was taken before it was read: messages after it follow. Called at the beginning, and after each gap. What is in the
   * state already can come once more as a message: go by its id or version.
   */
  readonly getState?: () => string | Promise<string>;
}

export interface IterationOptions extends Omit<SubscribeOptions, 'getState'> {
  /** Ends the iteration. */
  readonly signal?: AbortSignal;
}

/** `message`: messages without an event name of their own; `any`: all; any other name: those with that event name. */
export interface SubscriptionEvents<Data> {
  readonly any: Message<Data>;
  readonly gap: Gap;
  readonly erased: Erased;
  /** A `TidingsError`, or what `getState` threw. Where the service refuses the topic, the subscription is over. */
  readonly error: Error;
}

export interface Subscription<Data = unknown> {
  readonly topic: string;
  /** @returns Takes the listener away. */
  on<Name extends keyof SubscriptionEvents<Data>>(name: Name, listener: (value: SubscriptionEvents<Data>[Name]) => void): () => void;
  on(name: string, listener: (message: Message<Data>) => void): () => void;
  unsubscribe(): void;
}

/** Who listens to a topic: the subject of a token, or the name of a key. */
export interface Member {
  readonly id: string;
  readonly streams: number;
  /** RFC 3339. */
  readonly since: string;
  /** What the member tells of itself. */
  readonly meta?: unknown;
}

/** The members, and the difference to the change before. In the first change everybody has joined. */
export interface PresenceChange {
  readonly topic: string;
  /** Undefined where there are too many to tell: then `count` alone is told. */
  readonly members: readonly Member[] | undefined;
  /** The number of members. */
  readonly count: number;
  /** The number of streams, with those of anonymous clients. */
  readonly streams: number;
  readonly joined: readonly Member[];
  /** Those whose streams or `meta` are different. */
  readonly changed: readonly Member[];
  /** Their ids. */
  readonly left: readonly string[];
  /** Other instances may have more. */
  readonly partial?: true;
}

export interface PresenceEvents {
  readonly change: PresenceChange;
  readonly error: Error;
}

export interface Presence {
  readonly topic: string;
  /** @returns Takes the listener away. */
  on<Name extends keyof PresenceEvents>(name: Name, listener: (value: PresenceEvents[Name]) => void): () => void;
  stop(): void;
}

export interface PublishOptions {
  /** The SSE event name. */
  readonly event?: string;
  /** Seconds. */
  readonly ttl?: number;
  /** By default a random one: a publish that is tried again is stored once. */
  readonly idempotencyKey?: string;
  readonly signal?: AbortSignal;
}

/** The answer to a publish. */
export interface Published {
  readonly id: string;
  readonly topic: string;
  readonly event: string;
  readonly time: string;
}

export interface ConnectionEvents {
  readonly status: Status;
  readonly error: Error;
}

/** One connection to a service. All its subscriptions share one stream. */
export interface Connection {
  readonly status: Status;
  on<Name extends keyof ConnectionEvents>(name: Name, listener: (value: ConnectionEvents[Name]) => void): () => void;
  /** @throws TypeError that names the option that is wrong. What the service refuses is told by `error`. */
  subscribe<Data = unknown>(topic: string, options?: SubscribeOptions): Subscription<Data>;
  /** Messages one after the other, until the loop ends. A slow loop reads from the log the messages that it could not take at once. */
  stream<Data = unknown>(topic: string, options?: IterationOptions): AsyncIterableIterator<Message<Data>>;
  /** Watches who listens to a topic or pattern, over a stream of its own. A page that watches is present there itself. */
  presence(topic: string): Presence;
  /**
   * Resolves once the message is on disk. Tries again, with the same key, until the outcome is known, for ten minutes at most. A string is sent as text, everything else as JSON.
   * Rejects with a `TidingsError` where the service refuses it.
   */
  publish(topic: string, data: unknown, options?: PublishOptions): Promise<Published>;
  /** Asks `getToken` anew, and connects. */
  login(): void;
  /** Forgets the token and the cursors, and closes the stream until `login()`. */
  logout(): void;
  close(): void;
}
