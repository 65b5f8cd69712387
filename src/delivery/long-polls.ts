import { unavailable, type Found, type History, type Search } from '../log/history-pages.ts';
import type { StartRequest, Starts } from '../log/start-position.ts';
import type { Tail } from '../log/tail.ts';
import type { Gap } from '../model/gap.ts';
import { readProblem, type Grant } from '../model/grant.ts';
import type { Message } from '../model/message.ts';
import { formatId, type Position } from '../model/position.ts';
import { Problem } from '../model/problem.ts';
import type { Filter } from '../model/topic.ts';
import type { Hold } from '../runtime/budget.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Audience } from './audience.ts';

/** The longest wait that a client may ask for: below the 60 s after which common proxies cut. */
export const LONG_POLL_MAX_SECONDS = 50;

export interface HistoryRequest {
  readonly grant: Grant;
  readonly filter: Filter;
  readonly start: StartRequest;
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
}

export interface HistoryPage {
  readonly messages: readonly Message[];
  /** What the next request passes as `after`. */
  readonly cursor: string;
  /** Whether the log may hold more after the cursor. */
  readonly more: boolean;
  readonly gap: Gap | undefined;
}

export interface LongPollsDependencies {
  readonly history: History;
  readonly tail: Tail;
  readonly audience: Audience;
  readonly starts: Starts;
  readonly clock: Clock;
  /** How many may wait at the same time. */
  readonly maxWaiting: number;
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
  #isDraining = false;

  constructor({ history, tail, audience, starts, clock, maxWaiting }: LongPollsDependencies) {
    this.#history = history;
    this.#tail = tail;
    this.#audience = audience;
    this.#starts = starts;
    this.#clock = clock;
    this.#maxWaiting = maxWaiting;
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

  /** Rejects with a `Problem`: `forbidden`, `unavailable` when the log cannot be read, `overloaded` when too many requests wait already, or there is no room for the page. */
  async page({ grant, filter, start, limit, wait, signal, hold, hasLeft }: HistoryRequest): Promise<HistoryPage> {
    const forbidden = readProblem(grant, filter);
    if (forbidden !== undefined) throw forbidden;
    try {
      const { at, gap } = await this.#starts.resolve(start, { filter, hasLeft });
      const isLast = start.kind === 'last';
      // A page of the newest messages has them all: it reads again what the search has walked over.
      const search: Search = { filter, limit, hold, ofHeld: isLast || start.kind === 'start', readTo: isLast ? this.#tail.head.seq : 0 };
      const until = this.#clock.monotonic() + wait;
      let found: Found = await this.#history.findInLog({ at, gap }, search);
      while (found.messages.length === 0 && found.gap === undefined && !signal.aborted && !this.#isDraining) {
        const left = until - this.#clock.monotonic();
        if (left <= 0) break;
        if (!found.more) await this.#wait(found.at, filter, left, signal);
        found = await this.#history.findInTail({ at: found.at, gap: undefined }, search);
      }
      return { messages: found.messages, cursor: formatId(found.at.epoch, found.at.seq), more: found.more, gap: found.gap };
    } catch (error) {
      throw unavailable(error);
    }
  }

  /** Waits until a message that the filter matches may be after `at`, the time is up, or nobody waits any more. */
  async #wait(at: Position, filter: Filter, milliseconds: number, signal: AbortSignal): Promise<void> {
    if (this.#waiting.size >= this.#maxWaiting) throw new Problem('overloaded', 'Too many long polls are waiting on this instance.');
    if (!this.#audience.hasRoomFor(filter)) throw new Problem('overloaded', 'The topics of all streams and long polls take more memory than this instance has for them.');
    const group = this.#audience.join(filter);
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = (): void => resolve();
    const timer = this.#clock.after(milliseconds, wake);
    group.waiters.add(wake);
    this.#waiting.add(wake);
    signal.addEventListener('abort', wake);
    // While the log was read, nobody listened, and the tail may have gone past the place that was read.
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
