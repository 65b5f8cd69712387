import type { LogState } from '../model/epochs.ts';
import type { Gap, GapReason, Start } from '../model/gap.ts';
import type { Grant } from '../model/grant.ts';
import type { Message } from '../model/message.ts';
import type { Position } from '../model/position.ts';
import { Problem } from '../model/problem.ts';
import type { Filter } from '../model/topic.ts';
import { StoreError, type Store } from '../store/store.ts';
import type { Hold } from '../runtime/budget.ts';
import type { CallLimiter } from './call-limiter.ts';
import type { StoreClock } from './store-clock.ts';
import type { Tail } from './tail.ts';

/** Bounds one page, however large its messages are. Bytes of data. */
const PAGE_BYTES = 4 * 1024 * 1024;
/** Bounds the reads for one page; the next request reads on from the cursor. */
const PAGE_READS = 16;
/** How far from the end of the tail a page may begin to be read from memory: a long poll is near; further back the log's index is quicker. */
const NEAR_END_MESSAGES = 1_000;

export interface Search {
  readonly filter: Filter;
  /** Messages. */
  readonly limit: number;
  /** Counts the messages from when they are read: a page may wait between its reads. */
  readonly hold: Hold;
  /** Whether what is held is asked for, and not what comes after a place: then no gap is told. */
  readonly ofHeld: boolean;
  /** A page reads on to this number however many reads that takes; 0 where `PAGE_READS` is the bound. */
  readonly readTo: number;
}

/** What was found after a place. */
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
}

/** The log in pages, and single messages. */
export class History {
  readonly #store: Store;
  readonly #tail: Tail;
  readonly #storeClock: StoreClock;
  readonly #reads: CallLimiter;

  constructor({ store, tail, storeClock, reads }: HistoryDependencies) {
    this.#store = store;
    this.#tail = tail;
    this.#storeClock = storeClock;
    this.#reads = reads;
  }

  /** The message with an id; undefined when it may not be read, was deleted, has expired, or never was. Rejects with a `Problem`. */
  async message(grant: Grant, position: Position): Promise<Message | undefined> {
    if (position.seq < 1) return undefined;
    try {
      // Its data are read once it is known that they may be. Otherwise the time that a refusal takes would tell that there is a large message.
      return await this.#readOne(grant, position, true) === undefined ? undefined : await this.#readOne(grant, position, false);
    } catch (error) {
      throw unavailable(error);
    }
  }

  async #readOne(grant: Grant, { seq, epoch }: Position, withoutData: boolean): Promise<Message | undefined> {
    const page = await this.#tail.ask(() => this.#reads.pass(() => this.#store.read({ after: seq - 1, filter: undefined, limit: 1, maxBytes: 1, withoutData })));
    const [message] = page.messages;
    if (message === undefined || message.seq !== seq || message.epoch !== epoch || !grant.mayRead(message.topic)) return undefined;
    return message.isExpired(page.log.now) ? undefined : message;
  }

  /**
   * Messages after a place, in the log itself: it shows at once what another instance has acknowledged, though the tail may not have it
   * yet. Rejects with a `StoreError` when the log cannot be read, and with a `Problem` when too many reads wait already.
   */
  findInLog(start: Start, search: Search): Promise<Found> {
    return this.#find(start, search, false);
  }

  /** The same from the tail, where it holds what comes after the place: so many long polls that wake at once cost no read each. */
  findInTail(start: Start, search: Search): Promise<Found> {
    return this.#find(start, search, true);
  }

  /** A page of several reads may have been erased in part before it is whole. */
  async #find(start: Start, search: Search, mayUseTail: boolean): Promise<Found> {
    for (;;) {
      const { erasures } = this.#tail;
      search.hold.release();
      const found = await this.#findOnce(start, search, mayUseTail);
      if (this.#tail.clean(found.messages, { erasures })) return found;
    }
  }

  async #findOnce({ at, gap }: Start, { filter, limit, hold, ofHeld, readTo }: Search, mayUseTail: boolean): Promise<Found> {
    const messages: Message[] = [];
    let bytes = 0;
    const take = (candidates: readonly Message[]): Message | undefined => {
      const now = this.#storeClock.now();
      for (const message of candidates) {
        if (message.isExpired(now)) continue;
        if (!hold.grow(message.size)) throw new Problem('overloaded', 'Too many answers are waiting to be taken by their clients.');
        messages.push(message);
        bytes += message.data.length;
        if (messages.length >= limit || bytes >= PAGE_BYTES) return message;
      }
      return undefined;
    };
    for (let reads = 0; reads < PAGE_READS || at.seq < readTo; reads++) {
      if (mayUseTail && this.#isInTail(at)) {
        const { messages: some, end } = this.#tail.after(at.seq, (topic) => filter.matches(topic), limit - messages.length);
        const last = take(some);
        at = last ?? end;
        if (last !== undefined || end.seq === this.#tail.last) return { messages, at, more: at.seq < this.#tail.last, gap };
        continue;
      }
      const { seq } = at;
      // The tail hears of the answer first: a client that is told that a message was lost with a log must not be handed it by a tail that still has it.
      const page = await this.#tail.ask(() => this.#reads.pass(() => this.#store.read({ after: seq, filter, limit: limit - messages.length, maxBytes: PAGE_BYTES - bytes })));
      // Invariant 9: a place that is good when it is chosen may not be when it is read.
      const there = this.#tail.locate(at, page.log);
      if (there.gap !== undefined) {
        // A page reports only the gap before its messages. The next page reports any later gap.
        if (messages.length > 0) return { messages, at, more: true, gap };
        ({ at } = there);
        if (!ofHeld) gap = gap === undefined ? there.gap : joined(gap, there.gap);
        // The page was read after the number of the place that is none: it lacks what comes before that.
        if (at.seq < seq) continue;
      }
      const last = take(page.messages);
      at = last ?? scannedTo(at, page.scanned, page.log);
      if (last !== undefined || page.scanned >= page.log.head) return { messages, at, more: at.seq < page.log.head, gap };
    }
    return { messages, at, more: true, gap };
  }

  /** Whether the tail can show what comes after a place. What retention has deleted is not shown, though it may still be in memory. */
  #isInTail(at: Position): boolean {
    return this.#tail.knows(at) && at.seq >= this.#tail.last - NEAR_END_MESSAGES && at.seq >= this.#tail.log!.oldest - 1;
  }
}

/** Reasons of a gap. Of two, the later in this list is the one that a single look at the newer log would have given. */
const BY_REACH: readonly GapReason[] = ['ahead', 'forked', 'expired', 'unknown-log'];

/** Two gaps in a row are one. If either leads to the oldest message held, the client has to know that. */
function joined(first: Gap, second: Gap): Gap {
  const reason = BY_REACH.indexOf(second.reason) > BY_REACH.indexOf(first.reason) ? second.reason : first.reason;
  return { ...second, requested: first.requested, reason };
}

function scannedTo(at: Position, scanned: number, log: LogState): Position {
  return scanned > at.seq ? log.lineage.at(scanned) : at;
}

/** What a client is told of an error of the store. */
export function unavailable(error: unknown): unknown {
  return error instanceof StoreError
    ? new Problem('unavailable', 'The message log cannot be read just now.', { cause: error })
    : error;
}
