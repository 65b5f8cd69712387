import type { ReceivedMessages } from '../../bus/received-messages.ts';
import type { LogState } from '../../model/epochs.ts';
import type { Message } from '../../model/message.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Counters } from '../../runtime/counters.ts';
import type { Page } from '../../store/store.ts';
import { among, type KnownErasure } from './known-erasures.ts';
import type { Named, Recent } from './recent-messages.ts';
import { ReorderBuffer } from './reorder-buffer.ts';

/** Messages of a smaller commit become objects at once: the commit's bytes and lists take more memory than so few objects. */
const BYTES_MIN_MESSAGES = 4;

export interface TailGrowthDependencies {
  readonly clock: Clock;
  readonly counters: Pick<Counters, 'filled'>;
  /** The messages in memory, to which new ones are added. */
  readonly recent: Recent;
  /** The newest known state of the log; undefined before the log is open. */
  readonly log: () => LogState | undefined;
  /** Called after each message that was added. @param message Returns the message, and makes the object if it came as bytes. */
  readonly added: (message: () => Message, topic: string) => void;
  /** Whether `Refill` is reading missing messages. */
  readonly isFilling: () => boolean;
  /** Reads the messages between the end of the tail and the head of the log. */
  readonly fill: () => void;
  /** Reads the head of the log. */
  readonly look: () => void;
}

/**
 * Puts incoming messages in order. They come in any order, twice, or not at all, and are added by number. An early message waits (reorder-buffer.ts).
 *
 * | the tail ends at 43, and there comes | result |
 * |---|---|
 * | 44 | added; then 45, if it waits |
 * | 46 | waits 20 ms for 44 and 45; then the log is read |
 * | 42 of the same epoch | dropped |
 * | 42 of another epoch, or 44 of an unknown epoch | dropped; a look tells whether the log was replaced |
 * | from the bus, a whole commit that begins with 44 | added as bytes: messages become objects when a reader wants them |
 */
export class TailGrowth {
  readonly #counters: TailGrowthDependencies['counters'];
  readonly #recent: Recent;
  readonly #log: TailGrowthDependencies['log'];
  readonly #added: TailGrowthDependencies['added'];
  readonly #isFilling: TailGrowthDependencies['isFilling'];
  readonly #fill: TailGrowthDependencies['fill'];
  readonly #look: TailGrowthDependencies['look'];
  /** Messages that wait for an earlier one. */
  readonly #early: ReorderBuffer;
  /** The newest known number of the log. */
  #target = 0;
  /** The highest number that was erased before the tail had it. Up to it, take messages only from the log: the bus may bring them with their erased data. */
  #erasedAhead = 0;
  #isStopped = false;
  readonly #newest = (): Message => this.#recent.newest;

  constructor({ clock, counters, recent, log, added, isFilling, fill, look }: TailGrowthDependencies) {
    this.#counters = counters;
    this.#recent = recent;
    this.#log = log;
    this.#added = added;
    this.#isFilling = isFilling;
    this.#fill = fill;
    this.#look = look;
    this.#early = new ReorderBuffer({ clock, onOverdue: fill });
  }

  get target(): number {
    return this.#target;
  }

  /** The highest number among messages that wait for an earlier one; 0 if no message waits. */
  get highestEarly(): number {
    return this.#early.highest;
  }

  /** Sets the target to the head of the log, or to the end of the tail if that is later. */
  aimAt(head: number): void {
    this.#target = Math.max(head, this.#recent.last);
  }

  stop(): void {
    this.#isStopped = true;
    this.#early.stop();
  }

