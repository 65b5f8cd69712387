import type { LogState } from '../../model/epochs.ts';
import type { Gap, GapReason, Start } from '../../model/gap.ts';
import type { Grant } from '../../model/grant.ts';
import type { Message } from '../../model/message.ts';
import type { Position } from '../../model/position.ts';
import { Problem } from '../../model/problem.ts';
import type { Filter } from '../../model/topic.ts';
import type { Hold } from '../../runtime/sharing/budget.ts';
import type { CallLimiter } from '../../runtime/sharing/call-limiter.ts';
import type { Holder } from '../../runtime/sharing/fair-shares.ts';
import { StoreError, type Store } from '../../store/store.ts';
import type { StoreClock } from '../tail/store-clock.ts';
import type { Tail } from '../tail/tail.ts';
import type { WalkTurns } from './walk-turns.ts';

/**
 * This room reads the log for clients. A client names an id, a time or a number of messages; `start-position.ts` turns this into a position, and `history-pages.ts`
 * returns the messages after it. Pages near the end of the log come from the tail, others from the database. Clients take turns in both.
 *
 * Read `start-position.ts` first, with `newest-matches.ts` for `?last=`, then `history-pages.ts`. `topic-reads.ts` reads about topics; `walk-turns.ts` is the gate of the tail.
 */

/** The most data of one page. Stops a page of large messages from filling the memory. Bytes. */
const PAGE_BYTES = 4 * 1024 * 1024;
/** The most reads for one page. Stops a page from searching the whole log for few matches: the next request goes on from its cursor. */
const PAGE_READS = 16;
/** How near to the end of the tail a page must begin to come from memory, as those of long polls do. Further back, the index of the database is faster. */
const NEAR_END_MESSAGES = 1_000;

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
  /** `PAGE_READS` is no bound before this number is reached; 0 if it always is. */
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

export interface HistoryDependencies {
  readonly store: Store;
  readonly tail: Tail;
  readonly storeClock: StoreClock;
  readonly reads: CallLimiter;
  readonly walks: Pick<WalkTurns, 'pass'>;
}

/** Reads pages of messages, and single messages. */
export class History {
  readonly #store: Store;
  readonly #tail: Tail;
  readonly #storeClock: StoreClock;
  readonly #reads: CallLimiter;
  readonly #walks: HistoryDependencies['walks'];
  /** Searches that still wait for their first read, by `keyOf`. The number of reads that may wait bounds them. */
  readonly #notBegun = new Map<string, Promise<Found>>();

  constructor({ store, tail, storeClock, reads, walks }: HistoryDependencies) {
    this.#store = store;
    this.#tail = tail;
    this.#storeClock = storeClock;
    this.#reads = reads;
    this.#walks = walks;
  }

  /** The message with an id; undefined if the grant lacks its topic, or if it was deleted, has expired, or never existed. Rejects with a `Problem`. */
  async message(grant: Grant, position: Position, holder?: Holder): Promise<Message | undefined> {
    if (position.seq < 1) return undefined;
    try {
      // Read the data only after the check. Otherwise the duration of a refusal would reveal that a large message exists.
      return await this.#readOne(grant, position, { holder, withoutData: true }) === undefined ? undefined : await this.#readOne(grant, position, { holder, withoutData: false });
    } catch (error) {
      throw unavailable(error);
    }
  }

  /** As `message`, without its data. */
  async outline(grant: Pick<Grant, 'mayRead'>, position: Position, holder?: Holder): Promise<Message | undefined> {
    if (position.seq < 1) return undefined;
    try {
      return await this.#readOne(grant, position, { holder, withoutData: true });
    } catch (error) {
      throw unavailable(error);
    }
  }

