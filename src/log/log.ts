import type { Bus } from '../bus/bus.ts';
import type { LogState } from '../model/epochs.ts';
import { CallLimiter } from '../runtime/sharing/call-limiter.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Counters } from '../runtime/counters.ts';
import type { Logger } from '../runtime/logging/logger.ts';
import { tooManyWait } from '../store/change-problem.ts';
import type { Appends, Store } from '../store/store.ts';
import { Eraser } from './eraser.ts';
import { History } from './history/history-pages.ts';
import { Publisher } from './publisher/publisher.ts';
import { NO_QUOTA, Quota } from './retention/quota.ts';
import { Retention } from './retention/retention.ts';
import { Starts } from './history/start-position.ts';
import { StoreClock } from './tail/store-clock.ts';
import type { TailListener } from './tail/tail-listener.ts';
import { Tail } from './tail/tail.ts';
import { TopicReads } from './history/topic-reads.ts';
import { WalkTurns } from './history/walk-turns.ts';

/**
 * This room is the message log as one instance sees it. Drafts come in through the publisher, which stores them in group commits and tells the bus.
 * The tail holds the newest messages in order: from this instance's commits, the bus, and the store. It passes each to its listener, the room delivery.
 * `Starts` turns a client's request into a position in the log, `History` reads pages from there, and retention deletes the oldest messages. The eraser takes
 * messages back.
 */

/** Bounds the reads under way for pages, for the newest messages, and for positions by their time. Stops a burst of requests from keeping streams and publishers from the log. */
const HISTORY_READS = 4;
/** Bounds how many reads may wait for one of these. */
const HISTORY_WAITING_READS = 1_000;

export interface MessageLogSettings {
  /** Memory for the newest messages. Bytes. */
  readonly tailBytes: number;
  /** How often the head of the log is looked at. */
  readonly pollMs: number;
  /** How much may wait for its commit. Messages, and bytes of data. */
  readonly queueMessages: number;
  readonly queueBytes: number;
  /** Older messages are deleted; 0 disables the limit. */
  readonly retentionMs: number;
  /** The most bytes of messages: beyond it the oldest messages are deleted. 0 disables the limit. */
  readonly retentionBytes: number;
  /** The most of that one topic, and one sender, may hold. Percent; 0 is no limit. */
  readonly topicShare: number;
  readonly senderShare: number;
  /** The most idempotency keys: beyond it the oldest keys are deleted. 0 disables the limit. */
  readonly maxKeys: number;
}

export interface MessageLogDependencies {
  readonly store: Store;
  /** Where messages are appended: the store itself if absent. */
  readonly appends?: Appends;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly counters: Counters;
  readonly logger: Logger;
  /** Writes audit lines; `logger` if absent. */
  readonly audit?: Pick<Logger, 'info'>;
  readonly settings: MessageLogSettings;
}

/** The parts of the room, put together. */
export class MessageLog {
  readonly storeClock: StoreClock;
  readonly tail: Tail;
  readonly publisher: Publisher;
  readonly starts: Starts;
  readonly history: History;
  readonly topics: TopicReads;
  readonly retention: Retention;
  readonly #quota: Quota | undefined;
  readonly eraser: Eraser;

  constructor({ store, appends = store, bus, clock, counters, logger, audit = logger, settings }: MessageLogDependencies) {
    const storeClock = new StoreClock(clock);
    const tail = new Tail({ store, clock, storeClock, counters, logger, maxBytes: settings.tailBytes, pollMs: settings.pollMs });
    this.storeClock = storeClock;
    this.tail = tail;
    this.retention = new Retention({ store, clock, counters, logger, maxAge: settings.retentionMs, maxBytes: settings.retentionBytes, maxKeys: settings.maxKeys });
    const { retentionBytes, topicShare, senderShare } = settings;
    this.#quota = topicShare === 0 && senderShare === 0 ? undefined : new Quota({ store, clock, logger, maxBytes: retentionBytes, topicShare, senderShare, oldest: () => tail.log?.oldest ?? 0 });
    this.publisher = new Publisher({ store: appends, tail, bus, clock, counters, logger, pace: this.retention, quota: this.#quota ?? NO_QUOTA, maxMessages: settings.queueMessages, maxBytes: settings.queueBytes });
    const reads = new CallLimiter({ places: HISTORY_READS, maxWaiting: HISTORY_WAITING_READS, refusal: tooManyWait, gate: 'reads', counters });
    const walks = new WalkTurns({ clock, counters });
    this.starts = new Starts({ store, tail, storeClock, reads, walks });
    this.history = new History({ store, tail, storeClock, reads, walks });
    this.topics = new TopicReads({ store, tail, reads });
    this.eraser = new Eraser({ store, tail, storeClock, bus, clock, counters, logger, audit });
  }

  /** Why the log cannot be read or written; undefined when it can. */
  get failure(): string | undefined {
    return this.tail.failure ?? this.publisher.failure;
  }

  /**
   * The secret of an epoch, if it is the newest one of the log. It proves on the bus that a sender can read the log. An older secret, perhaps out of an old
   * backup, proves nothing. Undefined too where an older program began the epoch.
   */
  secretOf(epoch: string): string | undefined {
    const newest = this.tail.log?.lineage.epochs.at(-1);
    return newest?.epoch === epoch ? newest.secret : undefined;
  }

  /** The newest epoch of the log that this instance knows, and the log's clock; the epoch is '' before the log is open. */
  sealing(): { readonly epoch: string; readonly now: number } {
    return { epoch: this.tail.log?.lineage.epochs.at(-1)?.epoch ?? '', now: this.storeClock.now() };
  }

  /** Begins with a log that the store has just opened; resolves when the tail has reached its head. */
  async open(log: LogState, listener: TailListener): Promise<void> {
    await Promise.all([this.tail.open(log, listener), this.#quota?.open()]);
  }

  stop(): void {
    this.publisher.stop();
    this.#quota?.stop();
    this.eraser.stop();
    this.retention.stop();
    this.tail.stop();
  }
}
