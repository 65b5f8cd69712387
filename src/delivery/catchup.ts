import type { StoreClock } from '../log/store-clock.ts';
import type { Tail } from '../log/tail.ts';
import type { LogState } from '../model/epochs.ts';
import { locate, startWithGap } from '../model/gap.ts';
import type { Message } from '../model/message.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Counters } from '../runtime/counters.ts';
import type { Logger } from '../runtime/logger.ts';
import { StoreError, type Page, type Store } from '../store/store.ts';
import type { Group } from './audience.ts';
import { Bundle, type Reader } from './reader.ts';

/** Bounds the reads of the log under way for readers, so that a storm of them leaves the database to the publishers. */
const READS = 4;
/** One read, and one write to a reader that is behind: bounds what a slow socket holds. Messages, and bytes of data. */
const STEP_MESSAGES = 512;
const STEP_BYTES = 64 * 1024;
/**
 * How far behind a reader may be to be served from the tail: what it wants is looked for message by message there, while the
 * log has an index. Bounds that search. Messages.
 */
const NEAR_MESSAGES = 20_000;
/** How long readers are served before the event loop goes on with other things. Milliseconds. */
const TURN_MS = 8;
/** How long a group waits after the log could not be read. Milliseconds. */
const RETRY_MS = 500;

/**
 * Readers that are behind, until they are live.
 *
 * Those whose place is in the newer part of the tail are served from memory; for the others the log is read. One read serves all
 * readers of a group whose place it covers: it starts at the smallest place that lies ahead of the last read, as an
 * elevator does, so thousands that come back at once with cursors close to each other cost a few reads, and none starves.
 *
 * A reader takes one step at a time, and the next only when its socket has room. Where its step ends at the end of the
 * tail it is live from the same turn on: there is no seam between replay and live.
 */
export class Catchup {
  readonly #store: Store;
  readonly #tail: Tail;
  readonly #clock: Clock;
  readonly #storeClock: StoreClock;
  readonly #counters: Counters;
  readonly #logger: Logger;
  readonly #queue = new Set<Group>();
  /** Groups that wait for one of the reads to end. */
  readonly #starved = new Set<Group>();
  #scheduled = false;
  #reads = 0;
  /** Whether the last read failed: that is said once, not for each group and try. */
  #failed = false;
  #stopped = false;

  constructor(options: { store: Store; tail: Tail; clock: Clock; storeClock: StoreClock; counters: Counters; logger: Logger }) {
    this.#store = options.store;
    this.#tail = options.tail;
    this.#clock = options.clock;
    this.#storeClock = options.storeClock;
    this.#counters = options.counters;
    this.#logger = options.logger;
  }

  get readsUnderWay(): number {
    return this.#reads;
  }

  stop(): void {
    this.#stopped = true;
  }

  /** Goes on with a reader: it was just opened, its socket has drained, or the tail has changed under it. */
  resume(reader: Reader): void {
    if (reader.live || !canGoOn(reader)) return;
    reader.group.behind.add(reader);
    this.#enqueue(reader.group);
  }

  /** Forgets a reader that was closed. */
  forget(reader: Reader): void {
    reader.group.behind.delete(reader);
  }

