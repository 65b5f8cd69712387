import type { Template } from '../hooks/template.ts';
import type { Opener, Sink, Source } from './transport.ts';

/** A connector as the file declares it. */

export const FORMATS = ['auto', 'json', 'text'] as const;

/** `auto`: an object or array of JSON is JSON, and everything else is text. */
export type Format = (typeof FORMATS)[number];

interface AnyPlan {
  readonly name: string;
  /** The name of the transport. */
  readonly of: string;
  /** The topic of dead letters: for records that cannot be stored, and messages that cannot be sent. */
  readonly deadTopic: string;
}

export interface SourcePlan extends AnyPlan {
  readonly kind: 'source';
  readonly topic: Template;
  readonly event: Template | undefined;
  readonly format: Format;
  /** Seconds; 0 if messages do not expire. */
  readonly ttl: number;
  readonly opener: Opener<Source>;
}

export interface SinkPlan extends AnyPlan {
  readonly kind: 'sink';
  /** Topics and patterns. */
  readonly topics: readonly string[];
  readonly target: Template;
  /** Where a new sink begins to read the log. */
  readonly from: 'now' | 'start';
  readonly opener: Opener<Sink>;
}

export type ConnectorPlan = SourcePlan | SinkPlan;

/** The fields of a message that templates of sinks may use. */
export const MESSAGE_FIELDS: readonly string[] = ['topic', 'event', 'id'];

/** The event of a dead letter. */
export const DEAD_EVENT = 'connector-dead';