  /** Adds the messages of one commit from the bus. */
  receive(messages: ReceivedMessages): void {
    const log = this.#log();
    if (log === undefined || this.#isStopped) return;
    if (messages.length < BYTES_MIN_MESSAGES || !this.#isNext(messages, log)) return this.offer(messages);
    for (let index = 0; index < messages.length; index++) {
      this.#recent.pushReceived(messages, index);
      this.#added(this.#newest, messages.topicAt(index));
    }
  }

  /** Adds the messages of one commit, in order, from the bus or from this instance. */
  offer(messages: Iterable<Message>): void {
    if (this.#log() === undefined || this.#isStopped) return;
    for (const message of messages) this.#take(message);
    this.awaitMissing();
  }

  /** Adds a page of the log. @param expected `highestEarly` before the query. */
  takePage({ messages, log }: Page, expected: number): void {
    for (const message of messages) {
      if (message.seq !== this.#recent.last + 1) continue;
      this.#append(message);
      this.#counters.filled++;
    }
    // A message that waited before the snapshot was taken, but lies after its head, is not of this log.
    this.#early.forget((seq) => seq <= this.#recent.last || (seq <= expected && seq > log.head));
    this.#takeEarly();
  }

  /** Starts the wait for the messages that are missing before an early one. */
  awaitMissing(): void {
    if (!this.#isFilling() && !this.#isStopped) this.#early.wait();
  }

  /** Forgets the early messages: another log replaced the known one. */
  clear(): void {
    this.#early.clear();
  }

  /** Makes tombstones of erased messages in memory. Returns the test for erased messages. */
  erase(erasures: readonly KnownErasure[]): (message: Named) => boolean {
    const isErased = among(erasures);
    const seqs = erasures.map(({ at: { seq } }) => seq);
    const last = Math.max(...seqs);
    if (last > this.#recent.last) this.#erasedAhead = Math.max(this.#erasedAhead, last);
    const from = erasures.some(({ isPrefix }) => isPrefix) ? this.#recent.first : Math.min(...seqs);
    this.#recent.erase(isErased, from, last);
    this.#early.erase(isErased);
    return isErased;
  }

  /** Call it if the erasures are unknown: neither messages in memory nor those from the bus may be shown. All are read from the log again. */
  forgetAll({ head }: LogState): void {
    this.#recent.forgetAll();
    this.#early.clear();
    this.#erasedAhead = Math.max(this.#erasedAhead, head);
  }

  #take(message: Message): void {
    const { seq } = message;
    const { first, last } = this.#recent;
    if (seq <= last) {
      // A message may come twice. The same number in another epoch means that the log was replaced.
      if (seq >= first && this.#recent.epochAt(seq) !== message.epoch) this.#look();
      return;
    }
    if (!this.#log()!.lineage.isGood(message)) {
      // The message is of another log, or of an epoch that began just now. A look learns the new epoch and reads the message.
      this.#look();
      return;
    }
    if (seq <= this.#erasedAhead) {
      this.#target = Math.max(this.#target, seq);
      this.#fill();
      return;
    }
    if (seq === last + 1) {
      this.#append(message);
      if (this.#early.size > 0) this.#takeEarly();
    } else if (!this.#early.add(message)) {
      this.#target = Math.max(this.#target, seq);
      this.#fill();
    }
  }

  /** Adds the early messages that now come next. */
  #takeEarly(): void {
    for (let next = this.#early.take(this.#recent.last + 1); next !== undefined; next = this.#early.take(this.#recent.last + 1)) {
      // While the message waited, a copy may have replaced the log and given its number to another message.
      if (!this.#log()!.lineage.isGood(next)) return;
      this.#append(next);
    }
  }

  /** Whether a commit from the bus begins right after the tail's end, and no message waits. Then all its messages can be added without a check of each. */
  #isNext({ epoch, first, last, isRun }: ReceivedMessages, { lineage }: LogState): boolean {
    return isRun && first === this.#recent.last + 1 && first > this.#erasedAhead && this.#early.size === 0 && lineage.isGood({ epoch, seq: first }) && lineage.isGood({ epoch, seq: last });
  }

  #append(message: Message): void {
    this.#recent.push(message);
    this.#added(this.#newest, message.topic);
  }
}
