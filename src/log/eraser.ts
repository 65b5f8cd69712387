import type { Bus } from '../bus/bus.ts';
import type { Actor } from '../model/actor.ts';
import type { LogState } from '../model/epochs.ts';
import { eraseProblem, type Grant } from '../model/grant.ts';
import { formatId, type Position } from '../model/position.ts';
import { Problem } from '../model/problem.ts';
import { CallLimiter } from '../runtime/sharing/call-limiter.ts';
import type { Clock, Timer } from '../runtime/clock.ts';
import type { Counters } from '../runtime/counters.ts';
import { FairShares, type Holder, UNNAMED } from '../runtime/sharing/fair-shares.ts';
import type { Logger } from '../runtime/logging/logger.ts';
import { orProblem, tooManyWait, type ChangeSentences } from '../store/change-problem.ts';
import type { ErasedMessage } from '../store/contracts/erasure-store.ts';
import { StoreError, type Store } from '../store/store.ts';
import type { StoreClock } from './tail/store-clock.ts';
import type { Tail } from './tail/tail.ts';

/** The most messages that one step erases. Stops a step from delaying a publish for more than a few milliseconds. */
const ERASE_STEP_MESSAGES = 500;
/** The pause between two steps of erasing or wiping, which leaves the database to the publishers. */
const ERASE_PAUSE_MS = 20;
/** How long one request may erase a topic. Answers well before 60 s, when proxies give up. The client repeats the request for the rest. */
const ERASE_REQUEST_MAX_MS = 20_000;
/** How many topics, and how many single messages, an instance erases at once. Leaves the writer of the database free for publishers. */
const ERASING_MAX_REQUESTS = 4;
/** How many requests for single messages wait. Stops one client from filling the memory with them. */
const ERASING_MAX_WAITING_REQUESTS = 1_000;
/** The pause between two rounds of wiping, each of which may write a large part of the files. A round also completes wiping that was held up, or that a killed instance began. */
const WIPE_INTERVAL_MS = 10_000;

/** The messages of a topic to erase: those before a message, before a time, or older than an age by the store's clock. */
export type EraseBefore =
  | { readonly kind: 'after'; readonly position: Position }
  | { readonly kind: 'since'; readonly time: number }
  | { readonly kind: 'ago'; readonly milliseconds: number };

export interface ErasedTopic {
  /** How many messages. */
  readonly erased: number;
  /** Whether the request ended early: repeat it for the rest. */
  readonly more: boolean;
}

export interface EraserDependencies {
  readonly store: Store;
  readonly tail: Tail;
  readonly storeClock: StoreClock;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly counters: Counters;
  readonly logger: Logger;
  /** Writes the audit lines. */
  readonly audit: Pick<Logger, 'info'>;
}

/**
 * Erases messages. When a call resolves, the data is gone from the log and from the memory of this instance. Other instances are woken, and remove it at their next look.
 * Then the data in the files of the database is wiped in the background.
 */
export class Eraser {
  readonly #store: Store;
  readonly #tail: Tail;
  readonly #storeClock: StoreClock;
  readonly #bus: Bus;
  readonly #clock: Clock;
  readonly #counters: Counters;
  readonly #logger: Logger;
  readonly #audit: Pick<Logger, 'info'>;
  /** The gate of requests for single messages. */
  readonly #calls: CallLimiter;
  /** The requests that erase topics, by the clients that sent them. */
  readonly #places: FairShares;
  #timer: Timer | undefined;
  /** Whether an erasure must wait for the next round of wiping: a round is running, or the last round found data and its pause has not ended. */
  #mustWait = false;
  /** The topics whose messages are being erased. */
  readonly #topics = new Set<string>();
  /** The last round wiped the data of all erasures up to this version; -1 if the files may still hold erased data. */
  #wipedVersion = 0;
  /** Whether the last wiping was held up, so that the warning is not repeated. */
  #hasToldOfHold = false;
  #failed = false;
  #isStopped = false;

  constructor({ store, tail, storeClock, bus, clock, counters, logger, audit }: EraserDependencies) {
    this.#store = store;
    this.#tail = tail;
    this.#storeClock = storeClock;
    this.#bus = bus;
    this.#clock = clock;
    this.#counters = counters;
    this.#logger = logger;
    this.#audit = audit;
    this.#calls = new CallLimiter({ places: ERASING_MAX_REQUESTS, maxWaiting: ERASING_MAX_WAITING_REQUESTS, refusal: tooManyWait, gate: 'erasures', counters });
    this.#places = new FairShares({ gate: 'erasures', counters });
  }

