import type { Draft } from '../model/message.ts';

/** How often a topic counts: for the row of the message, the index of topics, and the index of first segments. A first segment may be nearly the whole topic. */
export const TOPIC_FACTOR = 3;

/** The bytes that a message adds to the log's size: about as many as the database stores. @param overheadBytes `Store.rowOverheadBytes`. */
export function rowBytes({ topic, event, data }: Pick<Draft, 'topic' | 'event' | 'data'>, overheadBytes: number): number {
  return data.length + TOPIC_FACTOR * Buffer.byteLength(topic) + (event === undefined ? 0 : Buffer.byteLength(event)) + overheadBytes;
}
