import { frame, type Form } from '../delivery/sse.ts';
import type { LogState } from '../model/epochs.ts';
import { locate, type Start } from '../model/gap.ts';
import type { Message } from '../model/message.ts';
import type { Position } from '../model/position.ts';
import type { Clock, Timer } from '../runtime/clock.ts';
import type { Counters } from '../runtime/counters.ts';
import type { Logger } from '../runtime/logger.ts';
import { StoreError, type Page, type Store } from '../store/store.ts';
import { Early } from './early.ts';
import { Recent } from './recent.ts';
import type { StoreClock } from './store-clock.ts';
import { Patience, SILENT } from './store-silence.ts';

/** How long a message that came out of order waits for the one before it, until that is read from the log. Milliseconds. */
const REORDER_MS = 20;
/** One read of the log for the tail: bounds what a catch-up of the tail handles in one turn. Messages and bytes. */
const FILL_MESSAGES = 1_000;
const FILL_BYTES = 1024 * 1024;
/** How far back a new instance's tail begins: so that the clients of the one before it, which return at once, need no read each. Messages. */
const WARM_MESSAGES = 10_000;

/** One walk through the tail: stops a filter that matches little from holding up everything else. Messages. */
const WALK_MESSAGES = 2_000;

/** A part of the tail, as far as a filter wants it. */
export interface Stretch {
  readonly messages: readonly Message[];
  /** Everything up to here was looked at. */
  readonly end: Position;
}

/** Who is told what becomes of the tail. */
export interface TailListener {
  /** A message was added at the end. */
  append(message: Message): void;
  /**
   * The end of the tail is about to change otherwise than by growing: readers stop being live, `change` is applied, and
   * all of them look where they stand.
   */
  disturb(change: () => void): void;
  /** The log has an epoch that it did not have: readers that are ahead of the tail look whether they stand in it. */
  renew(): void;
}

/**
 * The newest stretch of the log, in order and without gaps (invariant 3), bounded in bytes.
 *
 * Messages come from this instance's own commits and from the bus, in any order, doubled, or not at all. What carries
 * the next number is added. What is further on waits for REORDER_MS; then the numbers before it are read from the log.
 * The head of the log is looked at every POLL_MS in any case, so a lost message is late, never missing (invariant 6).
 *
 * Every look also says which epochs the log has. If the tail's own end is not a position of that log any more, the log
 * was exchanged for an older copy of itself: the tail goes back to the last place that both share (invariant 8). If the
 * end lies below the oldest number, retention was faster than this instance: the tail jumps.
 */
export class Tail {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #storeClock: StoreClock;
  readonly #counters: Counters;
  readonly #logger: Logger;
  readonly #pollMs: number;
  #listener: TailListener | undefined;

  /** The messages up to the end. */
  readonly #recent: Recent;
  #position: Position = { epoch: '', seq: 0 };
  #log: LogState | undefined;

  readonly #early = new Early();
  #reorder: Timer | undefined;
  #poll: Timer | undefined;
  #filling = false;
  #fillAgain = false;
  #target = 0;
  #looking: Promise<void> | undefined;
  #lookAgain = false;
  #failure: string | undefined;
  readonly #patience: Patience;
  #stopped = false;

  constructor(options: { store: Store; clock: Clock; storeClock: StoreClock; counters: Counters; logger: Logger; maxBytes: number; pollMs: number }) {
    this.#store = options.store;
    this.#clock = options.clock;
    this.#patience = new Patience(options.clock);
    this.#storeClock = options.storeClock;
    this.#counters = options.counters;
    this.#logger = options.logger;
    this.#recent = new Recent(options.maxBytes);
    this.#pollMs = options.pollMs;
  }

  /** Begins with a log that was just opened; resolves when the tail has reached its head. */
  async start(log: LogState, listener: TailListener): Promise<void> {
    this.#listener = listener;
    this.#position = log.lineage.at(Math.max(log.oldest - 1, log.head - WARM_MESSAGES));
    this.#adopt(log);
    this.#schedulePoll();
    await this.#fill();
  }

  stop(): void {
    this.#stopped = true;
    this.#poll?.cancel();
    this.#reorder?.cancel();
  }

  /** What is known of the log, undefined before the start. */
  get log(): LogState | undefined {
    return this.#log;
  }

