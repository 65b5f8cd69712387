import type { Connection, Gap, Message, Status, SubscribeOptions } from './api.js';
/** How many messages a view keeps, unless it is told another number. Stops a page that is open for days from filling its memory. */
export declare const KEPT_MESSAGES = 100;
/** What a page shows of a topic. It changes as a whole: the same object means the same content. */
export interface View<Data = unknown, State = undefined> {
    /** The newest messages, oldest first, at most `limit`. Erased messages are left out. */
    readonly messages: readonly Message<Data>[];
    /** The newest message. */
    readonly last: Message<Data> | undefined;
    /** That of the connection. */
    readonly status: Status;
    /** What `reduce` made of `initial` and all messages. */
    readonly state: State;
    /** The latest gap: messages may be missing. */
    readonly gap: Gap | undefined;
    /** Why nothing comes, such as a topic that the service refuses; gone with the next message. */
    readonly error: Error | undefined;
}
export interface TopicViewOptions {
    readonly client: Connection;
    readonly topic: string;
    /** Where it begins. */
    readonly start: Pick<SubscribeOptions, 'since' | 'after' | 'last'>;
    /** How many messages it keeps. */
    readonly limit: number;
    readonly initial: unknown;
}
/**
 * A topic as an external store, in the form that React's `useSyncExternalStore` asks for. It subscribes while somebody listens. Whoever comes back in the same turn, as in
 * strict mode, finds the subscription as it was; who comes back later goes on after the last message.
 */
export declare class TopicView {
    #private;
    /** Called once for each message. The rendering component sets it, and may change it while the view goes on. */
    reduce: ((state: unknown, message: Message) => unknown) | undefined;
    /** @throws RangeError `limit` is out of bounds. */
    constructor(options: TopicViewOptions);
    readonly read: () => View<unknown, unknown>;
    /** What a server renders, and a page before it has taken over what the server rendered. */
    readonly readOnServer: () => View<unknown, unknown>;
    readonly subscribe: (listener: () => void) => (() => void);
}
