import type { Tail } from '../../log/tail/tail.ts';
import type { Reader } from '../reader/reader.ts';

/**
 * How far behind a reader may be to be served from the tail. The tail is searched message by message, while the log has an index: this bounds
 * that search.
 */
const NEAR_TAIL_MESSAGES = 20_000;

/** The state of a group in catch-up while some of its readers are behind, or the log is being read for them. */
export class Backlog {
  /** Readers that are behind and can be written to. */
  readonly readers = new Set<Reader>();
  /** Whether the log is being read for the group. */
  isReading = false;

  get isDone(): boolean {
    return this.readers.size === 0 && !this.isReading;
  }

  /** A reader was served. It takes its next step if its socket has room. */
  goOn(reader: Reader): void {
    if (canGoOn(reader)) this.readers.add(reader);
  }
}

/** Since a reader was put into its backlog, it may have been dismissed, or a heartbeat may have filled its socket. */
export function canGoOn(reader: Reader): boolean {
  return reader.state === 'behind';
}

/** Whether the tail serves a reader whose cursor is here. */
export function isNear(tail: Pick<Tail, 'covers' | 'last'>, seq: number): boolean {
  return tail.covers(seq) && seq >= tail.last - NEAR_TAIL_MESSAGES;
}

/** The smallest cursor from the end of the last read on, or else the smallest of all. So no reader starves, as with an elevator. */
export function nextPlace(readers: readonly Reader[], last: number): number {
  let next = Infinity;
  let lowest = Infinity;
  for (const { cursorSeq } of readers) {
    lowest = Math.min(lowest, cursorSeq);
    if (cursorSeq >= last) next = Math.min(next, cursorSeq);
  }
  return next === Infinity ? lowest : next;
}

/**
 * Goes through cursors from the lowest up, and then from the lowest again. A round ends at the number where the tail ended when the round began. So streams that
 * fall behind near the end again and again do not keep the readers further back waiting.
 */
export class Elevator {
  /** The number at which the last step ended. */
  #at = 0;
  #roundEnd = 0;

  /** @param tailEnd The newest number of the tail. */
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
