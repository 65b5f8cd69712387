import type { Gap, GapReason, Start } from '../../model/gap.ts';
import type { Message } from '../../model/message.ts';
import type { Position } from '../../model/position.ts';
import { Problem } from '../../model/problem.ts';
import type { Filter } from '../../model/topic.ts';
import type { Hold } from '../../runtime/sharing/budget.ts';
import type { Holder } from '../../runtime/sharing/fair-shares.ts';

/** The most bytes of data in one page. Stops a page of large messages from filling the memory. */
const PAGE_BYTES = 4 * 1024 * 1024;

/** The messages that a client wants after a position. */
export interface Search {
  readonly filter: Filter;
  /** Messages. */
  readonly limit: number;
  /** The page ends with the message that brings its data to this many bytes; `PAGE_BYTES` if absent. */
  readonly maxBytes?: number;
  /** Counts the memory of the messages as soon as they are read, because a page may wait between its reads. */
  readonly hold: Hold;
  /** Whether the client asked for all or the newest messages held, and not for those after a position. Then a gap that appears during the search is not reported. */
  readonly ofHeld: boolean;
  /** Until the search has reached this number, `PAGE_READS` (history-pages.ts) does not end it. 0: it always does. */
  readonly readTo: number;
  /** The last position to search; the end of the log if absent. */
  readonly until?: Position | undefined;
  /** The client that sent the request. Clients take turns. */
  readonly holder?: Holder | undefined;
}

/** One page: the messages found after a position. */
export interface Found {
  readonly messages: Message[];
  /** Where the next search begins. */
  readonly at: Position;
  /** Whether the log may hold more after that. */
  readonly more: boolean;
  readonly gap: Gap | undefined;
}

/** A page while it is read. Each read adds messages and moves `at` forward; a gap may move `at` back. */
export class Page {
  readonly #search: Search;
  readonly #maxBytes: number;
  /** The last number to take. */
  readonly last: number;
  readonly messages: Message[] = [];
  /** The data of `messages`. */
  #bytes = 0;
  /** Everything up to here was searched. */
  at: Position;
  /** The gap before the first message. */
  gap: Gap | undefined;

  constructor({ at, gap }: Start, search: Search) {
    this.#search = search;
    this.#maxBytes = search.maxBytes ?? PAGE_BYTES;
    this.last = search.until?.seq ?? Infinity;
    this.at = at;
    this.gap = gap;
  }

  /** How many more messages the page takes. */
  get room(): number {
    return this.#search.limit - this.messages.length;
  }

  /** How many more bytes of data the page takes. */
  get roomBytes(): number {
    return this.#maxBytes - this.#bytes;
  }

  /**
   * Adds messages that have not expired, and moves `at`: to the message that filled the page, else to `end`. Throws a `Problem` if there is no memory.
   * @param end The position up to which the read has searched.
   * @returns Whether the page is full.
   */
  take(candidates: readonly Message[], now: number, end: Position): boolean {
    for (const message of candidates) {
      if (message.seq > this.last) break;
      if (message.isExpired(now)) continue;
      if (!this.#search.hold.grow(message.size)) throw noRoom();
      this.messages.push(message);
      this.#bytes += message.data.length;
      if (this.room <= 0 || this.roomBytes <= 0) {
        this.at = message;
        return true;
      }
    }
    this.at = end;
    return false;
  }

  /** Moves an empty page to the position after a gap. @param ofHeld As in `Search`: the gap is not reported. */
  moveOver({ at, gap }: Start, ofHeld: boolean): void {
    this.at = at;
    if (gap !== undefined && !ofHeld) this.gap = this.gap === undefined ? gap : joined(this.gap, gap);
  }

  /** Drops the messages of an evicted page. */
  clear(): void {
    this.messages.length = 0;
  }

  /** The finished page. @param head The end of the log; `Infinity` if the log may hold more after `at`. */
  found(head: number): Found {
    const { at, last } = this;
    const { until } = this.#search;
    return { messages: this.messages, at: until !== undefined && at.seq > last ? until : at, more: at.seq < Math.min(head, last), gap: this.gap };
  }
}

export function noRoom(): Problem {
  return new Problem('overloaded', 'Too many answers are waiting until their clients read them.');
}

/** Reasons of a gap, from the shortest way back to the longest. Of two gaps that become one, the later reason in this list stays. */
const BY_REACH: readonly GapReason[] = ['ahead', 'forked', 'expired', 'unknown-log'];

/** Makes one gap of two in a row. Example: a fork back to number 80, and then `expired` to number 99, become one gap with the reason `expired`. */
function joined(first: Gap, second: Gap): Gap {
  const reason = BY_REACH.indexOf(second.reason) > BY_REACH.indexOf(first.reason) ? second.reason : first.reason;
  return { ...second, requested: first.requested, reason };
}
