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
 * This room is the message log as one instance sees it. Drafts come in through the publisher, which stores them in group commits and sends them over the bus.
 * The tail keeps the newest messages in memory, in order: from this instance's commits, the bus, and the store. It passes each message to its listener, `src/delivery/`.
 * `Starts` turns a client's request into a position, `History` reads pages from there, retention deletes the oldest messages, and the eraser makes tombstones.
 *
 * Read `publisher/publisher.ts` first, then `tail/tail.ts`, `history/history-pages.ts` and `retention/retention.ts`. This file only connects them.
 */

/** Bounds the reads under way for pages, for the newest messages, and for positions by their time. Stops a burst of requests from delaying streams and publishers. */
const HISTORY_READS = 4;
/** Bounds the reads that wait for a place among `HISTORY_READS`. Further reads are refused. */
const HISTORY_WAITING_READS = 1_000;

export interface MessageLogSettings {
  /** Memory for the newest messages. Bytes. */
  readonly tailBytes: number;
  /** How often the tail polls the head of the log. */
  readonly pollMs: number;
  /** The bounds of the publish queue: messages, and bytes of data. */
  readonly queueMessages: number;
  readonly queueBytes: number;
  /** Older messages are deleted; 0 disables the limit. */
  readonly retentionMs: number;
  /** The most bytes of messages: beyond it the oldest messages are deleted. 0 disables the limit. */
  readonly retentionBytes: number;
  /** The quota of one topic, and of one sender, in percent of `retentionBytes`. 0 disables it. */
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

/** Assembles the parts of the room. */
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

  /** Why the log cannot be read or written now; undefined if it can. */
  get failure(): string | undefined {
    return this.tail.failure ?? this.publisher.failure;
  }

  /**
   * The secret with which an instance proves on the bus that it can read the log. Undefined unless the epoch is the newest of the log, because
   * anybody with an old backup has older secrets. Also undefined if a program that knew no secrets began the epoch.
   */
  secretOf(epoch: string): string | undefined {
    const newest = this.tail.log?.lineage.epochs.at(-1);
    return newest?.epoch === epoch ? newest.secret : undefined;
  }

  /** The newest known epoch and the log's clock, for the envelopes of the bus. The epoch is '' until the log is open. */
  sealing(): { readonly epoch: string; readonly now: number } {
    return { epoch: this.tail.log?.lineage.epochs.at(-1)?.epoch ?? '', now: this.storeClock.now() };
  }

  /** Starts with the state of a log that the store has just opened. Resolves when the tail has read up to the head. */
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
