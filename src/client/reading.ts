import type { Message, SubscribeOptions } from './api.ts';
import type { Requests } from './requests.ts';
import type { EventStream } from './stream.ts';

/** Where reading history begins: at most one of these options. */
export type HistoryStart = Pick<SubscribeOptions, 'since' | 'after' | 'last' | 'getState'>;

/** The queue between a subscription and its `for await` loop (iteration.ts). */
export interface Consumer {
  /** Queues a message, always. @returns false if the queue is now full: then queue nothing more before `room()` of iteration.ts resolves. */
  take(message: Message): boolean;
  /** Whether messages are queued. */
  readonly hasWaiting: boolean;
  /** The id of the last message that the loop got. */
  readonly handed: string | undefined;
  /** Wakes the loop and the subscription to notice `Reading.failure` or the end. */
  end(): void;
}

export interface SubscriptionDependencies {
  readonly requests: Requests;
  readonly stream: EventStream;
  /** The subscriptions of the connection. One that ends removes itself. */
  readonly subscriptions: Set<TopicSubscription>;
  /** Call it after `TopicSubscription.state` has changed. */
  readonly changed: () => void;
  /** Takes an error for which the subscription has no listener. */
  readonly unheard: (name: 'error', error: Error) => void;
}

/** A subscription, as history.ts and iteration.ts use it. */
export interface Reading extends SubscriptionDependencies {
  readonly topic: string;
  /** Aborted when the subscription ends. */
  readonly signal: AbortSignal;
  readonly isLoop: boolean;
  /** Set if the subscription feeds a loop. */
  consumer?: Consumer;
  /** The error that the loop throws at its end. */
  failure?: Error;
  /** Grows with each change of `state`. Code that waited compares it, and drops its result if the run has changed. */
  run: number;
  /** Messages that the stream delivered while a page of history is read. Undefined if some of them are missing: then another page is needed. */
  held: Message[] | undefined;
  /** The cursor at which the subscription began; undefined if it began by `since`, `last` or `getState`. */
  origin: string | undefined;
  /** The cursor that history has reached, while the subscription is behind; undefined before its first page if `origin` is. */
  reached: string | undefined;
  /** Emits an event of the application's `Subscription`. */
  readonly emit: (name: string, value: unknown) => boolean;
  /** Takes an event of the stream. */
  take(event: string, content: unknown): void;
  /** Emits a message. */
  hand(message: Message): void;
  /** The subscription is live. It drops messages of the stream up to the number `known`, because history had them. */
  live(known: number): void;
  /** Reports an error. It ends a loop; a subscription with listeners goes on. */
  error(error: Error): void;
  /** Reports an error; the subscription gets nothing more until `reset`. */
  refuse(error: Error): void;
  unsubscribe(this: void): void;
}

/** A subscription, as the connection uses it. Its public type is `Subscription` (api.ts). */
export interface TopicSubscription extends Reading {
  on: (name: string, listener: (value: never) => void) => () => void;
  /** `waiting`: the stream does not deliver the topic yet. `behind`: reads history. `live`: takes the stream's messages. `refused`: by the service. */
  readonly state: 'waiting' | 'behind' | 'live' | 'refused';
  /** The subscription's cursor: the application has every message up to it. Undefined if the subscription has none yet, so that a reload begins by the options. */
  readonly place: string | undefined;
  /** Resumes at the cursor that was stored before a reload, in place of the options. Does nothing without a cursor, or if the options have `getState`. */
  restore(after: string | undefined): void;
  /** The stream delivers the topic from now on. */
  began(): void;
  /** Back to `waiting`: the next `began()` begins by the options. */
  reset(): void;
}
