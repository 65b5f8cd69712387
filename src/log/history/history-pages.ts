import type { LogState } from '../../model/epochs.ts';
import type { Start } from '../../model/gap.ts';
import type { Grant } from '../../model/grant.ts';
import type { Message } from '../../model/message.ts';
import type { Position } from '../../model/position.ts';
import { Problem } from '../../model/problem.ts';
import type { CallLimiter } from '../../runtime/sharing/call-limiter.ts';
import type { Holder } from '../../runtime/sharing/fair-shares.ts';
import { StoreError, type Store } from '../../store/store.ts';
import type { StoreClock } from '../tail/store-clock.ts';
import type { Tail } from '../tail/tail.ts';
import { noRoom, Page, type Found, type Search } from './page.ts';
import type { WalkTurns } from './walk-turns.ts';

/**
 * This room reads the log for clients. A client names an id, a time or a number of messages; `start-position.ts` turns this into a position, and `history-pages.ts`
 * returns the messages after it. Pages near the end of the log come from the tail, others from the database. Clients take turns in both.
 *
 * Read `start-position.ts` first, with `newest-matches.ts` for `?last=`, then `history-pages.ts` and `page.ts`. `topic-reads.ts` reads about topics; `walk-turns.ts` is the gate of the tail.
 */

/** The most reads for one page. Stops a page from searching the whole log for few matches: the next request goes on from its cursor. */
const PAGE_READS = 16;
/** Pages that begin within this many messages of the tail's end come from memory. Long polls read such pages. Further back, the index of the database is faster. */
const NEAR_END_MESSAGES = 1_000;

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
  /** Searches whose first read has not begun, by `keyOf`. `reads` bounds their number. */
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
   * Finds messages after a position in the database. The database has every acknowledged message; the tail may lack the newest.
   *
   * Clients with equal searches share a search whose first read has not begun. So thousands of polls that return at once cost a few reads. A shared read begins after every request that shares it.
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
      // The client that began the search pays for the read. Each client pays for the memory of its own answer.
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

  /** Fills one page with reads of the tail and of the database, until one of them ends it. */
  async #findOnce(start: Start, search: Search, mayUseTail: boolean, begin: () => void): Promise<Found> {
    const page = new Page(start, search);
    if (page.at.seq >= page.last) return { messages: [], at: page.at, more: false, gap: page.gap };
    // Between its reads, the page of a large holder can be evicted. The search then ends after the read that is under way.
    search.hold.loosen({ waitsForUs: true, takeBack: () => page.clear() });
    for (let reads = 0; reads < PAGE_READS || page.at.seq < search.readTo; reads++) {
      if (page.at.seq >= page.last) return page.found(page.last);
      const fromTail = mayUseTail && this.#isInTail(page.at) ? await this.#readTail(page, search) : 'not-in-tail';
      const outcome = fromTail === 'not-in-tail' ? await this.#readLog(page, search, begin) : fromTail;
      if (outcome !== 'unfinished') return outcome;
    }
    return page.found(Infinity);
  }

  async #readTail(page: Page, { filter, hold, holder }: Search): Promise<ReadOutcome | 'not-in-tail'> {
    const position = page.at;
    // Check again in the walk: while it waited for its turn, the position may have left the tail.
    const walked = await this.#walks.pass(() => this.#isInTail(position) ? this.#tail.after(position.seq, (topic) => filter.matches(topic), page.room) : undefined, holder);
    if (hold.isTakenBack) throw noRoom();
    if (walked === undefined) return 'not-in-tail';
    const isFull = page.take(walked.messages, this.#storeClock.now(), walked.end);
    return isFull || walked.end.seq === this.#tail.last ? page.found(this.#tail.last) : 'unfinished';
  }

  async #readLog(page: Page, { filter, hold, holder, ofHeld }: Search, begin: () => void): Promise<ReadOutcome> {
    const { seq } = page.at;
    // By `ask`, the tail adopts the answer's epochs before a gap is reported. Otherwise it could still deliver a message that the gap declared lost.
    const read = await this.#tail.ask(() => this.#reads.pass(() => {
      begin();
      return this.#store.read({ after: seq, filter, limit: page.room, maxBytes: page.roomBytes });
    }, holder));
    if (hold.isTakenBack) throw noRoom();
    // Invariant 9: the position may have become invalid before this read. The read's own snapshot shows it.
    const there = this.#tail.locate(page.at, read.log);
    if (there.gap !== undefined) {
      // A page reports only a gap before its first message. The next page reports a later gap.
      if (page.messages.length > 0) return page.found(Infinity);
      page.moveOver(there, ofHeld);
      // The new position is before the place where this read began: discard the read, and read again from there.
      if (page.at.seq < seq) return 'unfinished';
    }
    const isFull = page.take(read.messages, this.#storeClock.now(), scannedTo(page.at, read.scanned, read.log));
    return isFull || read.scanned >= read.log.head ? page.found(read.log.head) : 'unfinished';
  }

  /** Whether a page after this position may come from the tail. Not from a deleted position: memory may still hold messages that retention has deleted. */
  #isInTail(at: Position): boolean {
    return this.#tail.knows(at) && at.seq >= this.#tail.last - NEAR_END_MESSAGES && at.seq >= this.#tail.log!.oldest - 1;
  }
}

/** The finished page, or `unfinished`: the page needs another read. */
type ReadOutcome = Found | 'unfinished';

/** Equal for searches with the same answer. Add each new member of `Search` that changes the answer: otherwise a client gets the answer of another search. */
function keyOf({ at, gap }: Start, { filter, limit, ofHeld, readTo, until }: Search): string {
  return JSON.stringify([at.epoch, at.seq, gap, limit, ofHeld, readTo, until?.seq, filter.key]);
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
