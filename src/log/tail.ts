import type { ReceivedMessages } from '../bus/received-messages.ts';
import type { LogState } from '../model/epochs.ts';
import type { Start } from '../model/gap.ts';
import type { Message } from '../model/message.ts';
import type { Position } from '../model/position.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Counters } from '../runtime/counters.ts';
import type { Logger } from '../runtime/logger.ts';
import type { Page, Store } from '../store/store.ts';
import { KnownErasures, type KnownErasure } from './known-erasures.ts';
import { KnownLog } from './known-log.ts';
import { Recent, type Stretch } from './recent-messages.ts';
import type { StoreClock } from './store-clock.ts';
import { TailGrowth } from './tail-growth.ts';
import type { TailListener } from './tail-listener.ts';
import { Refill, type Knowledge } from './tail-refill.ts';

export interface TailDependencies {
  readonly store: Store;
  readonly clock: Clock;
  readonly storeClock: StoreClock;
  readonly counters: Counters;
  readonly logger: Logger;
  /** Bounds its memory; one message always fits. */
  readonly maxBytes: number;
  /** How often the head of the log is looked at. */
  readonly pollMs: number;
}

/**
 * The newest stretch of the log, in order and without gaps (invariant 3), bounded in bytes.
 *
 * Messages come from this instance's own commits and from the bus, in any order, twice, or not at all. The message with
 * the next number is added. One that is further on waits for a short while (reorder-buffer.ts); then the numbers before it are read from the log (tail-refill.ts).
 *
 * Every snapshot of the log also says which epochs the log has. If the tail's own end is not a position of that log any more, an older
 * copy took the place of the log. The tail then goes back to the last position that both share (invariant 8). If the
 * end lies below the oldest number, retention was faster than this instance: the tail jumps.
 *
 * Every page also names its version of the erasures. Messages in memory that are erased become tombstones there. Messages that come late, by the bus or from
 * a read that began before, do not bring the data back (known-erasures.ts).
 */
export class Tail {
  readonly #storeClock: StoreClock;
  readonly #logger: Logger;
  readonly #refill: Refill;
  readonly #erasures: KnownErasures;
  #listener: TailListener | undefined;

  /** The messages up to the end. */
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
    // Unless a commit of this instance was quicker.
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

  /** Why the log cannot be read, by the last look; undefined while it can. */
  get failure(): string | undefined {
    return this.#refill.failure;
  }

  /** The end: everything up to here has been added, or lies before the tail. */
  get position(): Position {
    return this.#recent.position;
  }

  /** The newest known position: the head of the log, which a tail that is being filled has yet to reach. */
  get head(): Position {
    const { lineage, head } = this.#known.log!;
    return head > this.last ? lineage.at(head) : this.position;
  }

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

  /** Whether everything after a number is in memory. */
  covers(seq: number): boolean {
    return this.#recent.covers(seq);
  }

  /** Whether a position is one that the tail knows to be good. A no says nothing: the log must be asked. */
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

  /** Counts what a message's frame adds to the memory of the tail, if the message is in it. Bytes. */
  grew({ seq }: Message, bytes: number): void {
    if (seq >= this.first && seq <= this.last) this.#recent.grew(bytes);
  }

  /** The version of the erasures up to which everything in memory is true. */
  get erasures(): number {
    return this.#erasures.version;
  }

  /** Makes tombstones of messages that were erased after they were read. False if the erasures are no longer known: read the messages again. */
  clean(messages: readonly Message[], { erasures = this.#erasures.version }: Pick<LogState, 'erasures'>): boolean {
    return this.#erasures.clean(messages, erasures);
  }

  /**
   * Messages that this instance itself committed.
   *
   * @param before The tail's snapshot from before the store was asked to commit it.
   */
  committed(messages: readonly Message[], before: Knowledge, log: LogState): void {
    // A publish may be quicker than the opening of the tail, which then finds its messages in the log.
    if (this.#known.log === undefined) return;
    if (this.#known.isOutdated(before, log)) void this.look();
    else if (this.#known.isForked(this.position, log)) this.#goBack(this.locate(this.position, log), log);
    else this.#adopt(log);
    this.#lookIfErased(log);
    this.offer(messages);
  }

  /** Messages of one commit that came over the bus. */
  receive(messages: ReceivedMessages): void {
    this.#growth.receive(messages);
  }

  /** Messages of one commit, in order, from wherever they came. */
  offer(messages: Iterable<Message>): void {
    this.#growth.offer(messages);
  }

  /**
   * Asks the store, and takes over what the answer says of the log before anybody goes by it. So a reader never has a position that the tail does not know,
   * such as one of an epoch that began in another process. The tail would take it for a position of another log. An outdated answer is discarded and the
   * question asked again: its numbers may be those of a lost log. Messages that the answer names as erased are erased from memory first. Erasures that happened while the
   * answer was on its way are applied to it.
   */
  async ask<Answer extends { readonly log: LogState; readonly messages?: readonly Message[] }>(question: () => Promise<Answer>): Promise<Answer> {
    for (;;) {
      const before = this.knowledge;
      const answer = await question();
      if (this.#known.log !== undefined && (answer.log.erasures ?? 0) > this.#erasures.version) await this.#erasures.reach(answer.log.erasures!);
      if (this.#known.isOutdated(before, answer.log)) continue;
      if (!this.clean(answer.messages ?? [], answer.log)) {
        // More was erased meanwhile than is remembered, or a copy has taken the log's place: a look finds out.
        await this.look();
        continue;
      }
      if (this.#known.log !== undefined && !this.#isStopped && !this.#verify(before, answer.log)) void this.look();
      return answer;
    }
  }

  /** Where a reader that holds `cursor` goes on in a log that `ask` answered with. The tail still knows what came before an epoch that the log has lost. */
  locate(cursor: Position, log: LogState): Start {
    return this.#known.locate(cursor, log);
  }

  /** Learns what other instances knew of epochs that the log has lost. Rejects with a `StoreError`. */
  recallLost(): Promise<void> {
    return this.#known.recallLost();
  }

  /** Looks at the log now. Calls during a look are answered by one more. */
  look(): Promise<void> {
    return this.#refill.look();
  }

  #takePage(page: Page, expected: number): void {
    this.#growth.takePage(page, expected);
    this.#lookIfErased(page.log);
  }

  /** Other messages in memory may have been erased. */
  #lookIfErased({ erasures = 0 }: LogState): void {
    if (erasures > this.#erasures.version) void this.look();
  }

  /**
   * Compares the end of the tail, as it was before a snapshot was asked for, with what the snapshot says. Only a snapshot that is newer than the position can
   * tell that the position is invalid. An older one may lack it.
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

  /** Takes over the facts of a snapshot, unless something newer is known already. */
  #adopt(log: LogState): void {
    this.#storeClock.observe(log.now);
    if (this.#known.adopt(log)) this.#listener!.epochAdded();
    this.#growth.aimAt(this.#known.log!.head);
    // Only a log that has the end of the tail can say that its time is another.
    if (log.head >= this.last) this.#recent.forgetTimesAfter(log.now);
  }

  /** False where the answer is outdated, or the tail had to go back for it. */
  #takeErasures(before: Knowledge, log: LogState, erasures: readonly KnownErasure[] | undefined): boolean {
    if (this.#isStopped) return true;
    // Its version counts only once its erasures are applied.
    if (!this.#verify(before, { ...log, erasures: undefined })) return false;
    if (erasures === undefined) this.#growth.forgetAll(log);
    else if (erasures.length > 0) this.#listener!.erased(erasures, this.#growth.erase(erasures));
    return true;
  }
}
