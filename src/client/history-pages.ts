import type { Erased, Gap, Message } from './api.ts';
import type { Requests } from './requests.ts';
import type { SourceTaker } from './stream-source.ts';
import { topicQuery } from './topics.ts';

/** Bounds the memory of one page. */
const PAGE_MESSAGES = 500;

/** The answer of `GET /messages`. */
export interface Page {
  readonly messages: readonly (Message & { readonly erased?: true })[];
  readonly cursor: string;
  readonly more: boolean;
  readonly gap?: Gap;
}

export interface PageRequest {
  readonly requests: Requests;
  readonly taker: SourceTaker;
  readonly topics: readonly string[];
  readonly signal: AbortSignal;
  /** The page ends at this cursor at the latest. */
  readonly until?: string;
  /** Makes it a long poll: how long the service may wait for a first message. */
  readonly waitSeconds?: number;
}

/**
 * Reads one page after the taker's cursor, and passes its messages on as a stream would. Without a cursor, it takes the end of the log as the cursor.
 * @returns Whether there is more
 */
export async function takePage({ requests, taker, topics, signal, until, waitSeconds }: PageRequest): Promise<boolean> {
  const query = topicQuery(topics);
  query.set('limit', String(PAGE_MESSAGES));
  if (taker.cursor === undefined) query.set('last', '0');
  else query.set('after', taker.cursor);
  if (until !== undefined) query.set('until', until);
  if (waitSeconds !== undefined && taker.cursor !== undefined) query.set('wait', String(waitSeconds));
  const answer = await requests.send(`/messages?${query.toString()}`, { signal });
  const page = await answer.json() as Page;
  if (signal.aborted) return false;
  taker.heard();
  if (page.gap !== undefined) taker.take('$gap', page.gap, page.gap.resumed);
  for (const message of page.messages) {
    const { id, topic } = message;
    if (message.erased === true) taker.take('$erased', { id, topic } satisfies Erased, id);
    else taker.take(message.event, message, id);
    // A listener may have aborted it.
    if (signal.aborted) return false;
  }
  taker.take('$cursor', {}, page.cursor);
  return page.more;
}
