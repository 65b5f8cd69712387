import { Ancestry } from '../model/ancestry.ts';
import { LostEpochs } from './lost-epochs.ts';
import type { LogState } from '../model/epochs.ts';
import { locate, type Start } from '../model/gap.ts';
import type { Message } from '../model/message.ts';
import type { Position } from '../model/position.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Counters } from '../runtime/counters.ts';
import type { Logger } from '../runtime/logger.ts';
import type { Page, Store } from '../store/store.ts';
import { among, KnownErasures, type KnownErasure } from './known-erasures.ts';
import { Recent } from './recent-messages.ts';
import { ReorderBuffer } from './reorder-buffer.ts';
import type { StoreClock } from './store-clock.ts';
import { Refill, type Knowledge } from './tail-refill.ts';

/** One walk through the tail: stops a filter that matches little from holding up everything else. */
const WALK_MESSAGES = 2_000;

/** A part of the tail, as far as a filter matches it. */
export interface Stretch {
  readonly messages: readonly Message[];
  /** Everything up to here was looked at. */
  readonly end: Position;
}

/** The fan-out: it learns of every change of the tail. */
export interface TailListener {
  /** A message was added at the end. */
  append(message: Message): void;
  /**
   * The end of the tail changes in another way than by growth. Readers stop being live, `change` is applied, and each reader looks up its place again.
   */
  moveEnd(change: () => void): void;
  /** The log has an epoch that it did not have: readers that are ahead of the tail look whether they stand in it. */
  epochAdded(): void;
  /**
   * Messages were erased. The tail's messages are tombstones already. Messages that have left the tail, and that readers still have to write, become tombstones here.
   *
   * @param isErased Whether a message is one of them.
   */
  erased(erasures: readonly KnownErasure[], isErased: (message: Message) => boolean): void;
}

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
 * copy took the place of the log. The tail then goes back to the last place that both share (invariant 8). If the
 * end lies below the oldest number, retention was faster than this instance: the tail jumps.
 *
 * Every page also says by which version of the erasures it was read. Messages in memory that are erased become tombstones there. Messages that come late, by the bus or from
 * a read that began before, do not bring the data back (known-erasures.ts).
 */
export class Tail {
  readonly #storeClock: StoreClock;
  readonly #counters: Counters;
  readonly #logger: Logger;
  readonly #refill: Refill;
  readonly #erasures: KnownErasures;
  /** The last number that was erased before the tail had it. Up to there, messages are taken from the log and not from the bus, which may bring them as they were before. */
  #erasedAhead = 0;
  #listener: TailListener | undefined;

  /** The messages up to the end. */
  readonly #recent: Recent;
  #position: Position = { epoch: '', seq: 0 };
  #log: LogState | undefined;
  /** The origins of epochs in the logs that the tail has seen. */
  readonly #ancestry = new Ancestry();
  readonly #lostEpochs: LostEpochs;

  /** Messages that came too early. */
  readonly #early: ReorderBuffer;
  /** The newest number of the log that is known of. */
  #target = 0;
  #isStopped = false;

