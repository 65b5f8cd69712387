import type { Draft } from '../model/message.ts';

/** How often a topic is stored: in the row of the message, and in two indexes. In the second of these only its first segment, which may be nearly all of it. */
export const TOPIC_FACTOR = 3;

/** What a message counts in the log's size: as much as is stored of it, about. @param overheadBytes `Store.rowOverheadBytes`. */
export function rowBytes({ topic, event, data }: Pick<Draft, 'topic' | 'event' | 'data'>, overheadBytes: number): number {
  return data.length + TOPIC_FACTOR * Buffer.byteLength(topic) + (event === undefined ? 0 : Buffer.byteLength(event)) + overheadBytes;
}