  #enqueue(group: Group): void {
    this.#queue.add(group);
    if (this.#scheduled || this.#stopped) return;
    this.#scheduled = true;
    this.#clock.soon(() => {
      this.#scheduled = false;
      this.#turn();
    });
  }

  #turn(): void {
    if (this.#stopped) return;
    const until = this.#clock.monotonic() + TURN_MS;
    for (const group of this.#queue) {
      this.#queue.delete(group);
      this.#serve(group, until);
      if (this.#clock.monotonic() >= until) break;
    }
    const rest = this.#queue.values().next().value;
    if (rest !== undefined) this.#enqueue(rest);
  }

  #serve(group: Group, until: number): void {
    const covered: Reader[] = [];
    let below: Reader[] | undefined;
    for (const reader of group.behind) {
      if (!canGoOn(reader)) group.behind.delete(reader);
      else if (this.#isNear(reader.seq)) covered.push(reader);
      else (below ??= []).push(reader);
    }
    if (covered.length > 0) this.#serveFromTail(group, covered, until);
    if (below !== undefined) this.#serveFromLog(group, below);
  }

  #serveFromTail(group: Group, readers: readonly Reader[], until: number): void {
    const log = this.#tail.log!;
    for (const reader of readers) {
      const at = reader.position();
      if (!log.lineage.isGood(at)) reader.gap(locate(at, log));
    }
    const from = placeAhead(readers, group.walked);
    if (!this.#isNear(from)) return this.#enqueue(group);
    const { messages, end } = this.#tail.behind(from, (topic) => group.filter.matches(topic), STEP_MESSAGES);
    const isEnd = end.seq === this.#tail.last;
    group.walked = end.seq;
    const steps = new Steps(messages, this.#storeClock.now(), this.#tail.frame);
    let served = 0;
    for (const reader of readers) {
      // Another walk comes to those who stand elsewhere.
      if (reader.seq < from || (reader.seq >= end.seq && !isEnd)) continue;
      group.behind.delete(reader);
      const step = steps.after(reader.seq);
      reader.deliver(step.bundle);
      // Invariant 4: the cursor moves once its frames are written, in the same turn, and never before.
      if (!step.isLast) reader.moveTo(messages[step.end - 1]!);
      else if (isEnd) this.#arrive(reader);
      else reader.moveTo(end);
      this.#goOn(reader);
      if (++served % 64 === 0 && this.#clock.monotonic() >= until) {
        // The others of this stretch come first in the next turn.
        group.walked = from;
        break;
      }
    }
    if (group.behind.size > 0) this.#enqueue(group);
  }

  #isNear(seq: number): boolean {
    return this.#tail.covers(seq) && seq >= this.#tail.last - NEAR_MESSAGES;
  }

  /** At the end of the tail: live from now on, unless the socket is full. */
  #arrive(reader: Reader): void {
    if (reader.seq < this.#tail.last) reader.moveTo(this.#tail.position);
    reader.live = !reader.isBlocked;
  }

  #goOn(reader: Reader): void {
    if (!reader.live && canGoOn(reader)) reader.group.behind.add(reader);
  }

  #serveFromLog(group: Group, readers: readonly Reader[]): void {
    if (group.reading) return;
    if (this.#reads >= READS) {
      this.#starved.add(group);
      return;
    }
    void this.#read(group, placeAhead(readers, group.sweep));
  }

  async #read(group: Group, after: number): Promise<void> {
    group.reading = true;
    this.#reads++;
    let page: Page | undefined;
    try {
      page = await this.#tail.ask(() => this.#store.read({ after, filter: group.filter, limit: STEP_MESSAGES, maxBytes: STEP_BYTES }));
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      if (!this.#failed) this.#logger.warn({ err: error }, 'the log cannot be read for streams that are behind; they wait');
      this.#failed = true;
    } finally {
      group.reading = false;
      this.#reads--;
    }
    if (this.#stopped) return;
    for (const starved of this.#starved) this.#enqueue(starved);
    this.#starved.clear();
    if (page === undefined) {
      this.#clock.after(RETRY_MS, () => this.#enqueue(group));
      return;
    }
    this.#failed = false;
    this.#distribute(group, after, page);
    if (page.scanned <= after && !this.#isNear(after)) this.#disagree(group, page.log);
    else if (group.behind.size > 0) this.#enqueue(group);
  }

  #distribute(group: Group, after: number, page: Page): void {
    this.#counters.reads++;
    this.#counters.rowsExamined += page.examined;
    group.sweep = page.scanned;
    const { log } = page;
    const end = log.lineage.at(page.scanned);
    const steps = new Steps(page.messages, this.#storeClock.now());
    for (const reader of group.behind) {
      if (!canGoOn(reader)) {
        group.behind.delete(reader);
        continue;
      }
      // Invariant 9: the page and the oldest number are of one snapshot, so what the page lacks was deleted.
      if (reader.seq < log.oldest - 1) reader.gap(startWithGap(reader.position(), log.oldest - 1, 'expired', log));
      if (reader.seq < after || reader.seq >= page.scanned) continue;
      group.behind.delete(reader);
      if (!log.lineage.isGood(reader.position())) reader.gap(locate(reader.position(), log));
      else {
        // The whole page: it has the bounds of a step.
        reader.deliver(steps.after(reader.seq, Infinity).bundle);
        reader.moveTo(end);
        this.#counters.readsServed++;
        if (reader.seq >= this.#tail.last) this.#arrive(reader);
      }
      this.#goOn(reader);
    }
  }

  /** The tail is further than the log: the tail must look again, and the group waits for that. */
  #disagree(group: Group, log: LogState): void {
    this.#logger.warn({ tail: this.#tail.last, head: log.head }, 'the log ends before the tail');
    void this.#tail.look();
    this.#clock.after(RETRY_MS, () => this.#enqueue(group));
  }
}

/** Since it was put among those behind, a reader may have been sent away, or a heartbeat have found its socket full. */
function canGoOn(reader: Reader): boolean {
  return !reader.closed && !reader.isBlocked;
}

/** The smallest place that lies ahead of the last read, or else the smallest of all: as an elevator goes, so that nobody starves. */
function placeAhead(readers: readonly Reader[], last: number): number {
  let next = Infinity;
  let lowest = Infinity;
  for (const { seq } of readers) {
    lowest = Math.min(lowest, seq);
    if (seq >= last) next = Math.min(next, seq);
  }
  return next === Infinity ? lowest : next;
}

interface Step {
  readonly bundle: Bundle;
  /** Index behind the last message of the step. */
  readonly end: number;
  readonly isLast: boolean;
}

/** Cuts a list of messages into steps from any place in it; readers at the same place share one. */
class Steps {
  readonly #messages: readonly Message[];
  readonly #now: number;
  readonly #frame: ConstructorParameters<typeof Bundle>[1];
  readonly #made = new Map<number, Step>();

  constructor(messages: readonly Message[], now: number, frameOf?: ConstructorParameters<typeof Bundle>[1]) {
    this.#messages = messages;
    this.#now = now;
    this.#frame = frameOf;
  }

  /** The step of a reader that stands at a number. */
  after(seq: number, maxBytes = STEP_BYTES): Step {
    const start = this.#indexBehind(seq);
    let step = this.#made.get(start);
    if (step === undefined) this.#made.set(start, (step = this.#make(start, maxBytes)));
    return step;
  }

  #make(start: number, maxBytes: number): Step {
    const chosen: Message[] = [];
    let end = start;
    for (let bytes = 0; end < this.#messages.length && bytes < maxBytes && chosen.length < STEP_MESSAGES; end++) {
      const message = this.#messages[end]!;
      if (message.isExpired(this.#now)) continue;
      chosen.push(message);
      bytes += message.data.length;
    }
    return { bundle: new Bundle(chosen, this.#frame), end, isLast: end === this.#messages.length };
  }

  #indexBehind(seq: number): number {
    let low = 0;
    let high = this.#messages.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#messages[middle]!.seq <= seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
