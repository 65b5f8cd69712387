'use client';

import { createContext, createElement, useContext, useEffect, useMemo, useSyncExternalStore, type ReactElement, type ReactNode } from 'react';
import type { Connection, Message, SubscribeOptions } from './api.ts';
import { KEPT_MESSAGES, TopicView, type View } from './topic-view.ts';

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

const ClientContext = createContext<Connection | undefined>(undefined);

/** Provides a connection to all components below it. It does not close the connection. */
export function TidingsProvider({ client, children }: TidingsProviderProps): ReactElement {
  return createElement(ClientContext.Provider, { value: client }, children);
}

/**
 * The messages of a topic or pattern while the component is mounted. A change of the topic, client, start or limit makes a new, empty view.
 * @throws Error without a client; RangeError if `limit` is out of bounds
 */
export function useTidings<Data, State>(topic: string, options: UseTidingsOptions & Reduction<Data, State>): View<Data, State>;
export function useTidings<Data = unknown>(topic: string, options?: UseTidingsOptions): View<Data>;
export function useTidings(topic: string, options: UseTidingsOptions & Partial<Reduction<unknown, unknown>> = {}): View<unknown, unknown> {
  const provided = useContext(ClientContext);
  const { client = provided, since, after, last, limit = KEPT_MESSAGES, reduce, initial } = options;
  if (client === undefined) throw new Error('useTidings has no client: put a <TidingsProvider client={connect(url)}> around the component, or name one as its option client');
  const view = useMemo(() => new TopicView({ client, topic, start: { since, after, last }, limit, initial }), [client, topic, since, after, last, limit]);
  // This effect must stand before `useSyncExternalStore`, whose effect subscribes: effects run in their order.
  useEffect(() => {
    view.reduce = reduce;
  });
  return useSyncExternalStore(view.subscribe, view.read, view.readOnServer);
}
