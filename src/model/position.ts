/**
 * Ids and positions. A position is a place in the log: everything up to and including number `seq` lies before it.
 * On the wire it is the id of the message there, `<epoch>-<seq>`, and opaque to clients.
 */

/** A place in the log; `seq` 0 is the place before the first message. */
export interface Position {
  readonly epoch: string;
  readonly seq: number;
}

const ID = /^([a-z0-9]{8,32})-(0|[1-9][0-9]{0,15})$/;

export function formatId(epoch: string, seq: number): string {
  return `${epoch}-${seq}`;
}

/** The position that an id names, or undefined when it is no id of ours. */
export function parseId(text: string): Position | undefined {
  const match = ID.exec(text);
  if (match === null) return undefined;
  const seq = Number(match[2]);
  return Number.isSafeInteger(seq) ? { epoch: match[1]!, seq } : undefined;
}

/** An epoch of the log and the first number that could be given in it. */
export interface Epoch {
  readonly epoch: string;
  readonly first: number;
}

/**
 * The epochs of a log in the order in which they began. A new one begins at head + 1 whenever the log might have
 * been exchanged for an older copy of itself; so a number that two copies both gave out carries two different epochs,
 * and an id from the copy that was lost is recognised.
 */
export class Lineage {
  readonly epochs: readonly Epoch[];
  readonly #index = new Map<string, number>();

  constructor(epochs: readonly Epoch[]) {
    this.epochs = epochs;
    epochs.forEach(({ epoch }, index) => this.#index.set(epoch, index));
  }

  /**
   * Invariant 8: an id is good only if its epoch is known and its number lies before the first of the epoch after it.
   * Answers with the last number this log shares with the one the id is from: `seq` itself when the id is good, a
   * smaller one when the logs forked, undefined when the id is from another log altogether.
   */
  shared({ epoch, seq }: Position): number | undefined {
    const index = this.#index.get(epoch);
    if (index === undefined) return undefined;
    const first = this.epochs[index]!.first;
    if (seq < first && !(index === 0 && seq === first - 1)) return undefined;
    const next = this.epochs[index + 1];
    return next === undefined || seq < next.first ? seq : next.first - 1;
  }

  knows(epoch: string): boolean {
    return this.#index.has(epoch);
  }

  isGood(position: Position): boolean {
    return this.shared(position) === position.seq;
  }

  /** The position at a number: its epoch is the latest that began at or before it. */
  at(seq: number): Position {
    let low = 0;
    let high = this.epochs.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.epochs[middle]!.first <= seq) low = middle;
      else high = middle - 1;
    }
    return { epoch: this.epochs[low]!.epoch, seq };
  }
}

/** What one snapshot of the store says about the log as a whole. */
export interface LogState {
  readonly lineage: Lineage;
  /** The smallest number still held; head + 1 when nothing is. */
  readonly oldest: number;
  /** The newest number given; 0 when there is none. */
  readonly head: number;
  /** The store's clock when the snapshot was taken, in milliseconds since 1970. */
  readonly now: number;
}

export type GapReason = 'expired' | 'unknown-log' | 'ahead' | 'forked';

/** What a reader may have missed: the `$gap` event's data. */
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

/** Where a reader that holds `cursor` goes on in this log; undefined stands for an id that is no id of ours. */
export function locate(cursor: Position | undefined, log: LogState): Start {
  const shared = cursor === undefined ? undefined : log.lineage.shared(cursor);
  if (cursor === undefined || shared === undefined) return startWithGap(cursor, log.oldest - 1, 'unknown-log', log);
  // Only the last epoch has no successor that bounds it: a number past the head there was never given by this log.
  const there = Math.min(shared, log.head);
  if (there < log.oldest - 1) return startWithGap(cursor, log.oldest - 1, 'expired', log);
  if (shared < cursor.seq) return startWithGap(cursor, there, 'forked', log);
  if (there < cursor.seq) return startWithGap(cursor, there, 'ahead', log);
  return { at: cursor, gap: undefined };
}

/** A start at number `seq` that says why it is not where the reader asked to be. */
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
