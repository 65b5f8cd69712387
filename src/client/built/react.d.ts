import { type ReactElement, type ReactNode } from 'react';
import type { Connection, Message, SubscribeOptions } from './api.js';
import { type View } from './topic-view.js';
/** `tidings/react`: topics in components of React 18 and later. */
export type { View };
export interface UseTidingsOptions extends Pick<SubscribeOptions, 'since' | 'after' | 'last'> {
    /** Replaces the client of the provider. */
    readonly client?: Connection;
    /** How many messages are kept, the newest: 0 to 10,000, by default 100. */
    readonly limit?: number;
}
/** Folds all messages into one value, `View.state`. */
export interface Reduction<Data, State> {
    /** Called once for each message. It need not be the same function on each render. */
    readonly reduce: (state: State, message: Message<Data>) => State;
    /** Used when the topic begins, like the argument of `useState`: later values are ignored. */
    readonly initial: State;
}
export interface TidingsProviderProps {
    readonly client: Connection;
    readonly children?: ReactNode;
}
/** Provides a connection to all components below it. It does not close the connection. */
export declare function TidingsProvider({ client, children }: TidingsProviderProps): ReactElement;
/**
 * The messages of a topic or pattern while the component is mounted. A change of the topic, client, start or limit makes a new, empty view.
 * @throws Error without a client; RangeError if `limit` is out of bounds
 */
export declare function useTidings<Data, State>(topic: string, options: UseTidingsOptions & Reduction<Data, State>): View<Data, State>;
export declare function useTidings<Data = unknown>(topic: string, options?: UseTidingsOptions): View<Data>;
