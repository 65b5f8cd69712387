import type { ReceivedMessages } from '../../bus/received-messages.ts';
import type { LogState } from '../../model/epochs.ts';
import type { Start } from '../../model/gap.ts';
import type { Message } from '../../model/message.ts';
import type { Position } from '../../model/position.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Counters } from '../../runtime/counters.ts';
import type { Logger } from '../../runtime/logging/logger.ts';
import type { Page, Store } from '../../store/store.ts';
import { KnownErasures, type KnownErasure } from './known-erasures.ts';
import { KnownLog, type Knowledge, type Verdict } from './known-log.ts';
import { Recent, type Stretch } from './recent-messages.ts';
import type { StoreClock } from './store-clock.ts';
import { TailGrowth } from './tail-growth.ts';
import type { TailListener } from './tail-listener.ts';
import { Refill } from './tail-refill.ts';

/**
 * This room keeps the newest messages in memory, without a hole. They come from this instance's commits and from the bus, in any order. The room reads
 * the log for messages that the bus missed. Its listener, the fan-out, gets the messages in the order of their numbers. The room also notices that an older copy replaced the log.
 *
 * Read `tail.ts` first, then `tail-growth.ts` (messages come in), `recent-messages.ts` (they are kept), `tail-refill.ts` (missing ones are read),
 * `known-log.ts` (replaced logs) and `known-erasures.ts`.
 */

export interface TailDependencies {
  readonly store: Store;
  readonly clock: Clock;
  readonly storeClock: StoreClock;
  readonly counters: Counters;
  readonly logger: Logger;
  /** The most memory of the tail; one message always fits. Bytes. */
  readonly maxBytes: number;
  /** How often the tail looks at the head of the log. */
  readonly pollMs: number;
}

/**
 * The newest stretch of the log, in order and without gaps (invariant 3), bounded in bytes.
 *
 * ```
 * own commits ─ committed ─┐                 a message is missing: fill
 *          bus ─ receive ──┴─► TailGrowth ◄──────────────────────────────┐
 *                                  │  pages of the log: takePage         │
 *                                  ▼                                     ▼
 *     readers ◄─ after, walk ─── Recent                     Refill ─ state, read ─► store
 *     fan-out ◄─ append, moveEnd, erased      KnownErasures ─ changes ─► store
 *                                  each answer of the store ─ #verify ─► KnownLog
 * ```
 *
 * Messages come in any order, twice, or not at all. The tail adds the message with the next number. A later message waits for a short time
 * (reorder-buffer.ts); then the tail reads the missing numbers from the log (tail-refill.ts).
 *
 * Every snapshot of the log names its epochs. If the log lacks the tail's end, an older copy replaced the log: the tail goes back to
 * the last position that both logs share (invariant 8). If retention deleted the messages after the end, the tail goes on at the oldest message.
 *
 * Every snapshot has its version of the erasures. If it is newer, the tail reads the erasures and makes tombstones of erased messages in memory.
 * Late messages, from the bus or from an older read, do not bring the data back (known-erasures.ts).
 */
export class Tail {
  readonly #storeClock: StoreClock;
  readonly #logger: Logger;
  readonly #refill: Refill;
  readonly #erasures: KnownErasures;
  #listener: TailListener | undefined;

  /** The messages in memory, up to the tail's end. */
  readonly #recent: Recent;
  readonly #known: KnownLog;
  readonly #growth: TailGrowth;

  #isStopped = false;

