import type { ConnectOptions } from './api.ts';
import type { Requests, TidingsError } from './requests.ts';
import type { SourceTaker, StreamSource } from './stream-source.ts';

/**
 * `connecting`: no topic is wanted, an attempt is under way, or the next attempt is due after an orderly end. `open`. `offline`: the last attempt failed, and the next is due. `denied`: the
 * service refused everything, and no attempt follows before `restart` or `change`.
 */
export type StreamState = 'connecting' | 'open' | 'offline' | 'denied';

export interface StreamListener {
  /** The topics and patterns that are wanted now. */
  wanted(): string[];
  /** The stream delivers these topics from this cursor on. */
  began(topics: readonly string[], cursor: string): void;
  /** Takes a message, by its event name, or a control event, whose name begins with `$`. With `$cursor` only the stream's cursor has changed. */
  take(event: string, content: unknown): void;
  /** The service refuses `topic`, or the whole stream if `topic` is undefined. */
  refused(error: TidingsError, topic?: string): void;
  /** `EventStream.state` has changed. */
  changed(): void;
}

export interface EventStreamDependencies {
  readonly requests: Requests;
  readonly listener: StreamListener;
  readonly options: ConnectOptions;
  /** The stream of the tab that leads: it reads from the service itself, although `options.share` is set. */
  readonly isLeading?: boolean;
  /** The stream watches presence. Such a stream never resumes: it always begins at the head. */
  readonly isWatching?: boolean | undefined;
  /** The cursor at which it begins; by default the head. */
  readonly cursor?: string | undefined;
  /** How long the first frame may take; `watch.ts` has the default. Milliseconds. */
  readonly firstFrameMs?: number;
  /** How often a stream that is held back is tried again; `long-poll.ts` has the default. Milliseconds. */
  readonly streamAgainMs?: number;
}

/** One stream for all subscriptions. After any end it reconnects, and resumes at its cursor. */
export interface EventStream extends SourceTaker {
  readonly state: StreamState;
  /** The attempt that is under way, or the last one. */
  readonly attempt: Attempt;
  /** Replaces the event stream while a proxy buffers it: long polls. */
  fallback?: StreamSource | undefined;
  /** Whether the open stream delivers a topic, and no change under way removes it. */
  tells(topic: string): boolean;
  /**
   * Call it after `StreamListener.wanted` has changed. An open stream gets all changes of one turn of the event loop by one request. A stream that cannot be changed reconnects if it lacks a topic.
   * If no topic is wanted, the stream closes.
   */
  change(): void;
  /** Reconnects, with the topics wanted now; also after `denied`. */
  restart(this: void): void;
  /** Forgets the cursor: the next attempt begins at the head. */
  forget(): void;
  close(): void;
}

/** The id and the secret of an open stream, from its `$open`. Requests about the stream name it by them. */
export interface StreamHandle {
  readonly id: string;
  readonly secret: string;
}

/** One attempt to open a stream, and the stream while it is open. */
export interface Attempt {
  topics: readonly string[];
  /** Ends the attempt, or the pause after it: the next one begins at once. */
  readonly end: AbortController;
  /** When the last byte came, by `Date.now()`. */
  heard: number;
  /** Undefined before `$open`, after the end, and if the service gives none. */
  handle?: StreamHandle | undefined;
  /** The topics after the change that is under way. The next change waits for the `$topics` of this one, so that each `$topics` answers one change. */
  next?: readonly string[] | undefined;
}

/** The dependencies of a `StreamSource`. */
export interface SourceDependencies extends EventStreamDependencies {
  /** The stream that reads from the source. */
  readonly stream: EventStream;
  /** Makes a stream that reads events from the service. */
  readonly open: (dependencies: EventStreamDependencies) => EventStream;
}
