import { unavailable, type History } from '../log/history/history-pages.ts';
import type { Found, Search } from '../log/history/page.ts';
import type { StartOptions, StartRequest, Starts } from '../log/history/start-position.ts';
import type { Tail } from '../log/tail/tail.ts';
import type { Gap } from '../model/gap.ts';
import { readProblem, type Grant } from '../model/grant.ts';
import type { Message } from '../model/message.ts';
import { formatId, type Position } from '../model/position.ts';
import { Problem } from '../model/problem.ts';
import type { Filter } from '../model/topic.ts';
import type { Hold } from '../runtime/sharing/budget.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Counters } from '../runtime/counters.ts';
import { FairShares, type Holder, type NamedHolder, namesOf, UNNAMED } from '../runtime/sharing/fair-shares.ts';
import type { Audience } from './audience.ts';
import type { Waiter } from './reader/reader-group.ts';

/** The longest wait that a client may ask for: below the 60 s after which common proxies cut. */
export const LONG_POLL_MAX_SECONDS = 50;

export interface HistoryRequest {
  readonly grant: Grant;
  readonly filter: Filter;
  readonly start: StartRequest;
  /** The last position that is looked at; absent where that is the end of the log. Then nothing is waited for. */
  readonly until?: Position | undefined;
  /** Messages. */
  readonly limit: number;
  /** How long to wait for a first message; 0 is not at all. Milliseconds. */
  readonly wait: number;
  /** Ends the wait: the client has left, or wants what there is. */
  readonly signal: AbortSignal;
  /** Counts the messages of the page, until they are answered. */
  readonly hold: Hold;
  /** Whether the client is gone. */
  readonly hasLeft: () => boolean;
  /** The sender: when too many wait, the largest holders' long polls make room for others. */
  readonly holder?: Holder;
}

export interface HistoryPage {
  readonly messages: readonly Message[];
  /** The `after` of the next request. */
  readonly cursor: string;
  /** Whether the log may hold more after the cursor. */
  readonly more: boolean;
  readonly gap: Gap | undefined;
  /** Makes tombstones of messages that were erased since. False where that is not known any more: the page must be read again. */
  readonly clean: () => boolean;
}

interface WaitOptions {
  readonly milliseconds: number;
  readonly signal: AbortSignal;
  readonly holder: Holder;
}

/** How a wait ended. */
interface Waited {
  /** Where reading goes on. */
  readonly at: Position;
  /** Another client needed the room: the poll is answered with what there is. */
  readonly isTakenBack: boolean;
}

export interface LongPollsDependencies {
  readonly history: History;
  readonly tail: Tail;
  readonly audience: Audience;
  readonly starts: Starts;
  readonly clock: Clock;
  /** How many may wait at the same time. */
  readonly maxWaiting: number;
  readonly counters: Pick<Counters, 'evicted'>;
}

/** Pages of the log, and with `wait` a page as soon as there is a message for it: another way of reading on from a cursor. */
export class LongPolls {
  readonly #history: History;
  readonly #tail: Tail;
  readonly #audience: Audience;
  readonly #starts: Starts;
  readonly #clock: Clock;
  readonly #maxWaiting: number;
  readonly #waiting = new Set<() => void>();
  readonly #shares: FairShares;
  #isDraining = false;

  constructor({ history, tail, audience, starts, clock, maxWaiting, counters }: LongPollsDependencies) {
    this.#history = history;
    this.#tail = tail;
    this.#audience = audience;
    this.#starts = starts;
    this.#clock = clock;
    this.#maxWaiting = maxWaiting;
    this.#shares = new FairShares({ gate: 'long-polls', counters });
  }

