import type { Position } from '../../model/position.ts';
import { TOPIC_FACTOR } from '../row-bytes.ts';
import type { TopicHolding } from '../contracts/topic-store.ts';

/** A database's answer about one topic. */
export interface TopicRow {
  /** How many messages were found, of one more than are counted. */
  readonly found: number;
  /** Sums over the counted messages: their data, and their event names. */
  readonly dataBytes: number;
  readonly eventBytes: number;
  readonly newest: (Position & { readonly time: number }) | undefined;
}

export function holdingOf(topic: string, { found, dataBytes, eventBytes, newest }: TopicRow, maxMessages: number, overheadBytes: number): TopicHolding {
  const messages = Math.min(found, maxMessages);
  return { topic, messages, more: found > maxMessages, bytes: dataBytes + eventBytes + messages * (TOPIC_FACTOR * Buffer.byteLength(topic) + overheadBytes), newest };
}