  /** Whether the files of the database hold no erased data. Considers only erasures that this instance has applied. */
  get isWiped(): boolean {
    return this.#wipedVersion >= this.#tail.erasures;
  }

  /** Wipes from now on, in the background. */
  run(): void {
    void this.#wipe();
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  /**
   * Erases one message. A message that is already erased is no error.
   * Rejects with a `Problem`: `message-not-found` (also if the grant lacks its topic), `overloaded`, `level-too-low`, `unavailable`, `outcome-unknown`.
   * @param holder The client that sent the request. Clients take turns.
   */
  message(grant: Grant, position: Position, by: Actor, holder: Holder = UNNAMED): Promise<void> {
    return orProblem(this.#calls.pass(() => this.#eraseMessage(grant, position, by), holder), SENTENCES);
  }

  /**
   * Erases messages of a topic, oldest first. Rejects with a `Problem`: `forbidden`, `overloaded`, `message-not-found` (the log lacks the id), `level-too-low`, `unavailable`,
   * `outcome-unknown`.
   * @param holder The client that sent the request. If all places are taken, the newest request of the largest holder ends early, with `more`.
   */
  topic(grant: Grant, topic: string, before: EraseBefore, by: Actor, holder: Holder = UNNAMED): Promise<ErasedTopic> {
    const forbidden = eraseProblem(grant, topic);
    if (forbidden !== undefined) return Promise.reject(forbidden);
    if (this.#topics.has(topic)) return Promise.reject(new Problem('overloaded', 'Messages of this topic are being erased already: ask again when that is done.'));
    while (this.#places.total >= ERASING_MAX_REQUESTS) if (!this.#places.makeRoom(holder, 1)) return Promise.reject(new Problem('overloaded', 'Too many topics are being erased: ask again later.'));
    this.#topics.add(topic);
    const early = new AbortController();
    const charge = this.#places.charge(holder, 1, { takeBack: () => early.abort() });
    return orProblem(this.#eraseTopic(topic, before, by, early.signal), SENTENCES).finally(() => {
      charge.release();
      this.#topics.delete(topic);
    });
  }

  async #eraseMessage(grant: Grant, position: Position, { name, client }: Actor): Promise<void> {
    const { messages: [message] } = await this.#tail.ask(() => this.#store.read({ after: position.seq - 1, filter: undefined, limit: 1, maxBytes: 1, withoutData: true }));
    // Only a sender that may erase a message learns whether it exists. The data is not read, so the time of the answer does not tell either.
    if (message === undefined || message.seq !== position.seq || message.epoch !== position.epoch || !grant.mayErase(message.topic)) throw missing('id');
    const audit = (outcome: Exclude<ErasedMessage, 'absent'> | 'outcome-unknown'): void => {
      this.#audit.info({ audit: 'message-erased', id: message.id, topic: message.topic, outcome, by: name, client }, 'the erasure of a message was asked for');
    };
    let outcome: ErasedMessage;
    try {
      outcome = await this.#store.erasures.eraseMessage(position);
    } catch (error) {
      if (isOutcomeUnknown(error)) audit('outcome-unknown');
      throw error;
    }
    if (outcome === 'absent') throw missing('id');
    audit(outcome);
    if (outcome === 'erased') {
      this.#counters.erased++;
      this.#wipeSoon();
    }
    // Call `#spread` even for `already erased`: this instance may not have applied the erasure of another instance yet.
    await this.#spread();
  }

  async #eraseTopic(topic: string, before: EraseBefore, { name, client }: Actor, early: AbortSignal): Promise<ErasedTopic> {
    const through = await this.#lastBefore(before);
    const until = this.#clock.monotonic() + ERASE_REQUEST_MAX_MS;
    let erased = 0;
    let more = through.seq > 0;
    let outcome: 'erased' | 'failed' | 'outcome-unknown' = 'erased';
    try {
      for (let after = 0; more && this.#clock.monotonic() < until && !this.#isStopped && !early.aborted;) {
        const step = await this.#store.erasures.eraseTopic({ topic, after, through, rows: ERASE_STEP_MESSAGES });
        erased += step.erased;
        ({ scanned: after, more } = step);
        if (more) await this.#pause();
      }
    } catch (error) {
      outcome = isOutcomeUnknown(error) ? 'outcome-unknown' : 'failed';
      throw error;
    } finally {
      // Write the audit line even after a failure, unless it is certain that nothing was erased.
      if (erased > 0 || outcome !== 'failed') {
        this.#counters.erased += erased;
        this.#audit.info({ audit: 'topic-erased', topic, through: formatId(through.epoch, through.seq), messages: erased, more, outcome, by: name, client }, 'the erasure of messages of a topic was asked for');
        if (erased > 0) this.#wipeSoon();
        await this.#spread();
      }
    }
    return { erased, more };
  }

  /** The position of the last message to erase. */
  async #lastBefore(before: EraseBefore): Promise<Position> {
    if (before.kind !== 'after') {
      const time = before.kind === 'since' ? before.time : this.#storeClock.now() - before.milliseconds;
      const { seq, log } = await this.#tail.ask(() => this.#store.seek(time));
      return log.lineage.at(seq);
    }
    const log = await this.#state();
    const { position } = before;
    if (position.seq > log.head || !log.lineage.isGood(position)) throw missing('before');
    return log.lineage.at(Math.max(0, position.seq - 1));
  }

