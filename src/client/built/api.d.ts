/** The public types of the client library. */
/** A message, as `GET /events` sends it. `data` is the JSON that was published, or a string if text was. */
export interface Message<Data = unknown> {
    /** Opaque. Use it as `after` to resume after this message. */
    readonly id: string;
    readonly topic: string;
    /** The event name; `message` if the publisher gave none. */
    readonly event: string;
    /** RFC 3339. */
    readonly time: string;
    readonly data: Data;
}
/** Messages between `requested` and `resumed` may be missing; reading goes on after `resumed`. */
export interface Gap {
    readonly requested: string | null;
    readonly resumed: string;
    readonly oldest: string;
    readonly reason: 'expired' | 'unknown-log' | 'ahead' | 'forked';
}
/** An erasure: of one message (`id`), or of all messages of a topic up to an id (`through`). */
export interface Erased {
    readonly id?: string;
    readonly topic: string;
    readonly through?: string;
}
/**
 * - `connecting`: nothing is subscribed, the first attempt is under way, or the stream ended in order and reconnects.
 * - `catching-up`: the stream is open, but a subscription still reads history, or the stream does not deliver its topic yet.
 * - `live`: every subscription is live.
 * - `offline`: the last attempt failed; another follows.
 * - `denied`: the service refuses the credential, or all topics; `login()` tries again.
 * - `closed`: after `close()` or `logout()`.
 */
export type Status = 'connecting' | 'catching-up' | 'live' | 'offline' | 'denied' | 'closed';
/** The part of Web Storage that the library uses to keep cursors over a reload. */
export interface CursorStore {
    getItem(key: string): string | null;
    setItem(key: string, value: string): void;
    removeItem(key: string): void;
}
export interface ConnectOptions {
    /** Returns the token. Called before the first request, when the token expires, and after a 401. `null`: send no credential. */
    readonly getToken?: () => string | null | Promise<string | null>;
    /** As of `fetch`: `include` sends cookies to a service on another origin, too. By default `same-origin`. */
    readonly credentials?: 'same-origin' | 'include' | 'omit';
    /** Where cursors are kept. With `session` or `local` a reload resumes at them; by default `memory`, which a reload forgets. */
    readonly store?: 'memory' | 'session' | 'local' | CursorStore;
    /** The timeout of a connection without a byte. Milliseconds, above two `HEARTBEAT_SECONDS` of the service; by default 60,000. */
    readonly staleAfter?: number;
    /**
     * One stream for all tabs of this origin that have the same service and the same value of `share`. Use `true`, or the user's name if tabs may belong to several users: a tab gets everything that
     * the credential of the tab with the stream may read. By default `false`. Without Web Locks, as on pages without TLS, each tab has a stream of its own.
     */
    readonly share?: boolean | string;
    /** What to do if a proxy buffers the stream: `long-poll`, the default, long polls until a stream arrives unbuffered. */
    readonly fallback?: 'long-poll' | 'none';
    /** `sse`, the default, or `websocket`, which falls back to `sse` if no WebSocket can be opened. With `getToken`, each WebSocket takes a ticket. */
    readonly transport?: 'sse' | 'websocket';
    /** The member that presence lists for this stream. Only without access control: with it, the credential names the member, and the service refuses `as`. */
    readonly as?: string;
    /** Further information about the member, for others to see: at most 1 KiB of JSON. */
    readonly meta?: object;
    /** Replaces the global `fetch`. */
    readonly fetch?: typeof fetch;
}
/** Where a subscription begins: one of these options, or none, which begins now. After a reconnect it resumes at its cursor. */
export interface SubscribeOptions {
    /** A duration such as `10m`, or a time of RFC 3339. */
    readonly since?: string;
    /** An id or cursor, or `start`: the oldest message in the log. */
    readonly after?: string;
    /** Begins with this number of the newest messages: 0 to 1,000. */
    readonly last?: number;
    /**
     * For applications whose messages change a state of their own. It takes a cursor (`GET /cursor`), then reads the state, and resolves with the cursor: the messages after it follow. Called at the
     * beginning, and after each gap. A message may repeat a change that the state has already: compare ids or versions.
     */
    readonly getState?: () => string | Promise<string>;
}
export interface IterationOptions extends Omit<SubscribeOptions, 'getState'> {
    /** Ends the iteration. */
    readonly signal?: AbortSignal;
}
/** `any`: all messages. `message`: messages without an event name. Any other name: messages with that event name. */
export interface SubscriptionEvents<Data> {
    readonly any: Message<Data>;
    readonly gap: Gap;
    readonly erased: Erased;
    /** A `TidingsError`: the service refuses the topic, and the subscription is over. Or an error of `getState`, which is called again. */
    readonly error: Error;
}
export interface Subscription<Data = unknown> {
    readonly topic: string;
    /** @returns A function that removes the listener. */
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
    /** Further information that the member gave about itself. */
    readonly meta?: unknown;
}
/** The members, and the difference from the change before. In the first change everybody has joined. */
export interface PresenceChange {
    readonly topic: string;
    /** Undefined if there are too many to list: then only `count` is known. */
    readonly members: readonly Member[] | undefined;
    /** The number of members. */
    readonly count: number;
    /** The number of streams, including those of anonymous clients. */
    readonly streams: number;
    readonly joined: readonly Member[];
    /** Members whose `streams` or `meta` have changed. */
    readonly changed: readonly Member[];
    /** The ids of members that have left. */
    readonly left: readonly string[];
    /** The service does not know the streams of all instances: there may be more members. */
    readonly partial?: true;
}
export interface PresenceEvents {
    readonly change: PresenceChange;
    readonly error: Error;
}
export interface Presence {
    readonly topic: string;
    /** @returns A function that removes the listener. */
    on<Name extends keyof PresenceEvents>(name: Name, listener: (value: PresenceEvents[Name]) => void): () => void;
    stop(): void;
}
export interface PublishOptions {
    /** The SSE event name. */
    readonly event?: string;
    /** Seconds. */
    readonly ttl?: number;
    /** By default a random key. A retry with the same key is stored once. */
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
    /** A refusal of the service comes later, as `error`. @throws TypeError that names the wrong option */
    subscribe<Data = unknown>(topic: string, options?: SubscribeOptions): Subscription<Data>;
    /** The messages for `for await`, until the loop ends. A slow loop misses nothing: it reads the messages that did not fit its queue from the log. */
    stream<Data = unknown>(topic: string, options?: IterationOptions): AsyncIterableIterator<Message<Data>>;
    /** Watches who listens to a topic or pattern, over a stream of its own. The page itself is listed there, too. */
    presence(topic: string): Presence;
    /**
     * Resolves once the message is on disk. Retries with the same key until the outcome is known, for at most ten minutes. A string is sent as text, everything else as JSON.
     * Rejects with a `TidingsError` if the service refuses the message.
     */
    publish(topic: string, data: unknown, options?: PublishOptions): Promise<Published>;
    /** Calls `getToken` again, and reconnects. */
    login(): void;
    /** Forgets the token and the cursors, and closes the stream until `login()`. */
    logout(): void;
    close(): void;
}
