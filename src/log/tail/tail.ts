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
import { KnownLog } from './known-log.ts';
import { Recent, type Stretch } from './recent-messages.ts';
import type { StoreClock } from './store-clock.ts';
import { TailGrowth } from './tail-growth.ts';
import type { TailListener } from './tail-listener.ts';
import { Refill, type Knowledge } from './tail-refill.ts';

/**
 * This room holds the newest messages in memory, without a hole. They come from this instance's commits and from the bus, in any order; what the bus
 * missed is read from the log. Listeners get them by number. The tail also notices that the log was lost or restored.
 */

export interface TailDependencies {
  readonly store: Store;
  readonly clock: Clock;
  readonly storeClock: StoreClock;
  readonly counters: Counters;
  readonly logger: Logger;
  /** Bounds the memory of the tail; one message always fits. */
  readonly maxBytes: number;
  /** How often the tail looks at the head of the log. */
  readonly pollMs: number;
}

/**
 * The newest stretch of the log, in order and without gaps (invariant 3), bounded in bytes.
 *
 * Messages come from this instance's own commits and from the bus, in any order, twice, or not at all. The tail adds the message with
 * the next number. A later message waits for a short while (reorder-buffer.ts); then the tail reads the missing numbers from the log (tail-refill.ts).
 *
 * Every snapshot of the log names its epochs. If the log no longer has the tail's end, an older copy took the place of the log: the tail goes back to
 * the last position that both logs share (invariant 8). If the end lies below the oldest number, retention was faster than this instance: the tail jumps.
 *
 * Every page names its version of the erasures, and the tail makes tombstones of erased messages in memory. Late messages, from the bus or from an older read,
 * do not bring the data back (known-erasures.ts).
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
      lookAtErasures: ({ erasures = this.#erasures.version }) => this.#erasures.look(erasures),
      clean: ({ messages, log }) => this.clean(messages, log),
      takePage: (page, expected) => this.#takePage(page, expected),
      filled: () => this.#growth.awaitMissing(),
    } });
  }

  /** Begins with a log that was just opened; resolves when the tail has reached its head. */
  async open(log: LogState, listener: TailListener): Promise<void> {
    this.#listener = listener;
    const head = log.lineage.at(log.head);
    this.#recent.moveTo(head);
    this.#erasures.begin(log);
    this.#adopt(log);
    const start = await this.#refill.warmStart(log);
    // A commit of this instance may have moved the end already: then the tail starts without older messages.
    if (this.position === head) this.#recent.moveTo(start);
    this.#refill.poll();
    await this.#refill.fill();
  }

  stop(): void {
    this.#isStopped = true;
    this.#known.stop();
    this.#refill.stop();
    this.#growth.stop();
  }

  /** The state of the log; undefined before it is open. */
  get log(): LogState | undefined {
    return this.#known.log;
  }

  /** Why the last look could not read the log; undefined if it could. */
  get failure(): string | undefined {
    return this.#refill.failure;
  }

  /** The end of the tail: the next message that it adds comes right after this position. */
  get position(): Position {
    return this.#recent.position;
  }

  /** The newest known position. While the tail is being filled, this is the head of the log, after the tail's end. */
  get head(): Position {
    const { lineage, head } = this.#known.log!;
    return head > this.last ? lineage.at(head) : this.position;
  }

  /** The number at the end of the tail. */
  get last(): number {
    return this.#recent.last;
  }

  /** A snapshot of the tail's knowledge. */
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

  /** Whether memory holds every message after a number. */
  covers(seq: number): boolean {
    return this.#recent.covers(seq);
  }

  /** Whether the tail knows that the log has this position. If false, ask the log: the position may still be good. */
  knows(position: Position): boolean {
    return this.#recent.knows(position);
  }

  after(seq: number, wanted: (topic: string) => boolean, limit: number): Stretch {
    return this.#recent.after(seq, wanted, limit);
  }

  walk(seq: number, visit: (topic: string, message: () => Message) => boolean): Position {
    return this.#recent.walk(seq, visit);
  }

  beforeNewest(count: number, wanted: (topic: string) => boolean, counts: (message: Message) => boolean): Position | undefined {
    return this.#recent.beforeNewest(count, wanted, counts, this.#known.log!);
  }

  /** Counts the bytes that an encoded frame added to a message, if the tail holds the message. */
  countFrame({ seq }: Message, bytes: number): void {
    if (seq >= this.first && seq <= this.last) this.#recent.grew(bytes);
  }

  /** Memory holds no data that was erased up to this version of the erasures. */
  get erasures(): number {
    return this.#erasures.version;
  }

  /** Makes tombstones of messages that were erased after the caller read them. Returns false if the tail has forgotten those erasures: read the messages again. */
  clean(messages: readonly Message[], { erasures = this.#erasures.version }: Pick<LogState, 'erasures'>): boolean {
    return this.#erasures.clean(messages, erasures);
  }

  /**
   * Adds messages that this instance committed.
   *
   * @param before The tail's snapshot, taken before the publisher asked the store to commit.
   */
  committed(messages: readonly Message[], before: Knowledge, log: LogState): void {
    // The tail is not open yet: it will find these messages in the log.
    if (this.#known.log === undefined) return;
    if (this.#known.isOutdated(before, log)) void this.look();
    else if (this.#known.isForked(this.position, log)) this.#goBack(this.locate(this.position, log), log);
    else this.#adopt(log);
    this.#lookIfErased(log);
    // In all three cases: `offer` drops messages whose epoch the known log lacks.
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
   * Asks the store. The tail learns of the answer's epochs before the caller gets the answer, and so knows every position that a reader can hold.
   *
   * 1. Learn the erasures up to the answer's version, and apply them to memory.
   * 2. Ask again if the answer is outdated: its numbers may be those of a lost log.
   * 3. Apply the erasures that happened during the call to the answer. Ask again if the tail has forgotten them.
   * 4. Take over the answer's state of the log.
   */
  async ask<Answer extends { readonly log: LogState; readonly messages?: readonly Message[] }>(question: () => Promise<Answer>): Promise<Answer> {
    for (;;) {
      const before = this.knowledge;
      const answer = await question();
      if (this.#known.log !== undefined && (answer.log.erasures ?? 0) > this.#erasures.version) await this.#erasures.reach(answer.log.erasures!);
      if (this.#known.isOutdated(before, answer.log)) continue;
      if (!this.clean(answer.messages ?? [], answer.log)) {
        // Too many erasures happened during the call, or a copy took the log's place. A look tells which.
        await this.look();
        continue;
      }
      if (this.#known.log !== undefined && !this.#isStopped && !this.#verify(before, answer.log)) void this.look();
      return answer;
    }
  }

  /** Where a reader with this cursor goes on in a log that `ask` returned. The tail also knows the origins of epochs that the log has lost. */
  locate(cursor: Position, log: LogState): Start {
    return this.#known.locate(cursor, log);
  }

  /** Reads the other instances' records of epochs that the log has lost. Rejects with a `StoreError`. */
  recallLost(): Promise<void> {
    return this.#known.recallLost();
  }

  /** Looks at the log now. All calls during a look share the next look. */
  look(): Promise<void> {
    return this.#refill.look();
  }

  #takePage(page: Page, expected: number): void {
    this.#growth.takePage(page, expected);
    this.#lookIfErased(page.log);
  }

  /** A newer version of the erasures may name other messages in memory. */
  #lookIfErased({ erasures = 0 }: LogState): void {
    if (erasures > this.#erasures.version) void this.look();
  }

  /**
   * Checks whether a snapshot has the end of the tail, as that was before the question: an older snapshot may lack a later end. Adopts the snapshot, or returns false
   * and looks again or goes back.
   */
  #verify(before: Knowledge, log: LogState): boolean {
    if (this.#known.isOutdated(before, log)) {
      void this.look();
      return false;
    }
    const start = this.locate(this.#known.isForked(this.position, log) ? this.position : before.position, log);
    if (start.gap === undefined) {
      this.#adopt(log);
      return true;
    }
    this.#goBack(start, log);
    return false;
  }

  #goBack({ at, gap }: Start, log: LogState): void {
    this.#logger.warn({ reason: gap?.reason, tail: gap?.requested, resumed: gap?.resumed }, gap?.reason === 'expired'
      ? 'retention overtook this instance: the tail goes on at the oldest message'
      : 'the log was exchanged: the tail goes back to the position where the two logs part');
    this.#listener!.moveEnd(() => {
      this.#known.replace(log);
      this.#growth.clear();
      this.#recent.goBack(at, log.lineage);
    });
    this.#growth.aimAt(log.head);
  }

  /** Takes over a snapshot, unless the tail knows a newer one. */
  #adopt(log: LogState): void {
    this.#storeClock.observe(log.now);
    if (this.#known.adopt(log)) this.#listener!.epochAdded();
    this.#growth.aimAt(this.#known.log!.head);
    // A snapshot without the tail's end is older than the end, and so may be its clock.
    if (log.head >= this.last) this.#recent.forgetTimesAfter(log.now);
  }

  /** Applies erasures to memory. Returns false if the answer is outdated, or if it made the tail go back. */
  #takeErasures(before: Knowledge, log: LogState, erasures: readonly KnownErasure[] | undefined): boolean {
    if (this.#isStopped) return true;
    // Leave out the version of the erasures: it counts only after the lines below have applied them.
    if (!this.#verify(before, { ...log, erasures: undefined })) return false;
    if (erasures === undefined) this.#growth.forgetAll(log);
    else if (erasures.length > 0) this.#listener!.erased(erasures, this.#growth.erase(erasures));
    return true;
  }
}
