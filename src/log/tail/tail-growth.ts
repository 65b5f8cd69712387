import type { ReceivedMessages } from '../../bus/received-messages.ts';
import type { LogState } from '../../model/epochs.ts';
import type { Message } from '../../model/message.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Counters } from '../../runtime/counters.ts';
import type { Page } from '../../store/store.ts';
import { among, type KnownErasure } from './known-erasures.ts';
import type { Named, Recent } from './recent-messages.ts';
import { ReorderBuffer } from './reorder-buffer.ts';

/** Messages of smaller commits become objects at once: the bytes and lists of a commit take more memory than so few objects. */
const BYTES_MIN_MESSAGES = 4;

export interface TailGrowthDependencies {
  readonly clock: Clock;
  readonly counters: Pick<Counters, 'filled'>;
  /** Messages are added to these. */
  readonly recent: Recent;
  /** The state of the log; undefined before it is open. */
  readonly log: () => LogState | undefined;
  /** Called for each message at the end. @param message Makes the object, if this message came as bytes. */
  readonly added: (message: () => Message, topic: string) => void;
  /** Whether the log is being read for the tail. */
  readonly isFilling: () => boolean;
  /** Reads the log from the end of the tail to its head. */
  readonly fill: () => void;
  /** Looks at the log. */
  readonly look: () => void;
}

/**
 * How the tail grows: messages come in any order, twice or not at all, and are added by number. An early message waits (reorder-buffer.ts). A commit from the bus that goes on where the tail ends
 * stays bytes, as far as no reader wants its messages.
 */
export class TailGrowth {
  readonly #counters: TailGrowthDependencies['counters'];
  readonly #recent: Recent;
  readonly #log: TailGrowthDependencies['log'];
  readonly #added: TailGrowthDependencies['added'];
  readonly #isFilling: TailGrowthDependencies['isFilling'];
  readonly #fill: TailGrowthDependencies['fill'];
  readonly #look: TailGrowthDependencies['look'];
  /** Messages that came too early. */
  readonly #early: ReorderBuffer;
  /** The newest number of the log that is known of. */
  #target = 0;
  /** The last number that was erased before the tail had it. Up to there, messages are taken from the log and not from the bus, which may bring them as they were before. */
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

  /** The head of the log is known. */
  aimAt(head: number): void {
    this.#target = Math.max(head, this.#recent.last);
  }

  stop(): void {
    this.#isStopped = true;
    this.#early.stop();
  }

  /** Messages of one commit that came over the bus. */
  receive(messages: ReceivedMessages): void {
    const log = this.#log();
    if (log === undefined || this.#isStopped) return;
    if (messages.length < BYTES_MIN_MESSAGES || !this.#isNext(messages, log)) return this.offer(messages);
    for (let index = 0; index < messages.length; index++) {
      this.#recent.pushReceived(messages, index);
      this.#added(this.#newest, messages.topicAt(index));
    }
  }

  /** Messages of one commit, in order, from wherever they came. */
  offer(messages: Iterable<Message>): void {
    if (this.#log() === undefined || this.#isStopped) return;
    for (const message of messages) this.#take(message);
    this.awaitMissing();
  }

  /** A page of the log. @param expected `highestEarly` before the page was asked for. */
  takePage({ messages, log }: Page, expected: number): void {
    for (const message of messages) {
      if (message.seq !== this.#recent.last + 1) continue;
      this.#append(message);
      this.#counters.filled++;
    }
    // An early message that was here before the snapshot, and is beyond its head, belongs to no commit of this log.
    this.#early.forget((seq) => seq <= this.#recent.last || (seq <= expected && seq > log.head));
    this.#takeEarly();
  }

  /** Waits a short time for the messages that are missing before an early one. */
  awaitMissing(): void {
    if (!this.#isFilling() && !this.#isStopped) this.#early.wait();
  }

  /** Another log has taken the place of the known one. */
  clear(): void {
    this.#early.clear();
  }

  /** Makes tombstones of erased messages in memory. Returns whether a message is one of them. */
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

  /** The erasures are unknown: nothing in memory, or from a hint, may be shown. */
  forgetAll({ head }: LogState): void {
    this.#recent.forgetAll();
    this.#early.clear();
    this.#erasedAhead = Math.max(this.#erasedAhead, head);
  }

  #take(message: Message): void {
    const { seq } = message;
    const { first, last } = this.#recent;
    if (seq <= last) {
      // Twice is nothing new; the same number under another epoch means that the log was exchanged.
      if (seq >= first && this.#recent.epochAt(seq) !== message.epoch) this.#look();
      return;
    }
    if (!this.#log()!.lineage.isGood(message)) {
      // Another log's, or of an epoch not heard of yet: the log says which, and has it in the second case.
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

  /** Adds the messages that waited for the newest one, and forgets those that arrived by another way. */
  #takeEarly(): void {
    for (let next = this.#early.take(this.#recent.last + 1); next !== undefined; next = this.#early.take(this.#recent.last + 1)) {
      // Since it came, the log may have been exchanged for a copy that gave its number to another message.
      if (!this.#log()!.lineage.isGood(next)) return;
      this.#append(next);
    }
  }

  /** Whether a commit from the bus goes on where the tail ends, and no message waits. Then each of its messages can be added without another question. */
  #isNext({ epoch, first, last, isRun }: ReceivedMessages, { lineage }: LogState): boolean {
    return isRun && first === this.#recent.last + 1 && first > this.#erasedAhead && this.#early.size === 0 && lineage.isGood({ epoch, seq: first }) && lineage.isGood({ epoch, seq: last });
  }

  #append(message: Message): void {
    this.#recent.push(message);
    this.#added(this.#newest, message.topic);
  }
}
