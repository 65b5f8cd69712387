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
 * This room reads the log for clients. A position, a time or a number of messages comes in: `start-position.ts` and `since-time.ts` find the place.
 * Pages of messages go out, from the tail where it has them. Clients take turns for the database.
 */

/** Bounds one page, however large its messages are. Bytes of data. */
const PAGE_BYTES = 4 * 1024 * 1024;
/** Bounds the reads for one page; the next request reads on from the cursor. */
const PAGE_READS = 16;
/** A page is read from memory if it begins this near to the end of the tail, as long polls do. Further back the log's index is faster. */
const NEAR_END_MESSAGES = 1_000;

export interface Search {
  readonly filter: Filter;
  /** Messages. */
  readonly limit: number;
  /** The page ends with the message that brings its data to this many bytes. Absent where `PAGE_BYTES` is the bound. */
  readonly maxBytes?: number;
  /** Counts the messages from when they are read: a page may wait between its reads. */
  readonly hold: Hold;
  /** Whether the client asked for the newest messages, and not for those after a position. Then no gap is reported. */
  readonly ofHeld: boolean;
  /** A page reads on to this number however many reads that takes; 0 where `PAGE_READS` is the bound. */
  readonly readTo: number;
  /** The last position that is looked at; absent where that is the end of the log. */
  readonly until?: Position | undefined;
  /** The client that asks. Reads of different clients take turns. */
  readonly holder?: Holder | undefined;
}

/** The messages found after a position. */
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

/** The log in pages, and single messages. */
export class History {
  readonly #store: Store;
  readonly #tail: Tail;
  readonly #storeClock: StoreClock;
  readonly #reads: CallLimiter;
  readonly #walks: HistoryDependencies['walks'];
  /** Searches that have not begun to read, by their queries. Bounded by the reads that may wait. */
  readonly #notBegun = new Map<string, Promise<Found>>();

  constructor({ store, tail, storeClock, reads, walks }: HistoryDependencies) {
    this.#store = store;
    this.#tail = tail;
    this.#storeClock = storeClock;
    this.#reads = reads;
    this.#walks = walks;
  }

