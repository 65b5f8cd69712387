import type { Message, SubscribeOptions } from './api.ts';
import type { Requests } from './requests.ts';
import type { EventStream } from './stream.ts';

/** Where history is read from; without any of these, from where the subscription begins. */
export type HistoryStart = Pick<SubscribeOptions, 'since' | 'after' | 'last' | 'getState'>;

/** Takes the messages of a loop, in order. */
export interface Consumer {
  /** @returns Whether it can take more now. */
  take(message: Message): boolean;
  /** Whether it has messages that nobody got yet, and the id of the last one that somebody got. */
  readonly hasWaiting: boolean;
  readonly handed: string | undefined;
  /** Nothing comes any more: the subscription has failed. */
  end(): void;
}

export interface SubscriptionDependencies {
  readonly requests: Requests;
  readonly stream: EventStream;
  /** All that are not over. */
  readonly subscriptions: Set<TopicSubscription>;
  readonly changed: () => void;
  /** An error that the application does not listen to here. */
  readonly unheard: (name: 'error', error: Error) => void;
}

/** A subscription as the modules see it that read history for it (history.ts), and hand it to a loop (iteration.ts). */
export interface Reading extends SubscriptionDependencies {
  readonly topic: string;
  /** Aborted when the subscription is over. */
  readonly signal: AbortSignal;
  readonly isLoop: boolean;
  /** Stands between the subscription and its loop. */
  consumer?: Consumer;
  /** Why the loop ends. */
  failure?: Error;
  /** Counts the beginnings: an answer that comes after another beginning is dropped. */
  run: number;
  /** What the stream has brought while history is read; undefined where some of it is lacking. */
  held: Message[] | undefined;
  /** The place where it began, and the one where reading goes on while it is behind; undefined where it did not begin at a place. */
  origin: string | undefined;
  reached: string | undefined;
  /** What an application hears. */
  readonly emit: (name: string, value: unknown) => boolean;
  take(event: string, content: unknown): void;
  hand(message: Message): void;
  /** History ends here; what the stream brings up to this number is known already. */
  live(known: number): void;
  error(error: Error): void;
  refuse(error: Error): void;
  unsubscribe(this: void): void;
}

/** A `Subscription` of any type of data, as the connection sees it. */
export interface TopicSubscription extends Reading {
  on: (name: string, listener: (value: never) => void) => () => void;
  /** `waiting`: the stream does not have the topic yet. `behind`: earlier messages are being read. */
  readonly state: 'waiting' | 'behind' | 'live' | 'refused';
  /** Up to where all was handed out; undefined where that is nowhere yet, and it would begin anew. */
  readonly place: string | undefined;
  /** Its cursor before a reload: it continues there, whichever options it has, unless it reads a state. */
  restore(after: string | undefined): void;
  /** From now on the stream tells of the topic. */
  began(): void;
  /** The stream does not tell of it any more; it begins anew. */
  reset(): void;
}