  async #readOne(grant: Pick<Grant, 'mayRead'>, { seq, epoch }: Position, { holder, withoutData }: { readonly holder: Holder | undefined; readonly withoutData: boolean }): Promise<Message | undefined> {
    const page = await this.#tail.ask(() => this.#reads.pass(() => this.#store.read({ after: seq - 1, filter: undefined, limit: 1, maxBytes: 1, withoutData }), holder));
    const [message] = page.messages;
    if (message === undefined || message.seq !== seq || message.epoch !== epoch || !grant.mayRead(message.topic)) return undefined;
    return message.isExpired(page.log.now) ? undefined : message;
  }

  /**
   * Finds messages after a position in the database. It has every message that any instance acknowledged, but the tail may still lack some.
   *
   * Clients with equal searches share a search whose first read has not begun. So thousands of polls that return at once cost a few reads, and no answer is older than its request.
   *
   * Rejects with a `StoreError` if the log cannot be read, and with a `Problem` if too many reads wait or the memory for pages is used up.
   */
  async findInLog(start: Start, search: Search): Promise<Found> {
    const key = keyOf(start, search);
    for (let shared = this.#notBegun.get(key); shared !== undefined; shared = this.#notBegun.get(key)) {
      let found: Found;
      try {
        found = await shared;
      } catch (error) {
        // A `Problem`, such as no room, concerns the client that began the search. This client searches itself.
        if (!(error instanceof Problem)) throw error;
        continue;
      }
      // The read took a turn of the client that began the search, but each client's answer has bytes of its own.
      if (!search.hold.grow(found.messages.reduce((sum, { size }) => sum + size, 0))) throw noRoom();
      return found;
    }
    let hasBegun = false;
    const found = this.#find(start, search, false, () => {
      if (!hasBegun) this.#notBegun.delete(key);
      hasBegun = true;
    });
    if (!hasBegun) this.#notBegun.set(key, found);
    return found;
  }

  /** As `findInLog`, but from the tail if it has the messages after the position. So thousands of long polls that wake together cost no reads. */
  findInTail(start: Start, search: Search): Promise<Found> {
    return this.#find(start, search, true, () => undefined);
  }

  /**
   * Searches again if the tail forgot erasures that happened during the search.
   * @param begin Called when the first read begins, or the search ends without one. It may be called again.
   */
  async #find(start: Start, search: Search, mayUseTail: boolean, begin: () => void): Promise<Found> {
    const { hold } = search;
    try {
      for (;;) {
        const { erasures } = this.#tail;
        hold.release();
        const found = await this.#findOnce(start, search, mayUseTail, begin);
        if (hold.isTakenBack) throw noRoom();
        // From here on the page cannot be evicted: its answer leaves soon, and other clients may share it.
        hold.pin();
        if (this.#tail.clean(found.messages, { erasures })) return found;
      }
    } finally {
      // The search may have been refused before its first read.
      begin();
    }
  }

  async #findOnce({ at, gap }: Start, { filter, limit, maxBytes = PAGE_BYTES, hold, ofHeld, readTo, until, holder }: Search, mayUseTail: boolean, begin: () => void): Promise<Found> {
    const last = until?.seq ?? Infinity;
    if (at.seq >= last) return { messages: [], at, more: false, gap };
    const found = new PageMessages({ last, limit, maxBytes, hold });
    const { messages } = found;
    // Between its reads, the page of a large holder can be evicted. The search then ends after the read that is under way.
    hold.loosen({ waitsForUs: true, takeBack: () => void (messages.length = 0) });
    const page = (head: number): Found => ({ messages, at: until !== undefined && at.seq > last ? until : at, more: at.seq < Math.min(head, last), gap });
    for (let reads = 0; reads < PAGE_READS || at.seq < readTo; reads++) {
      if (at.seq >= last) return page(last);
      const position = at;
      // Check again in the walk: while it waited for its turn, the position may have left the tail.
      const walked = mayUseTail && this.#isInTail(position) ? await this.#walks.pass(() => this.#isInTail(position) ? this.#tail.after(position.seq, (topic) => filter.matches(topic), limit - messages.length) : undefined, holder) : undefined;
      if (hold.isTakenBack) throw noRoom();
      if (walked !== undefined) {
        const { messages: some, end } = walked;
        const final = found.take(some, this.#storeClock.now());
        at = final ?? end;
        if (final !== undefined || end.seq === this.#tail.last) return page(this.#tail.last);
        continue;
      }
      const { seq } = at;
      // `ask`: the tail learns the answer's epochs first. After a client got a gap for a lost message, the tail must not deliver that message.
      const read = await this.#tail.ask(() => this.#reads.pass(() => {
        begin();
        return this.#store.read({ after: seq, filter, limit: limit - messages.length, maxBytes: maxBytes - found.bytes });
      }, holder));
      if (hold.isTakenBack) throw noRoom();
      // Invariant 9: the position may have become invalid before this read. Its own snapshot tells.
      const there = this.#tail.locate(at, read.log);
      if (there.gap !== undefined) {
        // A page reports only a gap before its first message. The next page reports a later gap.
        if (messages.length > 0) return { messages, at, more: true, gap };
        ({ at } = there);
        if (!ofHeld) gap = gap === undefined ? there.gap : joined(gap, there.gap);
        // The search goes back: the page that was read lacks the messages between the new position and the old one.
        if (at.seq < seq) continue;
      }
      const final = found.take(read.messages, this.#storeClock.now());
      at = final ?? scannedTo(at, read.scanned, read.log);
      if (final !== undefined || read.scanned >= read.log.head) return page(read.log.head);
    }
    return page(Infinity);
  }

  /** Whether a page after this position may come from the tail. Deleted messages may still be in memory, but no page shows them. */
  #isInTail(at: Position): boolean {
    return this.#tail.knows(at) && at.seq >= this.#tail.last - NEAR_END_MESSAGES && at.seq >= this.#tail.log!.oldest - 1;
  }
}

