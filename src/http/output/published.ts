import type { Receipt } from '../../log/publisher/receipt.ts';
import { describe, type Draft } from '../../model/message.ts';
import { formatId } from '../../model/position.ts';

/** The answer to a publisher, with status 201: each message as it was stored, without its data. */
export const PUBLISHED_TYPE = 'application/json; charset=utf-8';

/** Says that a request with the same key was answered before, and that this is its answer. */
export const REPLAYED_HEADERS = { 'idempotency-replayed': 'true' } as const;

/** The streams that would get the message, as far as that is known at once. */
export interface PublishReport {
  readonly streams: number;
  readonly instances: number;
  readonly ageMs: number;
  readonly partial?: true;
}

/** The line ends, for people who read it in a terminal. */
export function publishedMessage(draft: Draft, time: number, id: string, report: PublishReport | undefined): string {
  return `${describe({ topic: draft.topic, event: draft.event, time }, id)}${report === undefined ? '' : `,"report":${JSON.stringify(report)}`}}\n`;
}

/** All messages of a batch, in their order. */
export function publishedBatch(drafts: readonly Draft[], { epoch, first, time }: Receipt): string {
  const messages = drafts.map((draft, index) => `${describe({ topic: draft.topic, event: draft.event, time }, formatId(epoch, first + index))}}`);
  return `{"messages":[${messages.join(',')}]}\n`;
}
