import type { Position } from '../../model/position.ts';
import { TOPIC_FACTOR } from '../row-bytes.ts';
import type { TopicHolding } from '../contracts/topic-store.ts';

/** A database's counts of one topic. */
export interface TopicRow {
  /** How many messages were examined: at most one more than `maxMessages`. */
  readonly found: number;
  /** The bytes of the data, and of the event names, of the counted messages. */
  readonly dataBytes: number;
  readonly eventBytes: number;
  readonly newest: (Position & { readonly time: number }) | undefined;
}

export function holdingOf(topic: string, { found, dataBytes, eventBytes, newest }: TopicRow, maxMessages: number, overheadBytes: number): TopicHolding {
  const messages = Math.min(found, maxMessages);
  return { topic, messages, more: found > maxMessages, bytes: dataBytes + eventBytes + messages * (TOPIC_FACTOR * Buffer.byteLength(topic) + overheadBytes), newest };
}