interface PageBounds extends Pick<Search, 'limit' | 'hold'> {
  /** The last number to take. */
  readonly last: number;
  readonly maxBytes: number;
}

/** The messages of a page while it is read. */
class PageMessages {
  readonly #bounds: PageBounds;
  readonly messages: Message[] = [];
  /** Their bytes of data. */
  bytes = 0;

  constructor(bounds: PageBounds) {
    this.#bounds = bounds;
  }

  /** Adds messages that have not expired. Returns the message with which the page is full. Throws a `Problem` if there is no memory for it. */
  take(candidates: readonly Message[], now: number): Message | undefined {
    const { last, limit, maxBytes, hold } = this.#bounds;
    for (const message of candidates) {
      if (message.seq > last) break;
      if (message.isExpired(now)) continue;
      if (!hold.grow(message.size)) throw noRoom();
      this.messages.push(message);
      this.bytes += message.data.length;
      if (this.messages.length >= limit || this.bytes >= maxBytes) return message;
    }
    return undefined;
  }
}

export function noRoom(): Problem {
  return new Problem('overloaded', 'Too many answers are waiting until their clients read them.');
}

/** Equal for searches with the same answer. Add each new member of `Search` that changes the answer: otherwise a client gets the answer of another search. */
function keyOf({ at, gap }: Start, { filter, limit, ofHeld, readTo, until }: Search): string {
  return JSON.stringify([at.epoch, at.seq, gap, limit, ofHeld, readTo, until?.seq, filter.key]);
}

/** Reasons of a gap, from the shortest way back to the longest. Of two gaps that become one, the later reason in this list stays. */
const BY_REACH: readonly GapReason[] = ['ahead', 'forked', 'expired', 'unknown-log'];

/** Makes one gap of two in a row. Example: a fork back to number 80, and then `expired` to number 99, become one gap with the reason `expired`. */
function joined(first: Gap, second: Gap): Gap {
  const reason = BY_REACH.indexOf(second.reason) > BY_REACH.indexOf(first.reason) ? second.reason : first.reason;
  return { ...second, requested: first.requested, reason };
}

function scannedTo(at: Position, scanned: number, log: LogState): Position {
  return scanned > at.seq ? log.lineage.at(scanned) : at;
}

/** The problem for a client when the store fails. */
export function unavailable(error: unknown): unknown {
  return error instanceof StoreError
    ? new Problem('unavailable', 'The message log cannot be read just now.', { cause: error })
    : error;
}
