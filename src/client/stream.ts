import type { ConnectOptions } from './api.ts';
import type { Requests, TidingsError } from './requests.ts';
import type { SourceTaker, StreamSource } from './stream-source.ts';

/** What the stream is doing. `connecting`: nothing is wanted, or an attempt is under way, or due after an orderly end. `offline`: the last attempt failed, and the next is due. */
export type StreamState = 'connecting' | 'open' | 'offline' | 'denied';

export interface StreamListener {
  /** The topics and patterns that are wanted now. */
  wanted(): string[];
  /** From this place on the stream has these topics. */
  began(topics: readonly string[], cursor: string): void;
  /** A message, by its event name, or what the service says of the stream, by a name that begins with `$`. With `$cursor` the place alone has changed. */
  take(event: string, content: unknown): void;
  /** The service refuses a topic; without one, everything. */
  refused(error: TidingsError, topic?: string): void;
  changed(): void;
}

export interface EventStreamDependencies {
  readonly requests: Requests;
  readonly listener: StreamListener;
  readonly options: ConnectOptions;
  /** Whether it reads at the service, though tabs share their streams. */
  readonly isLeading?: boolean;
  /** Whether it watches who listens. Such a stream always begins now. */
  readonly isWatching?: boolean | undefined;
  /** Where it begins; by default now. */
  readonly cursor?: string | undefined;
  /** How long the first frame may take; `watch.ts` has the default. Milliseconds. */
  readonly firstFrameMs?: number;
  /** How often a stream that is held back is tried again; `long-poll.ts` has the default. Milliseconds. */
  readonly streamAgainMs?: number;
}

/** One stream for all subscriptions. It comes back after any end, from the place that it has reached. */
export interface EventStream extends SourceTaker {
  readonly state: StreamState;
  /** The attempt that is under way, or the last one. */
  readonly attempt: Attempt;
  /** Something on the way holds streams back: reads in another way. */
  fallback?: StreamSource | undefined;
  /** Whether the stream has a topic, and keeps it. */
  tells(topic: string): boolean;
  /** The wanted topics have changed. An open stream gets all changes of one turn at once. A stream that cannot be changed is opened anew for a topic that it lacks, or closed where nothing is wanted. */
  change(): void;
  /** Connects anew: the connection may be dead, or the topics are others. Forgets a refusal. */
  restart(this: void): void;
  /** Forgets the place: the next beginning is now. */
  forget(): void;
  close(): void;
}

/** What a source is made of. */
export interface SourceDependencies extends EventStreamDependencies {
  /** The stream that reads from it. */
  readonly stream: EventStream;
  /** Makes a stream that reads at the service. */
  readonly open: (dependencies: EventStreamDependencies) => EventStream;
}

/** By what the service knows an open stream. */
export interface StreamHandle {
  readonly id: string;
  readonly secret: string;
}

/** One attempt to have a stream. */
export interface Attempt {
  topics: readonly string[];
  /** Ends the attempt, or the pause after it: the next one begins at once. */
  readonly end: AbortController;
  /** When something was heard. */
  heard: number;
  /** By what the service knows the stream while it is open. */
  handle?: StreamHandle | undefined;
  /** Of a change that is under way: what the stream will have. Another change waits until the stream has told of this one, so that each `$topics` is of one change. */
  next?: readonly string[] | undefined;
}

export interface SourceDependencies extends EventStreamDependencies {
  /** The stream that reads from it. */
  readonly stream: EventStream;
  /** Makes a stream that reads at the service. */
  readonly open: (dependencies: EventStreamDependencies) => EventStream;
}
