import type { Position } from '../../model/position.ts';
import type { NameRange } from '../../model/topic-ranges.ts';

/** The names to find. */
export interface TopicNames {
  /** The ranges that hold the names, in order. */
  readonly ranges: readonly NameRange[];
  /** At least 1. */
  readonly limit: number;
}

/** The messages of a topic in the log. Tombstones and messages whose TTL has passed count until retention deletes them. */
export interface TopicHolding {
  readonly topic: string;
  /** How many messages, up to the bound of the question. */
  readonly messages: number;
  /** Whether there are more than that. */
  readonly more: boolean;
  /** The bytes of those messages in the log's size, about (row-bytes.ts). */
  readonly bytes: number;
  /** undefined without messages. Its time is in milliseconds since 1970. */
  readonly newest: (Position & { readonly time: number }) | undefined;
}

/** The topics of the log, with their messages. The cost of a call does not grow with the number of messages. Each call is a snapshot of its own; each rejects with a `StoreError`. */
export interface TopicStore {
  /** The first names of topics that have messages, in the order of their bytes. It seeks each name in the index, past all entries of the one before. */
  names(query: TopicNames): Promise<readonly string[]>;

  /**
   * How much the log holds of some topics, in their order.
   * @param maxMessages How many messages of each are counted, the newest first, and at most one more is looked at. At least 1.
   */
  holdings(topics: readonly string[], maxMessages: number): Promise<readonly TopicHolding[]>;
}
