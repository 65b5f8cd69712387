import { RECENT_MAX_MESSAGES, type TopicReads } from '../log/history/topic-reads.ts';
import { byBytes } from '../model/byte-order.ts';
import type { Holder } from '../runtime/sharing/fair-shares.ts';

/** The time over which rates are counted, or less if it has more than `RECENT_MAX_MESSAGES`. */
export const RATE_WINDOW_MS = 60_000;

/** The range of the log in which messages are counted, without its two ends. All pages of one list count in the same range. */
interface RecentStretch {
  readonly after: number;
  readonly before: number;
  readonly windowMs: number;
}

/** A place in the list: after this topic, with this number of messages. */
export interface RecentPlace extends RecentStretch {
  readonly count: number;
  readonly topic: string;
}

export interface RecentCounts extends RecentStretch {
  readonly counts: ReadonlyMap<string, number>;
}

/** Whether a place from a cursor is valid. */
export function isRecent({ after, before, windowMs, count }: RecentPlace): boolean {
  return before > after && before - after - 1 <= RECENT_MAX_MESSAGES && windowMs >= 1 && windowMs <= RATE_WINDOW_MS && count >= 1;
}

/** Counts the newest messages by topic. @param stretch The range of the first page; undefined for the first page. */
export async function countRecent(reads: Pick<TopicReads, 'state' | 'back'>, stretch: RecentStretch | undefined, holder: Holder): Promise<RecentCounts> {
  const counts = new Map<string, number>();
  const { head, now } = await reads.state(holder);
  const before = Math.min(stretch?.before ?? Infinity, head + 1);
  const since = stretch === undefined ? now - RATE_WINDOW_MS : -Infinity;
  let after = stretch?.after ?? before - 1;
  let oldest = now;
  for await (const { messages } of reads.back(before, stretch?.after ?? 0, holder)) {
    for (const { topic, seq, time } of messages) {
      if (time < since) return { counts, before, after: seq, windowMs: RATE_WINDOW_MS };
      counts.set(topic, (counts.get(topic) ?? 0) + 1);
      if (stretch === undefined) after = seq - 1;
      oldest = time;
    }
  }
  // The walk ended at the bound of messages, or at the beginning of the log.
  const isWhole = before - 1 - after < RECENT_MAX_MESSAGES;
  return { counts, before, after, windowMs: stretch?.windowMs ?? (isWhole ? RATE_WINDOW_MS : Math.min(RATE_WINDOW_MS, Math.max(1, Math.round(now - oldest)))) };
}

/** The topics with most messages, after a place. Sorts and cuts now and then, so that the list stays short. */
export function busiest(counts: readonly (readonly [topic: string, count: number])[], place: Pick<RecentPlace, 'count' | 'topic'> | undefined, limit: number): (readonly [topic: string, count: number])[] {
  let first: (readonly [topic: string, count: number])[] = [];
  const order = ([topic, count]: readonly [string, number], [otherTopic, otherCount]: readonly [string, number]): number => otherCount - count || byBytes(topic, otherTopic);
  for (const entry of counts) {
    if (place !== undefined && order(entry, [place.topic, place.count]) <= 0) continue;
    first.push(entry);
    if (first.length >= 2 * limit) first = first.sort(order).slice(0, limit);
  }
  return first.sort(order).slice(0, limit);
}
