import type { Audience } from '../delivery/audience.ts';
import type { LogState } from '../model/epochs.ts';
import { locate, type Gap, type Start } from '../model/gap.ts';
import type { Message } from '../model/message.ts';
import { formatId, type Position } from '../model/position.ts';
import { Problem } from '../model/problem.ts';
import type { Filter } from '../model/topic.ts';
import type { Clock } from '../runtime/clock.ts';
import { StoreError, type Store } from '../store/store.ts';
import { Gate } from './read-limiter.ts';
import type { Starts, StartRequest } from './start.ts';
import type { StoreClock } from './store-clock.ts';
import type { Tail } from './tail.ts';

/** Bounds one answer, whatever its messages weigh. Bytes of data. */
const PAGE_BYTES = 4 * 1024 * 1024;
/** Bounds the reads for one answer; what they did not reach is left to the next request, which the cursor leads on. */
const PAGE_READS = 16;

/** Reads of the log under way for pages, so that a burst of requests leaves it to streams and publishers; and how many may wait for one. */
const READS = 4;
const READS_WAITING = 1_000;

export interface HistoryRequest {
  readonly filter: Filter;
  readonly start: StartRequest;
  readonly limit: number;
  /** How long to wait for a first message, in milliseconds; 0 is not at all. */
  readonly wait: number;
  /** Ends the wait: the client has left. */
  readonly signal: AbortSignal;
}

export interface HistoryPage {
  readonly messages: readonly Message[];
  /** What the next request passes as `after`. */
  readonly cursor: string;
  /** Whether the log may hold more behind the cursor. */
  readonly more: boolean;
  readonly gap: Gap | undefined;
}

/** How far behind the end of the tail a page may begin to be read from memory: whoever waits is near; further back the log's index is quicker. Messages. */
const NEAR_MESSAGES = 1_000;

interface Found {
  readonly messages: Message[];
  readonly at: Position;
  readonly more: boolean;
  readonly gap: Gap | undefined;
}

/** The log in pages, and with `wait` as a long poll: another way of reading on from a cursor. */
export class History {
  readonly #store: Store;
  readonly #tail: Tail;
  readonly #audience: Audience;
  readonly #starts: Starts;
  readonly #clock: Clock;
  readonly #storeClock: StoreClock;
  readonly #maxWaiting: number;
  readonly #reads = new Gate({ places: READS, maxWaiting: READS_WAITING });
  #waiting = new Set<() => void>();
  #draining = false;

  constructor(options: {
    store: Store; tail: Tail; audience: Audience; starts: Starts; clock: Clock; storeClock: StoreClock; maxWaiting: number;
  }) {
    this.#store = options.store;
    this.#tail = options.tail;
    this.#audience = options.audience;
    this.#starts = options.starts;
    this.#clock = options.clock;
    this.#storeClock = options.storeClock;
    this.#maxWaiting = options.maxWaiting;
  }