  /** Why the log cannot be read, as the last look found it; undefined when it can. */
  get failure(): string | undefined {
    return this.#failure ?? (this.#patience.isOver ? SILENT : undefined);
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

  /** The number of the oldest message in memory; `last` + 1 when there is none. */
  get first(): number {
    return this.last - this.length + 1;
  }

  get length(): number {
    return this.#recent.length;
  }

  get bytes(): number {
    return this.#recent.bytes;
  }

  /** Whether everything behind a number is in memory. */
  covers(seq: number): boolean {
    return seq >= this.first - 1;
  }

  /** Whether a position is one that the tail knows to be good. A no says nothing: the log must be asked. */
  knows({ epoch, seq }: Position): boolean {
    if (seq === this.last) return epoch === this.#position.epoch;
    return seq >= this.first && seq < this.last && this.#at(seq).epoch === epoch;
  }

  /**
   * The next stretch behind a number: at most `limit` messages that pass `wanted`, in order, and how far the tail was looked at,
   * which moves on in every call until it is the end of the tail. `covers(seq)` must hold.
   */
  behind(seq: number, wanted: (topic: string) => boolean, limit: number): Stretch {
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

  /** The frame of a message, with what it adds to the memory of the tail counted. */
  readonly frame = (message: Message, form: Form): Buffer => {
    const before = message.size;
    const encoded = frame(message, form);
    if (message.seq >= this.first && message.seq <= this.last) this.#recent.grew(message.size - before);
    return encoded;
  };

  /** What this instance itself committed. */
  committed(messages: readonly Message[], log: LogState): void {
    if (this.#log !== undefined && this.#isForked(log)) this.#goBack(locate(this.#position, log), log);
    else this.#adopt(log);
    this.offer(messages);
  }

  /** Messages of one commit, in order, from wherever they came. */
  offer(messages: readonly Message[]): void {
    if (this.#log === undefined || this.#stopped) return;
    for (const message of messages) this.#take(message);
    this.#awaitMissing();
  }

  /**
   * Asks the store, and takes over what the answer says of the log before anybody goes by it. So a reader never stands at a place
   * of which the tail has not heard: an epoch that began in another process, say, which it would take for another log's.
   */
  async ask<Answer extends { readonly log: LogState }>(question: () => Promise<Answer>): Promise<Answer> {
    const before = this.#position;
    const answer = await question();
    if (this.#log !== undefined && !this.#stopped && !this.#verify(before, answer.log)) void this.look();
    return answer;
  }

  /** Looks at the log now. Calls during a look are answered by one more. */
  look(): Promise<void> {
    this.#lookAgain = true;
    return (this.#looking ??= this.#lookWhileAsked());
  }

  async #lookWhileAsked(): Promise<void> {
    while (this.#lookAgain && !this.#stopped) {
      this.#lookAgain = false;
      await this.#lookOnce();
    }
    this.#looking = undefined;
  }

  async #lookOnce(): Promise<void> {
    if (this.#log === undefined) return;
    const before = this.#position;
    try {
      const log = await this.#patience.await(() => this.#store.state());
      this.#worked();
      this.#verify(before, log);
    } catch (error) {
      this.#failed(error);
      return;
    }
    if (this.#target > this.last) await this.#fill();
  }

  #schedulePoll(): void {
    if (this.#stopped) return;
    this.#poll = this.#clock.after(this.#pollMs, () => {
      void this.look().finally(() => this.#schedulePoll());
    });
  }

  #take(message: Message): void {
    const { seq } = message;
    if (seq <= this.last) {
      // Twice is nothing new; the same number under another epoch means that the log was exchanged.
      if (seq >= this.first && this.#at(seq).epoch !== message.epoch) void this.look();
      return;
    }
    if (!this.#log!.lineage.isGood(message)) {
      // Another log's, or of an epoch not heard of yet: the log says which, and has it in the second case.
      void this.look();
      return;
    }
    if (seq === this.last + 1) {
      this.#append(message);
      if (this.#early.size > 0) this.#takeEarly();
    } else if (!this.#early.add(message)) {
      this.#target = Math.max(this.#target, seq);
      void this.#fill();
    }
  }

  /** Adds what waited for the message that just came, and forgets what came otherwise. */
  #takeEarly(): void {
    for (let next = this.#early.take(this.last + 1); next !== undefined; next = this.#early.take(this.last + 1)) {
      // Since it came, the log may have been exchanged for a copy that gave its number to another message.
      if (!this.#log!.lineage.isGood(next)) return;
      this.#append(next);
    }
  }

  /** Gives what is missing before an early message a short while to come by itself. */
  #awaitMissing(): void {
    if (this.#early.size === 0 || this.#filling || this.#stopped) return;
    this.#reorder ??= this.#clock.after(REORDER_MS, () => {
      this.#reorder = undefined;
      if (this.#early.size > 0) void this.#fill();
    });
  }

  #append(message: Message): void {
    // Invariant 3: the one place where the tail grows, by the next number and no other.
    if (message.seq !== this.last + 1) throw new Error(`the tail ends at ${this.last} and cannot go on with ${message.seq}`);
    this.#recent.push(message);
    this.#position = message;
    this.#listener!.append(message);
  }

  /** Reads the log from the end of the tail to the head. One at a time: what comes up meanwhile is seen to by the one that runs. */
  async #fill(): Promise<void> {
    if (this.#filling) {
      this.#fillAgain = true;
      return;
    }
    this.#filling = true;
    try {
      do {
        this.#fillAgain = false;
        for (let goOn = true; goOn && !this.#stopped; ) goOn = await this.#fillOnce();
      } while (this.#fillAgain && !this.#stopped);
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#filling = false;
    }
    if (this.#failure === undefined) this.#awaitMissing();
  }

  /** Whether there is more to read. */
  async #fillOnce(): Promise<boolean> {
    const before = this.#position;
    const expected = this.#early.highest;
    const page = await this.#store.read({ after: before.seq, filter: undefined, limit: FILL_MESSAGES, maxBytes: FILL_BYTES });
    this.#worked();
    if (!this.#verify(before, page.log)) return true;
    this.#takePage(page);
    // Numbers beyond the head of a snapshot that is newer than they are belong to no commit of this log.
    this.#early.forget((seq) => seq <= this.last || (seq <= expected && seq > page.log.head));
    this.#takeEarly();
    return this.last < page.log.head;
  }

  #takePage(page: Page): void {
    for (const message of page.messages) {
      if (message.seq !== this.last + 1) continue;
      this.#append(message);
      this.#counters.filled++;
    }
  }

  /**
   * Compares the end of the tail, as it was before a snapshot was asked for, with what the snapshot says. Only a snapshot that is
   * newer than the position can tell that the position is none: an older one may simply not know it yet.
   */
  #verify(before: Position, log: LogState): boolean {
    const start = locate(this.#isForked(log) ? this.#position : before, log);
    if (start.gap === undefined) {
      this.#adopt(log);
      return true;
    }
    this.#goBack(start, log);
    return false;
  }

  /**
   * Whether the end of the tail is a place that the log has given to others: it came between the question and the answer, perhaps, from the
   * log that was exchanged. That is certain however old the snapshot is; and nothing may be added behind such an end.
   */
  #isForked(log: LogState): boolean {
    const shared = log.lineage.shared(this.#position);
    return shared === undefined ? isNewer(log, this.#log!) : shared < this.last;
  }

  #goBack({ at, gap }: Start, log: LogState): void {
    this.#logger.warn({ reason: gap?.reason, tail: gap?.requested, resumed: gap?.resumed }, gap?.reason === 'expired'
      ? 'retention overtook this instance: the tail goes on at the oldest message'
      : 'the log is not the one it was: the tail goes back to what both share');
    this.#listener!.disturb(() => {
      this.#log = log;
      this.#early.clear();
      this.#recent.keep(at.seq <= this.last ? Math.max(0, this.length - (this.last - at.seq)) : 0);
      this.#position = at;
    });
    this.#target = log.head;
  }

  /** Takes over what a snapshot says, unless something newer is known already. */
  #adopt(log: LogState): void {
    this.#storeClock.observe(log.now);
    const before = this.#log;
    if (before === undefined || isNewer(log, before) || (log.head >= before.head && !isNewer(before, log))) this.#log = log;
    if (before !== undefined && isNewer(this.#log!, before)) this.#listener!.renew();
    this.#target = Math.max(this.#log!.head, this.last);
  }

  #at(seq: number): Message {
    return this.#recent.at(seq - this.first);
  }

  #worked(): void {
    if (this.#failure !== undefined) this.#logger.info('the log can be read again');
    this.#failure = undefined;
  }

  #failed(error: unknown): void {
    if (!(error instanceof StoreError)) throw error;
    if (this.#failure === undefined) this.#logger.error({ err: error }, 'the log cannot be read; streams stay open and wait');
    this.#failure = error.message;
  }
}

/** Whether a snapshot has an epoch that another has not heard of. Then it is the newer one, though its head may lie before the other's: the log was exchanged. */
function isNewer(log: LogState, than: LogState): boolean {
  return log.lineage !== than.lineage && !than.lineage.knows(log.lineage.epochs.at(-1)!.epoch);
}