  constructor({ store, clock, storeClock, counters, logger, maxBytes, pollMs }: TailDependencies) {
    this.#storeClock = storeClock;
    this.#logger = logger;
    this.#recent = new Recent(maxBytes);
    this.#known = new KnownLog({ store, clock, logger });
    this.#erasures = new KnownErasures({
      store: store.erasures,
      knowledge: () => this.knowledge,
      take: (before, log, erasures) => this.#takeErasures(before, log, erasures),
    });
    this.#growth = new TailGrowth({
      clock, counters, recent: this.#recent,
      log: () => this.#known.log,
      added: (message, topic) => this.#listener!.append(this.last, topic, message),
      isFilling: () => this.#refill.isFilling,
      fill: () => void this.#refill.fill(),
      look: () => void this.look(),
    });
    this.#refill = new Refill({ store, clock, logger, maxBytes, pollMs, tail: {
      isOpen: () => this.#known.log !== undefined,
      knowledge: () => this.knowledge,
      target: () => this.#growth.target,
      highestEarly: () => this.#growth.highestEarly,
      verify: (before, log) => this.#verify(before, log),
      lookAtErasures: (log) => this.#erasures.look(log),
      clean: ({ messages, log }) => this.clean(messages, log),
      takePage: (page, expected) => this.#takePage(page, expected),
      filled: () => this.#growth.awaitMissing(),
    } });
  }

  /** Begins with a log that was just opened. Resolves when the tail has reached the log's head. */
  async open(log: LogState, listener: TailListener): Promise<void> {
    this.#listener = listener;
    const head = log.lineage.at(log.head);
    this.#recent.startAt(head);
    this.#erasures.begin(log);
    this.#adopt(log);
    const start = await this.#refill.warmStart(log);
    // If a commit of this instance moved the end during the query, the tail starts without older messages.
    if (this.position === head) this.#recent.startAt(start);
    this.#refill.poll();
    await this.#refill.fill();
  }

  stop(): void {
    this.#isStopped = true;
    this.#known.stop();
    this.#refill.stop();
    this.#growth.stop();
  }

  /** The newest known state of the log; undefined before the log is open. */
  get log(): LogState | undefined {
    return this.#known.log;
  }

  /** Why the last poll could not read the log; undefined if it could. */
  get failure(): string | undefined {
    return this.#refill.failure;
  }

  /** The end of the tail: the next message that it adds comes right after this position. */
  get position(): Position {
    return this.#recent.position;
  }

  /** The newest known position of the log. While the tail reads missing messages, it lies after the tail's end. */
  get head(): Position {
    const { lineage, head } = this.#known.log!;
    return head > this.last ? lineage.at(head) : this.position;
  }

  /** The number at the end of the tail. */
  get last(): number {
    return this.#recent.last;
  }

  /** Take it before a query to the store, to judge the answer by it. */
  get knowledge(): Knowledge {
    return { position: this.position, log: this.#known.log };
  }

  /** The number of the oldest message in memory; `last` + 1 for an empty tail. */
  get first(): number {
    return this.#recent.first;
  }

  get length(): number {
    return this.#recent.length;
  }

  get bytes(): number {
    return this.#recent.bytes;
  }

  /** Whether every message after a number is in memory. */
  covers(seq: number): boolean {
    return this.#recent.covers(seq);
  }

  /** Whether a position is the tail's end, or that of a message in memory. If false, query the log: it may still have the position. */
  knows(position: Position): boolean {
    return this.#recent.knows(position);
  }

  /** The next messages after a number on wanted topics. `covers(seq)` must be true. See `Recent`, also for the two methods below. */
  after(seq: number, wanted: (topic: string) => boolean, limit: number): Stretch {
    return this.#recent.after(seq, wanted, limit);
  }

  /** Visits the messages after a number, until `visit` returns false. `covers(seq)` must be true. Returns the position of the last visited message. */
  walk(seq: number, visit: (topic: string, message: () => Message) => boolean): Position {
    return this.#recent.walk(seq, visit);
  }

  /** The position before the newest `count` messages that are `wanted` and pass `counts`; undefined if a short walk back does not find it. */
  beforeNewest(count: number, wanted: (topic: string) => boolean, counts: (message: Message) => boolean): Position | undefined {
    return this.#recent.beforeNewest(count, wanted, counts, this.#known.log!);
  }

  /** Counts the bytes that an encoded frame added to a message, if the message is in memory. */
  countFrame({ seq }: Message, bytes: number): void {
    if (seq >= this.first && seq <= this.last) this.#recent.grew(bytes);
  }

  /** The version of the erasures that the tail has applied to memory. */
  get erasures(): number {
    return this.#erasures.version;
  }

  /**
   * Makes tombstones of messages that were erased after the caller read them. Returns false if the tail has forgotten those erasures: read the messages again.
   * @param read The version of the erasures when the messages were read.
   */
  clean(messages: readonly Message[], read: Pick<LogState, 'erasures'>): boolean {
    return this.#erasures.clean(messages, read);
  }

  /**
   * Adds messages that this instance committed.
   *
   * @param before `knowledge` before the publisher handed the commit to the store.
   */
  committed(messages: readonly Message[], before: Knowledge, log: LogState): void {
    // The tail is not open yet: it will find these messages in the log.
    if (this.#known.log === undefined) return;
    this.#apply(this.#known.judgeCommit(before, this.position, log), log);
    this.#lookIfErased(log);
    // Whatever the verdict: `offer` drops messages that the known log lacks.
    this.offer(messages);
  }

  /** Adds the messages of one commit from the bus. */
  receive(messages: ReceivedMessages): void {
    this.#growth.receive(messages);
  }

  /** Adds the messages of one commit, in order, and drops those that the known log lacks. */
  offer(messages: Iterable<Message>): void {
    this.#growth.offer(messages);
  }

  /**
   * Runs a query of the store. The tail adopts the answer's epochs before `ask` returns. So no reader ever has a position whose epoch the tail does not know.
   *
   * 1. Read the erasures up to the answer's version, and apply them to memory.
   * 2. Query again if the answer is outdated: its numbers may be those of a lost log.
   * 3. Apply the erasures that happened during the query to the answer. Query again if the tail has forgotten them.
   * 4. Take over the answer's state of the log.
   */
  async ask<Answer extends { readonly log: LogState; readonly messages?: readonly Message[] }>(query: () => Promise<Answer>): Promise<Answer> {
    for (;;) {
      const before = this.knowledge;
      const answer = await query();
      if (this.#known.log !== undefined && this.#erasures.isBehind(answer.log)) await this.#erasures.reach(answer.log);
      if (this.#known.isOutdated(before, answer.log)) continue;
      if (!this.clean(answer.messages ?? [], answer.log)) {
        // Either too many erasures happened during the query, or a copy replaced the log. The look handles both.
        await this.look();
        continue;
      }
      // If the tail's end moved, the look reads the messages after the new end.
      if (this.#known.log !== undefined && !this.#isStopped && !this.#verify(before, answer.log)) void this.look();
      return answer;
    }
  }

  /** Where a reader with this cursor goes on in a log that `ask` returned. Also finds the place for lost epochs whose origins are known. */
  locate(cursor: Position, log: LogState): Start {
    return this.#known.locate(cursor, log);
  }

  /** Reads the origins of lost epochs that other instances stored. Rejects with a `StoreError`. */
  recallLost(): Promise<void> {
    return this.#known.recallLost();
  }

  /** Polls the log now. All calls during a look share the next look. */
  look(): Promise<void> {
    return this.#refill.look();
  }

  #takePage(page: Page, expected: number): void {
    this.#growth.takePage(page, expected);
    this.#lookIfErased(page.log);
  }

  /** Newer erasures may concern other messages in memory. */
  #lookIfErased(log: LogState): void {
    if (this.#erasures.isBehind(log)) void this.look();
  }

  /** Judges the answer of a query, and applies the verdict. Returns whether the answer may be used. */
  #verify(before: Knowledge, log: LogState): boolean {
    return this.#apply(this.#known.judge(before, this.position, log), log);
  }

  /** Adopts the snapshot, looks again, or moves the end of the tail: by the verdict (known-log.ts). Returns whether the snapshot was adopted. */
  #apply(verdict: Verdict, log: LogState): boolean {
    if (verdict === 'current') {
      this.#adopt(log);
      return true;
    }
    if (verdict === 'outdated') void this.look();
    else this.#moveEnd(verdict, log);
    return false;
  }

  /** Goes back to the position that the replaced log shares with this one, or forward to the oldest message. */
  #moveEnd({ at, gap }: Start, log: LogState): void {
    this.#logger.warn({ reason: gap?.reason, tail: gap?.requested, resumed: gap?.resumed }, gap?.reason === 'expired'
      ? 'retention overtook this instance: the tail goes on at the oldest message'
      : 'the log was exchanged: the tail goes back to the position where the two logs part');
    this.#listener!.moveEnd(() => {
      this.#known.replace(log);
      this.#growth.clear();
      this.#recent.moveEnd(at, log.lineage);
    });
    this.#growth.aimAt(log.head);
  }

  /** Takes over a snapshot, unless the tail has a newer state. */
  #adopt(log: LogState): void {
    this.#storeClock.observe(log.now);
    if (this.#known.adopt(log)) this.#listener!.epochAdded();
    this.#growth.aimAt(this.#known.log!.head);
    // A snapshot whose head is below the tail's end is older than that end, so do not trust its clock.
    if (log.head >= this.last) this.#recent.forgetTimesAfter(log.now);
  }

  /** Applies erasures to memory. Returns false if the answer is outdated, or if it moved the end of the tail. */
  #takeErasures(before: Knowledge, log: LogState, erasures: readonly KnownErasure[] | undefined): boolean {
    if (this.#isStopped) return true;
    // `#adopt` must not see the new version of the erasures yet: the lines below apply those erasures.
    if (!this.#verify(before, { ...log, erasures: undefined })) return false;
    if (erasures === undefined) this.#growth.forgetAll(log);
    else if (erasures.length > 0) this.#listener!.erased(erasures, this.#growth.erase(erasures));
    return true;
  }
}