  /** How many are waiting. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Answers every long poll with what there is, and lets none wait any more. */
  drain(): void {
    this.#isDraining = true;
    for (const wake of this.#waiting) wake();
  }

  /**
   * Rejects with a `Problem`: `forbidden`, `invalid-cursor` where nobody knows `until`, `unavailable` when the log cannot be read. `overloaded`: too many requests wait already, or there
   * is no room for the page.
   */
  async page({ grant, filter, start, until, limit, wait, signal, hold, hasLeft, holder = UNNAMED }: HistoryRequest): Promise<HistoryPage> {
    const forbidden = readProblem(grant, filter);
    if (forbidden !== undefined) throw forbidden;
    try {
      const { at, gap } = await this.#starts.resolve(start, { filter, hasLeft, holder: () => holder });
      const isLast = start.kind === 'last';
      // A page of the newest messages has them all: it reads again what the search has walked over.
      const search: Search = { filter, limit, hold, ofHeld: isLast || start.kind === 'start', readTo: isLast ? this.#tail.head.seq : 0, until: until && await this.#end(until, { filter, hasLeft }), holder };
      const waitsTo = until === undefined ? this.#clock.monotonic() + wait : 0;
      let { erasures } = this.#tail;
      let found: Found = await this.#history.findInLog({ at, gap }, search);
      while (found.messages.length === 0 && found.gap === undefined && !signal.aborted && !this.#isDraining) {
        const left = waitsTo - this.#clock.monotonic();
        if (left <= 0) break;
        let { at } = found;
        if (!found.more) {
          const waited = await this.#wait(at, filter, { milliseconds: left, signal, holder });
          at = waited.at;
          if (waited.isTakenBack) {
            found = { ...found, at };
            break;
          }
        }
        ({ erasures } = this.#tail);
        found = await this.#history.findInTail({ at, gap: undefined }, search);
      }
      const { messages } = found;
      return { messages, cursor: formatId(found.at.epoch, found.at.seq), more: found.more, gap: found.gap, clean: () => this.#tail.clean(messages, { erasures }) };
    } catch (error) {
      throw unavailable(error);
    }
  }

  /** The position at which reading is to end, in the log as it is now. */
  async #end(until: Position, options: StartOptions): Promise<Position> {
    const { at, gap } = await this.#starts.resolve({ kind: 'after', position: until }, options);
    if (gap?.reason === 'unknown-log') throw new Problem('invalid-cursor', 'until is an id that this log does not know.', { field: 'until' });
    return at;
  }

  /** Waits until a message that the filter matches may be after `at`, the time is up, nobody waits any more, or another client needs the room. */
  async #wait(at: Position, filter: Filter, { milliseconds, signal, holder }: WaitOptions): Promise<Waited> {
    // First: nobody makes room for a poll that is refused for its topics.
    const names = (): NamedHolder => namesOf(holder);
    if (!this.#audience.hasRoomFor(filter, names)) throw noRoomForTopics();
    while (this.#shares.total >= this.#maxWaiting) if (!this.#shares.makeRoom(holder, 1)) throw new Problem('overloaded', 'Too many long polls are waiting on this instance.');
    if (!this.#audience.makeRoom(filter, names)) throw noRoomForTopics();
    const group = this.#audience.join(filter);
    const { promise, resolve } = Promise.withResolvers<Waited>();
    const wake: Waiter = (quietTo) => resolve({ at: this.#later(at, quietTo), isTakenBack: false });
    /** All messages so far were shown to the group. */
    const quietTo = (): number => group.firstUntold === undefined ? this.#tail.last : group.firstUntold - 1;
    const end = (): void => wake(quietTo());
    const takeBack = (): void => resolve({ at: this.#later(at, quietTo()), isTakenBack: true });
    const leave = (): void => {
      group.waiters.delete(wake);
      this.#audience.leave(group, wake);
    };
    const charge = this.#shares.charge(holder, 1, { takeBack });
    const timer = this.#clock.after(milliseconds, end);
    group.waiters.add(wake);
    if (group.filterBytes > 0) {
      this.#audience.enter(group, wake, { holder: names(), giveWay: () => {
        takeBack();
        leave();
      } });
    }
    this.#waiting.add(end);
    signal.addEventListener('abort', end);
    // While the log was read, nobody listened, and the tail may have gone past the position that was read.
    if (this.#tail.last > at.seq) wake(undefined);
    try {
      return await promise;
    } finally {
      charge.release();
      timer.cancel();
      this.#waiting.delete(end);
      signal.removeEventListener('abort', end);
      leave();
    }
  }

  /** Where reading goes on when no number up to one matches. Stops polls that wake together, on a quiet topic of a busy log, from reading all that others published. */
  #later(at: Position, quietTo: number | undefined): Position {
    const { log } = this.#tail;
    if (quietTo === undefined || quietTo <= at.seq || log?.lineage.isGood(at) !== true) return at;
    return log.lineage.at(quietTo);
  }
}

function noRoomForTopics(): Problem {
  return new Problem('overloaded', 'The topics of all streams and long polls take more memory than this instance has for them.');
}
