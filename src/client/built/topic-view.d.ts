import type { Connection, Gap, Message, Status, SubscribeOptions } from './api.js';
/** The default of `limit`. Stops a page that is open for days from filling its memory. */
export declare const KEPT_MESSAGES = 100;
/** The content of a topic, for rendering. Immutable: the same object means the same content. */
export interface View<Data = unknown, State = undefined> {
    /** The newest messages, oldest first, at most `limit`. Erased messages are left out. */
    readonly messages: readonly Message<Data>[];
    /** The newest message. */
    readonly last: Message<Data> | undefined;
    /** The connection's status. */
    readonly status: Status;
    /** `initial`, after `reduce` has taken each message. */
    readonly state: State;
    /** The latest gap: messages may be missing. */
    readonly gap: Gap | undefined;
    /** The latest error, such as a refused topic. The next message clears it. */
    readonly error: Error | undefined;
}
export interface TopicViewOptions {
    readonly client: Connection;
    readonly topic: string;
    /** Where the subscription begins. */
    readonly start: Pick<SubscribeOptions, 'since' | 'after' | 'last'>;
    /** The most messages that the view keeps. */
    readonly limit: number;
    readonly initial: unknown;
}
/**
 * A topic as an external store, for React's `useSyncExternalStore`. The view is subscribed while it has listeners. It unsubscribes at the end of the turn in which the last one left: strict mode
 * takes a listener away and brings it back within a turn. A view that is subscribed to again later resumes after its last message.
 */
export declare class TopicView {
    #private;
    /** Called once for each message. The rendering component sets it after each render. */
    reduce: ((state: unknown, message: Message) => unknown) | undefined;
    /** @throws RangeError `limit` is out of bounds. */
    constructor(options: TopicViewOptions);
    readonly read: () => View<unknown, unknown>;
    /** The view for rendering on a server, and for hydration in the page. */
    readonly readOnServer: () => View<unknown, unknown>;
    readonly subscribe: (listener: () => void) => (() => void);
}