  /** Wakes the other instances, and drops the data from this one. Rejects with `outcome-unknown` if the log cannot be read: then this instance may still have the data. */
  async #spread(): Promise<void> {
    this.#bus.wake();
    try {
      // Do not use `look`: it hides a failure to read the log.
      await this.#state();
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      throw new StoreError('outcome-unknown', error.message, error);
    }
  }

  /** The state of the log. Resolves once this instance knows all erasures up to it. */
  async #state(): Promise<LogState> {
    const { log } = await this.#tail.ask(async (): Promise<{ readonly log: LogState }> => ({ log: await this.#store.state() }));
    return log;
  }

  #pause(): Promise<void> {
    return new Promise((done) => void this.#clock.after(ERASE_PAUSE_MS, done));
  }

  /** Wipes at once, unless a round runs or has just ended. Erasures during that time share the next round. */
  #wipeSoon(): void {
    this.#wipedVersion = -1;
    if (!this.#mustWait) void this.#wipe();
  }

  async #wipe(): Promise<void> {
    this.#mustWait = true;
    this.#timer?.cancel();
    // If nothing was ever erased, skip the query of the database.
    const isIdle = (this.isWiped && this.#tail.erasures === 0) || await this.#wipeOnce();
    if (this.#isStopped) return;
    this.#mustWait = !isIdle;
    this.#timer = this.#clock.after(WIPE_INTERVAL_MS, () => void this.#wipe());
  }

  /** Returns whether there was nothing to do. */
  async #wipeOnce(): Promise<boolean> {
    try {
      for (let isFirst = true; !this.#isStopped; isFirst = false) {
        // Read the version before the step: the step may miss later erasures.
        const version = this.#tail.erasures;
        const wiped = await this.#store.erasures.wipe();
        if (wiped === 'held-up' && !this.#hasToldOfHold) this.#logger.warn({}, 'erased data is still in the write-ahead log, because something reads the database for long; this instance tries again');
        if (wiped === 'done' && !isFirst) this.#logger.info('erased data is wiped from the files of the database');
        this.#wipedVersion = wiped === 'done' ? version : -1;
        this.#hasToldOfHold = wiped === 'held-up';
        this.#failed = false;
        if (wiped !== 'more') return wiped === 'done' && isFirst;
        await this.#pause();
      }
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      if (!this.#failed) this.#logger.warn({ err: error }, 'erased data cannot be wiped from the files of the database now');
      this.#failed = true;
      this.#wipedVersion = -1;
    }
    return false;
  }
}

function missing(field: 'id' | 'before'): Problem {
  return new Problem('message-not-found', 'There is no message with this id, or not any more.', { field });
}

function isOutcomeUnknown(error: unknown): boolean {
  return error instanceof StoreError && error.kind === 'outcome-unknown';
}

const SENTENCES: ChangeSentences = {
  tooLow: 'Messages cannot be erased yet', unknown: 'It is not known whether everything was erased: ask again.', unavailable: 'The message log cannot be changed just now.',
};
