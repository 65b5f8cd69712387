import type { Receipt } from '../../log/publisher.ts';
import { describe, type Draft } from '../../model/message.ts';
import { formatId } from '../../model/position.ts';

/** What a publisher is told, with status 201: each message as it was stored, without its data. */
export const PUBLISHED_TYPE = 'application/json; charset=utf-8';

/** Says that a request with the same key was answered before, and that this is its answer. */
export const REPLAYED_HEADERS = { 'idempotency-replayed': 'true' } as const;

/** The line ends, for people who read it in a terminal. */
export function publishedMessage(draft: Draft, time: number, id: string): string {
  return `${describe({ ...draft, time }, id)}}\n`;
}

/** All messages of a batch, in their order. */
export function publishedBatch(drafts: readonly Draft[], { epoch, first, time }: Receipt): string {
  const messages = drafts.map((draft, index) => `${describe({ ...draft, time }, formatId(epoch, first + index))}}`);
  return `{"messages":[${messages.join(',')}]}\n`;
}