  /** Long polls under way. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Answers every long poll with what there is, and lets none wait any more. */
  drain(): void {
    this.#draining = true;
    for (const wake of this.#waiting) wake();
  }

  /** Rejects with a `Problem`: `unavailable` when the log cannot be read, `overloaded` when too many wait already. */
  async page(request: HistoryRequest): Promise<HistoryPage> {
    try {
      const { at, gap } = await this.#starts.resolve(request.start);
      const until = this.#clock.monotonic() + request.wait;
      // The first look is at the log itself: what another instance has acknowledged is seen here at once, though the tail may not have it yet.
      let found = await this.#find({ at, gap }, request, false);
      while (found.messages.length === 0 && found.gap === undefined && !request.signal.aborted && !this.#draining) {
        const left = until - this.#clock.monotonic();
        if (left <= 0) break;
        if (!found.more) await this.#wait(found.at, request, left);
        found = await this.#find({ at: found.at, gap: undefined }, request, true);
      }
      return { messages: found.messages, cursor: formatId(found.at.epoch, found.at.seq), more: found.more, gap: found.gap };
    } catch (error) {
      throw asProblem(error);
    }
  }

  /** The message with an id; undefined when it was deleted, has expired, or never was. */
  async message(position: Position): Promise<Message | undefined> {
    if (position.seq < 1) return undefined;
    try {
      const page = await this.#reads.pass(() => this.#store.read({ after: position.seq - 1, filter: undefined, limit: 1, maxBytes: 1 }));
      const [message] = page.messages;
      if (message === undefined || message.seq !== position.seq || message.epoch !== position.epoch) return undefined;
      return message.isExpired(page.log.now) ? undefined : message;
    } catch (error) {
      throw asProblem(error);
    }
  }

  /** What lies behind a position: for those whom the tail has woken from the tail, so that many cost no read each; else from the log. */
  async #find({ at, gap }: Start, { filter, limit, start }: HistoryRequest, wasWoken: boolean): Promise<Found> {
    const messages: Message[] = [];
    let bytes = 0;
    const take = (candidates: readonly Message[]): Message | undefined => {
      const now = this.#storeClock.now();
      for (const message of candidates) {
        if (message.isExpired(now)) continue;
        messages.push(message);
        bytes += message.data.length;
        if (messages.length >= limit || bytes >= PAGE_BYTES) return message;
      }
      return undefined;
    };
    for (let reads = 0; reads < PAGE_READS; reads++) {
      if (wasWoken && this.#holds(at)) {
        const { messages: some, end } = this.#tail.behind(at.seq, (topic) => filter.matches(topic), limit - messages.length);
        const last = take(some);
        at = last ?? end;
        if (last !== undefined || end.seq === this.#tail.last) return { messages, at, more: at.seq < this.#tail.last, gap };
        continue;
      }
      const { seq } = at;
      // The tail hears of it first: who is told that a message was lost with a log must not be handed it by a tail that still has it.
      const page = await this.#tail.ask(() => this.#reads.pass(() => this.#store.read({ after: seq, filter, limit: limit - messages.length, maxBytes: PAGE_BYTES - bytes })));
      // Invariant 9: a place that is good when it is chosen may not be when it is read.
      const there = locate(at, page.log);
      if (there.gap !== undefined) {
        // A page says of a gap before its messages only. One behind them is told to who asks on from there.
        if (messages.length > 0) return { messages, at, more: true, gap };
        ({ at } = there);
        // Whoever asked for the oldest message held gets it, whichever that is by now. Two gaps in a row are one.
        if (start.kind !== 'start') gap = gap === undefined ? there.gap : { ...there.gap, requested: gap.requested, reason: gap.reason };
        if (there.gap.reason !== 'expired') continue;
      }
      const last = take(page.messages);
      at = last ?? after(at, page.scanned, page.log);
      if (last !== undefined || page.scanned >= page.log.head) return { messages, at, more: at.seq < page.log.head, gap };
    }
    return { messages, at, more: true, gap };
  }

  /** Whether to read from the tail. What retention has deleted is not shown, though it may still be in memory. */
  #holds(at: Position): boolean {
    return this.#tail.knows(at) && at.seq >= this.#tail.last - NEAR_MESSAGES && at.seq >= this.#tail.log!.oldest - 1;
  }

  /** Waits until a message that is wanted may lie behind `at`, the time is up, or nobody waits any more. */
  async #wait(at: Position, { filter, signal }: HistoryRequest, milliseconds: number): Promise<void> {
    if (this.#waiting.size >= this.#maxWaiting) throw new Problem('overloaded', 'Too many long polls are waiting on this instance.');
    const group = this.#audience.join(filter);
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = (): void => resolve();
    const timer = this.#clock.after(milliseconds, wake);
    group.waiters.add(wake);
    this.#waiting.add(wake);
    signal.addEventListener('abort', wake);
    // The tail may have gone past the place that was read while nobody listened.
    if (this.#tail.last > at.seq) wake();
    try {
      await promise;
    } finally {
      timer.cancel();
      group.waiters.delete(wake);
      this.#waiting.delete(wake);
      signal.removeEventListener('abort', wake);
      this.#audience.leave(group);
    }
  }
}

function after(at: Position, scanned: number, log: LogState): Position {
  return scanned > at.seq ? log.lineage.at(scanned) : at;
}

function asProblem(error: unknown): unknown {
  return error instanceof StoreError
    ? new Problem('unavailable', 'The message log cannot be read just now.', { cause: error })
    : error;
}
