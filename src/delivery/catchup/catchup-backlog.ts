import type { Tail } from '../../log/tail/tail.ts';
import type { Reader } from '../reader/reader.ts';

/**
 * A reader at most this far behind the end of the tail is served from the tail, others from the log. A walk looks at the tail message by message, while the log
 * has an index. So this bounds the length of a walk.
 */
const NEAR_TAIL_MESSAGES = 20_000;

/** The state of a group in catch-up. It exists while readers of the group wait for their next step, or the log is being read for them. */
export class Backlog {
  /** Readers that are behind, and had room in their sockets when they were added. They wait for their next step. */
  readonly readers = new Set<Reader>();
  /** Whether the log is being read for the group. */
  isReading = false;

  get isDone(): boolean {
    return this.readers.size === 0 && !this.isReading;
  }

  /** Adds a reader again after a step, unless that step made it live or filled its socket. */
  putBack(reader: Reader): void {
    if (isWritable(reader)) this.readers.add(reader);
  }
}

/**
 * Whether a reader is behind, and its socket has room. Check it again for readers of a backlog. Since they were added, a reader may have been dismissed, or a heartbeat
 * may have filled its socket.
 */
export function isWritable(reader: Reader): boolean {
  return reader.state === 'behind';
}

/** Whether the tail, and not the log, serves a reader whose cursor is at this number. */
export function isNear(tail: Pick<Tail, 'covers' | 'last'>, seq: number): boolean {
  return tail.covers(seq) && seq >= tail.last - NEAR_TAIL_MESSAGES;
}

/**
 * The cursor at which the next read begins: the smallest that is not below the end of the last read, or the smallest of all if there is none. So no reader starves, as
 * with an elevator.
 *
 * Example with cursors 10, 50 and 90: after a read that ended at 40, the next read begins at 50. After a read that ended at 95, it begins at 10.
 */
export function nextPlace(readers: readonly Reader[], lastEnd: number): number {
  let next = Infinity;
  let lowest = Infinity;
  for (const { cursorSeq } of readers) {
    lowest = Math.min(lowest, cursorSeq);
    if (cursorSeq >= lastEnd) next = Math.min(next, cursorSeq);
  }
  return next === Infinity ? lowest : next;
}

/**
 * Chooses where each walk through the tail begins. It goes up from the lowest cursor, round after round. A round ends at the number where the tail ended when the round
 * began. Otherwise streams that fall behind near the end again and again would keep the readers further back waiting.
 */
export class Elevator {
  /** The number at which the last walk ended. */
  #at = 0;
  #roundEnd = 0;

  /**
   * @param tailEnd The newest number of the tail
   * @returns The cursor after which the next walk begins
   */
  next(readers: readonly Reader[], tailEnd: number): number {
    const next = nextPlace(readers, this.#at);
    if (next < this.#roundEnd) return next;
    this.#roundEnd = tailEnd;
    return nextPlace(readers, 0);
  }

  moveTo(seq: number): void {
    this.#at = seq;
  }
}
