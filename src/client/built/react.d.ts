import { type ReactElement, type ReactNode } from 'react';
import type { Connection, Message, SubscribeOptions } from './api.js';
import { type View } from './topic-view.js';
/** `tidings/react`: topics in components of React 18 and later. */
export type { View };
export interface UseTidingsOptions extends Pick<SubscribeOptions, 'since' | 'after' | 'last'> {
    /** In the place of the provider's. */
    readonly client?: Connection;
    /** How many messages are kept, the newest: 0 to 10,000, by default 100. */
    readonly limit?: number;
}
/** One value made of all messages. */
export interface Reduction<Data, State> {
    /** Called once for each message. It may be another function each time. */
    readonly reduce: (state: State, message: Message<Data>) => State;
    /** Read when the topic begins, as by `useState`. */
    readonly initial: State;
}
export interface TidingsProviderProps {
    readonly client: Connection;
    readonly children?: ReactNode;
}
/** Hands a connection to all components below it. Who made it closes it. */
export declare function TidingsProvider({ client, children }: TidingsProviderProps): ReactElement;
/**
 * Messages of a topic or pattern while the component is mounted. Another topic, client, beginning or limit begins anew.
 * @throws Error without a client; RangeError where `limit` is out of bounds.
 */
export declare function useTidings<Data, State>(topic: string, options: UseTidingsOptions & Reduction<Data, State>): View<Data, State>;
export declare function useTidings<Data = unknown>(topic: string, options?: UseTidingsOptions): View<Data>;