  constructor({ store, clock, storeClock, counters, logger, maxBytes, pollMs }: TailDependencies) {
    this.#storeClock = storeClock;
    this.#counters = counters;
    this.#logger = logger;
    this.#recent = new Recent(maxBytes);
    this.#lostEpochs = new LostEpochs({ store, ancestry: this.#ancestry, clock, logger });
    this.#erasures = new KnownErasures({
      store: store.erasures,
      knowledge: () => this.knowledge,
      take: (before, log, erasures) => this.#takeErasures(before, log, erasures),
    });
    this.#early = new ReorderBuffer({ clock, onOverdue: () => void this.#refill.fill() });
    this.#refill = new Refill({ store, clock, logger, maxBytes, pollMs, tail: {
      isOpen: () => this.#log !== undefined,
      knowledge: () => this.knowledge,
      target: () => this.#target,
      highestEarly: () => this.#early.highest,
      verify: (before, log) => this.#verify(before, log),
      lookAtErasures: ({ erasures = this.#erasures.version }) => this.#erasures.look(erasures),
      clean: ({ messages, log }) => this.clean(messages, log),
      takePage: (page, expected) => this.#takePage(page, expected),
      filled: () => this.#awaitMissing(),
    } });
  }

  /** Begins with a log that was just opened; resolves when the tail has reached its head. */
  async open(log: LogState, listener: TailListener): Promise<void> {
    this.#listener = listener;
    const head = log.lineage.at(log.head);
    this.#position = head;
    this.#erasures.begin(log);
    this.#adopt(log);
    const start = await this.#refill.warmStart(log);
    // Unless a commit of this instance was quicker.
    if (this.#position === head) this.#position = start;
    this.#refill.poll();
    await this.#refill.fill();
  }

  stop(): void {
    this.#isStopped = true;
    this.#lostEpochs.stop();
    this.#refill.stop();
    this.#early.stop();
  }

  /** The state of the log; undefined before it is open. */
  get log(): LogState | undefined {
    return this.#log;
  }

  /** Why the log cannot be read, as the last look found it; undefined when it can. */
  get failure(): string | undefined {
    return this.#refill.failure;
  }

  /** The end: everything up to here has been added, or lies before the tail. */
  get position(): Position {
    return this.#position;
  }

  /** The newest place that is known of: the head of the log, which a tail that is being filled has yet to reach. */
  get head(): Position {
    const { lineage, head } = this.#log!;
    return head > this.last ? lineage.at(head) : this.#position;
  }

  get last(): number {
    return this.#position.seq;
  }

  /** What the tail knows now. */
  get knowledge(): Knowledge {
    return { position: this.#position, log: this.#log };
  }

  /** The number of the oldest message in memory; `last` + 1 for an empty tail. */
  get first(): number {
    return this.last - this.length + 1;
  }

  get length(): number {
    return this.#recent.length;
  }

  get bytes(): number {
    return this.#recent.bytes;
  }

  /** Whether everything after a number is in memory. */
  covers(seq: number): boolean {
    return seq >= this.first - 1;
  }

  /** Whether a position is one that the tail knows to be good. A no says nothing: the log must be asked. */
  knows({ epoch, seq }: Position): boolean {
    if (seq === this.last) return epoch === this.#position.epoch;
    return seq >= this.first && seq < this.last && this.#at(seq).epoch === epoch;
  }

  /**
   * The next messages after a number that pass `wanted`, in order, at most `limit`. Also returns how far the tail was searched; every call gets further, up to
   * the end of the tail. `covers(seq)` must hold.
   */
  after(seq: number, wanted: (topic: string) => boolean, limit: number): Stretch {
    const messages: Message[] = [];
    const from = Math.max(0, seq + 1 - this.first);
    const until = Math.min(this.length, from + WALK_MESSAGES);
    let index = from;
    for (; index < until && messages.length < limit; index++) {
      const message = this.#recent.at(index);
      if (wanted(message.topic)) messages.push(message);
    }
    return { messages, end: index < this.length ? this.#recent.at(index - 1) : this.#position };
  }

  /**
   * The place before the newest `count` messages that pass `wanted`: of all there are, where they are fewer and the whole log is in memory. undefined when a short walk
   * back does not find it.
   */
  beforeNewest(count: number, wanted: (message: Message) => boolean): Position | undefined {
    const { oldest, lineage } = this.#log!;
    // What retention has deleted may still be in memory.
    const until = Math.max(this.first, oldest, this.last - WALK_MESSAGES + 1);
    let found = 0;
    let at = this.last;
    for (let seq = this.last; seq >= until && found < count; seq--) {
      if (!wanted(this.#at(seq))) continue;
      found++;
      at = seq - 1;
    }
    return found === count || until === oldest ? lineage.at(at) : undefined;
  }

  /** Counts what a message's frame adds to the memory of the tail, if the message is in it. Bytes. */
  grew({ seq }: Message, bytes: number): void {
    if (seq >= this.first && seq <= this.last) this.#recent.grew(bytes);
  }

  /** By which version of the erasures everything in memory is true. */
  get erasures(): number {
    return this.#erasures.version;
  }

  /** Makes tombstones of messages that were erased after they were read. False where that is not known any more: they must be read again. */
  clean(messages: readonly Message[], { erasures = this.#erasures.version }: Pick<LogState, 'erasures'>): boolean {
    return this.#erasures.clean(messages, erasures);
  }

  /**
   * What this instance itself committed.
   *
   * @param before What the tail knew before the store was asked to commit it.
   */
  committed(messages: readonly Message[], before: Knowledge, log: LogState): void {
    // A publish may be quicker than the opening of the tail, which then finds its messages in the log.
    if (this.#log === undefined) return;
    if (this.#isOutdated(before, log)) void this.look();
    else if (this.#isForked(log)) this.#goBack(this.locate(this.#position, log), log);
    else this.#adopt(log);
    this.#lookIfErased(log);
    this.offer(messages);
  }

  /** Messages of one commit, in order, from wherever they came. */
  offer(messages: readonly Message[]): void {
    if (this.#log === undefined || this.#isStopped) return;
    for (const message of messages) this.#take(message);
    this.#awaitMissing();
  }

  /**
   * Asks the store, and takes over what the answer says of the log before anybody goes by it. So a reader never has a position that the tail does not know,
   * such as one of an epoch that began in another process. The tail would take it for a position of another log. An outdated answer is discarded and the
   * question asked again: its numbers may be those of a lost log. What the answer says was erased is erased from memory first. Erasures that happened while the
   * answer was on its way are applied to it.
   */
  async ask<Answer extends { readonly log: LogState; readonly messages?: readonly Message[] }>(question: () => Promise<Answer>): Promise<Answer> {
    for (;;) {
      const before = this.knowledge;
      const answer = await question();
      if (this.#log !== undefined && (answer.log.erasures ?? 0) > this.#erasures.version) await this.#erasures.reach(answer.log.erasures!);
      if (this.#isOutdated(before, answer.log)) continue;
      if (!this.clean(answer.messages ?? [], answer.log)) {
        // Far more was erased meanwhile than is remembered, or a copy has taken the log's place: a look tells.
        await this.look();
        continue;
      }
      if (this.#log !== undefined && !this.#isStopped && !this.#verify(before, answer.log)) void this.look();
      return answer;
    }
  }

  /** Where a reader that holds `cursor` goes on in a log that `ask` answered with. The tail still knows what came before an epoch that the log has lost. */
  locate(cursor: Position, log: LogState): Start {
    return locate(cursor, log, this.#ancestry);
  }

  /** Learns what other instances knew of epochs that the log has lost. Rejects with a `StoreError`. */
  recallLost(): Promise<void> {
    return this.#lostEpochs.recall();
  }

  /** Looks at the log now. Calls during a look are answered by one more. */
  look(): Promise<void> {
    return this.#refill.look();
  }

  #take(message: Message): void {
    const { seq } = message;
    if (seq <= this.last) {
      // Twice is nothing new; the same number under another epoch means that the log was exchanged.
      if (seq >= this.first && this.#at(seq).epoch !== message.epoch) void this.look();
      return;
    }
    if (!this.#log!.lineage.isGood(message)) {
      // A message of another log, or of an epoch not known yet: only the log tells which.
      void this.look();
      return;
    }
    if (seq <= this.#erasedAhead) {
      this.#target = Math.max(this.#target, seq);
      void this.#refill.fill();
      return;
    }
    if (seq === this.last + 1) {
      this.#append(message);
      if (this.#early.size > 0) this.#takeEarly();
    } else if (!this.#early.add(message)) {
      this.#target = Math.max(this.#target, seq);
      void this.#refill.fill();
    }
  }

  /** Adds the messages that waited for the newest one, and forgets those that arrived by another way. */
  #takeEarly(): void {
    for (let next = this.#early.take(this.last + 1); next !== undefined; next = this.#early.take(this.last + 1)) {
      // Since it came, the log may have been exchanged for a copy that gave its number to another message.
      if (!this.#log!.lineage.isGood(next)) return;
      this.#append(next);
    }
  }

  /** Gives what is missing before an early message a short while to come by itself. */
  #awaitMissing(): void {
    if (!this.#refill.isFilling && !this.#isStopped) this.#early.wait();
  }

  #append(message: Message): void {
    // Invariant 3: the one place where the tail grows, by the next number and no other.
    if (message.seq !== this.last + 1) throw new Error(`the tail ends at ${this.last} and cannot go on with ${message.seq}`);
    this.#forgetTimesAfter(message.time);
    this.#recent.push(message);
    this.#position = message;
    this.#listener!.append(message);
  }

  #takePage({ messages, log }: Page, expected: number): void {
    for (const message of messages) {
      if (message.seq !== this.last + 1) continue;
      this.#append(message);
      this.#counters.filled++;
    }
    // An early message that was here before the snapshot, and is beyond its head, belongs to no commit of this log.
    this.#early.forget((seq) => seq <= this.last || (seq <= expected && seq > log.head));
    this.#takeEarly();
    this.#lookIfErased(log);
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
    if (this.#isOutdated(before, log)) {
      void this.look();
      return false;
    }
    const start = this.locate(this.#isForked(log) ? this.#position : before.position, log);
    if (start.gap === undefined) {
      this.#adopt(log);
      return true;
    }
    this.#goBack(start, log);
    return false;
  }

  /**
   * Whether the log may have been exchanged since a snapshot was taken. That is so if the tail heard of an epoch while the answer was on its way, and the
   * snapshot does not have it. The snapshot's messages may be lost then, and their numbers given to others.
   */
  #isOutdated(before: Knowledge, log: LogState): boolean {
    const known = this.#log;
    return known !== before.log && known !== undefined && before.log !== undefined && isNewer(known, log) && isNewer(known, before.log);
  }

  /**
   * Whether the log gave the numbers at the end of the tail to other messages. The tail's may be those of a replaced log, which arrived between the question
   * and the answer. That is certain however old the snapshot is; and nothing may be added after such an end.
   */
  #isForked(log: LogState): boolean {
    const shared = log.lineage.shared(this.#position);
    return shared === undefined ? isNewer(log, this.#log!) : shared < this.last;
  }

  #goBack({ at, gap }: Start, log: LogState): void {
    this.#logger.warn({ reason: gap?.reason, tail: gap?.requested, resumed: gap?.resumed }, gap?.reason === 'expired'
      ? 'retention overtook this instance: the tail goes on at the oldest message'
      : 'the log is not the one it was: the tail goes back to what both share');
    this.#learn(log);
    this.#listener!.moveEnd(() => {
      this.#log = log;
      this.#early.clear();
      // Where retention has gone past the place that both logs share, none of these messages leads to the new end.
      const isShared = at.seq >= this.first && at.seq <= this.last && log.lineage.isGood(this.#at(at.seq));
      this.#recent.keep(isShared ? at.seq - this.first + 1 : 0);
      this.#position = at;
    });
    this.#target = log.head;
  }

  /** Takes over what a snapshot says, unless something newer is known already. */
  #adopt(log: LogState): void {
    this.#storeClock.observe(log.now);
    this.#learn(log);
    const before = this.#log;
    if (before === undefined || isNewer(log, before) || (log.head >= before.head && !isNewer(before, log))) this.#log = log;
    if (before !== undefined && isNewer(this.#log!, before)) this.#listener!.epochAdded();
    this.#target = Math.max(this.#log!.head, this.last);
    // Only a log that has the end of the tail can say that its time is another.
    if (log.head >= this.last) this.#forgetTimesAfter(log.now);
  }

  #learn({ lineage }: LogState): void {
    this.#ancestry.learn(lineage);
    const before = this.#log?.lineage;
    // An older answer lacks epochs, too, but it has no newer one.
    const newest = lineage.epochs.at(-1)!.epoch;
    if (before !== undefined && !before.knows(newest) && !lineage.knows(before.epochs.at(-1)!.epoch)) this.#lostEpochs.keep(lineage);
  }

  /**
   * Time never decreases along the log, and the store's clock never stands before the newest message (invariant 10). Where the tail is ahead of them, messages from
   * beyond the clock were given the time of now (`npm run clock -- --accept`). By the times in memory their TTL would not end: they are read from the log again.
   */
  #forgetTimesAfter(time: number): void {
    if (this.length > 0 && this.#at(this.last).time > time) this.#recent.keep(0);
  }

  /** False where the answer is outdated, or the tail had to go back for it. */
  #takeErasures(before: Knowledge, log: LogState, erasures: readonly KnownErasure[] | undefined): boolean {
    if (this.#isStopped) return true;
    // Its version counts only once its erasures are applied.
    if (!this.#verify(before, { ...log, erasures: undefined })) return false;
    if (erasures === undefined) this.#forgetAll(log);
    else if (erasures.length > 0) this.#erase(erasures);
    return true;
  }

  #erase(erasures: readonly KnownErasure[]): void {
    const isErased = among(erasures);
    const seqs = erasures.map(({ at: { seq } }) => seq);
    const last = Math.max(...seqs);
    if (last > this.last) this.#erasedAhead = Math.max(this.#erasedAhead, last);
    const from = erasures.some(({ isPrefix }) => isPrefix) ? this.first : Math.min(...seqs);
    this.#recent.erase(isErased, from - this.first, last + 1 - this.first);
    this.#early.erase(isErased);
    this.#listener!.erased(erasures, isErased);
  }

  /** The erasures are unknown: nothing in memory, or from a hint, may be shown. */
  #forgetAll(log: LogState): void {
    this.#recent.keep(0);
    this.#early.clear();
    this.#erasedAhead = Math.max(this.#erasedAhead, log.head);
  }

  #at(seq: number): Message {
    return this.#recent.at(seq - this.first);
  }

}

/** Whether a snapshot has an epoch that another has not heard of. Then it is the newer one, though its head may lie before the other's: the log was exchanged. */
function isNewer(log: LogState, than: LogState): boolean {
  return log.lineage !== than.lineage && !than.lineage.knows(log.lineage.epochs.at(-1)!.epoch);
}
