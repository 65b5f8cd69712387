import type { Draft } from '../model/message.ts';

/** How often a topic is stored: in the row of the message, and in two indexes. In the second of these only its first segment, which may be nearly all of it. */
export const TOPIC_FACTOR = 3;

/** The bytes of a message in the log's size: about as much as is stored. @param overheadBytes `Store.rowOverheadBytes`. */
export function rowBytes({ topic, event, data }: Pick<Draft, 'topic' | 'event' | 'data'>, overheadBytes: number): number {
  return data.length + TOPIC_FACTOR * Buffer.byteLength(topic) + (event === undefined ? 0 : Buffer.byteLength(event)) + overheadBytes;
}
