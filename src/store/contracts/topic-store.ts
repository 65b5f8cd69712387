import type { Position } from '../../model/position.ts';
import type { NameRange } from '../../model/topic-ranges.ts';

/** Which names of topics to find. */
export interface TopicNames {
  /** Only names within these ranges, which are in the order of their bytes. */
  readonly ranges: readonly NameRange[];
  /** The most names, at least 1. */
  readonly limit: number;
}

/** The messages of a topic in the log. Tombstones and messages whose TTL has passed count until retention deletes them. */
export interface TopicHolding {
  readonly topic: string;
  /** How many messages were counted, at most `maxMessages`. */
  readonly messages: number;
  /** Whether the topic has more than `maxMessages`. */
  readonly more: boolean;
  /** About how many bytes of the log's size the counted messages take (row-bytes.ts). */
  readonly bytes: number;
  /** The newest message; undefined if the topic has none. */
  readonly newest: (Position & { readonly time: number }) | undefined;
}

/** The topics of the log. The cost of a call does not grow with the number of messages. Each call reads one snapshot. */
export interface TopicStore {
  /** Finds the first names of topics that have messages, in the order of their bytes. For each name it seeks the next topic in the index, and skips all messages in between. */
  names(query: TopicNames): Promise<readonly string[]>;

  /**
   * Counts the messages of some topics, and their bytes. Returns the counts in the order of `topics`.
   * @param maxMessages How many messages of each topic to count, from the newest; at least 1. A call examines one more, for `more`.
   */
  holdings(topics: readonly string[], maxMessages: number): Promise<readonly TopicHolding[]>;
}