  /** The message with an id; undefined when it may not be read, was deleted, has expired, or never was. Rejects with a `Problem`. */
  async message(grant: Grant, position: Position, holder?: Holder): Promise<Message | undefined> {
    if (position.seq < 1) return undefined;
    try {
      // The data is read only after the check. Otherwise the time of a refusal would tell that a large message exists.
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
   * Messages after a position, in the log itself: it shows at once what another instance has acknowledged, though the tail may not have it
   * yet. Rejects with a `StoreError` when the log cannot be read, and with a `Problem` when too many reads wait already.
   * Clients that ask for the same share a read that has not begun. So thousands of polls that come back at once cost a few reads, and no answer is older than its question.
   */
  async findInLog(start: Start, search: Search): Promise<Found> {
    const key = keyOf(start, search);
    for (let shared = this.#notBegun.get(key); shared !== undefined; shared = this.#notBegun.get(key)) {
      let found: Found;
      try {
        found = await shared;
      } catch (error) {
        // A `Problem` here is that of the first to ask, such as no room.
        if (!(error instanceof Problem)) throw error;
        continue;
      }
      // The read counts for the first to ask, but each answer has bytes of its own.
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

  /** As `findInLog`, from the tail if it has the messages after the position. So thousands of long polls that wake together cost no reads. */
  findInTail(start: Start, search: Search): Promise<Found> {
    return this.#find(start, search, true, () => undefined);
  }

  /** Searches again if messages of the page were erased while it was read. */
  async #find(start: Start, search: Search, mayUseTail: boolean, begin: () => void): Promise<Found> {
    const { hold } = search;
    try {
      for (;;) {
        const { erasures } = this.#tail;
        hold.release();
        const found = await this.#findOnce(start, search, mayUseTail, begin);
        if (hold.isTakenBack) throw noRoom();
        // The answer leaves soon, and others may share it.
        hold.pin();
        if (this.#tail.clean(found.messages, { erasures })) return found;
      }
    } finally {
      // The search may have been refused before its first read.
      begin();
    }
  }

  /** @param begin Called when the first read begins. */
  async #findOnce({ at, gap }: Start, { filter, limit, maxBytes = PAGE_BYTES, hold, ofHeld, readTo, until, holder }: Search, mayUseTail: boolean, begin: () => void): Promise<Found> {
    const last = until?.seq ?? Infinity;
    if (at.seq >= last) return { messages: [], at, more: false, gap };
    const messages: Message[] = [];
    // Between its reads a page of a large holder makes room for others, and is refused after the read that is under way.
    hold.loosen({ waitsForUs: true, takeBack: () => void (messages.length = 0) });
    let bytes = 0;
    const take = (candidates: readonly Message[]): Message | undefined => {
      const now = this.#storeClock.now();
      for (const message of candidates) {
        if (message.seq > last) break;
        if (message.isExpired(now)) continue;
        if (!hold.grow(message.size)) throw noRoom();
        messages.push(message);
        bytes += message.data.length;
        if (messages.length >= limit || bytes >= maxBytes) return message;
      }
      return undefined;
    };
    const page = (head: number): Found => ({ messages, at: until !== undefined && at.seq > last ? until : at, more: at.seq < Math.min(head, last), gap });
    for (let reads = 0; reads < PAGE_READS || at.seq < readTo; reads++) {
      if (at.seq >= last) return page(last);
      const position = at;
      // While the walk waited for its turn, the tail may have lost the position.
      const walked = mayUseTail && this.#isInTail(position) ? await this.#walks.pass(() => this.#isInTail(position) ? this.#tail.after(position.seq, (topic) => filter.matches(topic), limit - messages.length) : undefined, holder) : undefined;
      if (hold.isTakenBack) throw noRoom();
      if (walked !== undefined) {
        const { messages: some, end } = walked;
        const final = take(some);
        at = final ?? end;
        if (final !== undefined || end.seq === this.#tail.last) return page(this.#tail.last);
        continue;
      }
      const { seq } = at;
      // The tail gets the answer first. Once a client has got a gap for a lost message, the tail must not deliver that message.
      const read = await this.#tail.ask(() => this.#reads.pass(() => {
        begin();
        return this.#store.read({ after: seq, filter, limit: limit - messages.length, maxBytes: maxBytes - bytes });
      }, holder));
      if (hold.isTakenBack) throw noRoom();
      // Invariant 9: a position may become invalid between the choice and the read.
      const there = this.#tail.locate(at, read.log);
      if (there.gap !== undefined) {
        // A page reports only the gap before its messages. The next page reports any later gap.
        if (messages.length > 0) return { messages, at, more: true, gap };
        ({ at } = there);
        if (!ofHeld) gap = gap === undefined ? there.gap : joined(gap, there.gap);
        // The search went back, so this page lacks messages between the new position and the old one.
        if (at.seq < seq) continue;
      }
      const final = take(read.messages);
      at = final ?? scannedTo(at, read.scanned, read.log);
      if (final !== undefined || read.scanned >= read.log.head) return page(read.log.head);
    }
    return page(Infinity);
  }

  /** Whether the tail can show the messages after a position. It does not show deleted messages, though they may still be in memory. */
  #isInTail(at: Position): boolean {
    return this.#tail.knows(at) && at.seq >= this.#tail.last - NEAR_END_MESSAGES && at.seq >= this.#tail.log!.oldest - 1;
  }
}

export function noRoom(): Problem {
  return new Problem('overloaded', 'Too many answers are waiting until their clients read them.');
}

/** Equal for searches with the same answer. A new member of `Search` that changes the answer belongs in it: otherwise a client gets the answer to another question. */
function keyOf({ at, gap }: Start, { filter, limit, ofHeld, readTo, until }: Search): string {
  return JSON.stringify([at.epoch, at.seq, gap, limit, ofHeld, readTo, until?.seq, filter.key]);
}

/** Reasons of a gap. If two gaps become one, the reason later in this list stays: one look at the newer log would have found it. */
const BY_REACH: readonly GapReason[] = ['ahead', 'forked', 'expired', 'unknown-log'];

/** Two gaps in a row are one. If either leads to the oldest message held, the client has to know that. */
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
