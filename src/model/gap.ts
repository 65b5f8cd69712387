import type { Ancestry } from './ancestry.ts';
import type { LogState } from './epochs.ts';
import { formatId, type Position } from './position.ts';

export type GapReason = 'expired' | 'unknown-log' | 'ahead' | 'forked';

/** A gap in a stream: the `$gap` event's data. */
export interface Gap {
  readonly requested: string | null;
  readonly resumed: string;
  readonly oldest: string;
  readonly reason: GapReason;
}

/** Where reading goes on, and what may be missing before it. */
export interface Start {
  readonly at: Position;
  readonly gap: Gap | undefined;
}

/** Where a reader that holds `cursor` goes on in this log. */
export function locate(cursor: Position, log: LogState, ancestry: Ancestry): Start {
  const shared = ancestry.shared(cursor, log.lineage);
  if (shared === undefined) return startWithGap(cursor, log.oldest - 1, 'unknown-log', log);
  // `shared` may lie after the head in the last epoch, which no later epoch bounds. This log never gave such a number.
  const there = Math.min(shared, log.head);
  if (there < log.oldest - 1) return startWithGap(cursor, log.oldest - 1, 'expired', log);
  if (shared < cursor.seq) return startWithGap(cursor, there, 'forked', log);
  if (there < cursor.seq) return startWithGap(cursor, there, 'ahead', log);
  return { at: cursor, gap: undefined };
}

/** A start at number `seq`, with a gap. `requested` is the reader's cursor; undefined if it named no position of any log. */
export function startWithGap(requested: Position | undefined, seq: number, reason: GapReason, log: LogState): Start {
  const at = log.lineage.at(seq);
  const oldest = log.lineage.at(log.oldest);
  return {
    at,
    gap: {
      requested: requested === undefined ? null : formatId(requested.epoch, requested.seq),
      resumed: formatId(at.epoch, at.seq),
      oldest: formatId(oldest.epoch, oldest.seq),
      reason,
    },
  };
}
