import type { LogState } from '../../model/epochs.ts';
import type { Position } from '../../model/position.ts';

/**
 * Erasures of messages. `test/contract/store-erasures.ts` checks both stores.
 *
 * An erased message keeps its number, epoch, topic, time and expiry, so the log has no hole (invariants 2 and 3). It loses its data and event name, and
 * reads as a tombstone (`Message.isErased`). Its idempotency key still replays the first answer.
 *
 * Each call that erases something takes the next `version` in its own transaction, so versions are in the order of the commits. Every page of messages has
 * the version of its snapshot (`LogState.erasures`). An instance that has read a later version removes the messages that were erased between the two.
 *
 * On PostgreSQL no call takes the head's lock, so appends do not wait for it. Erasing rejects with `LevelTooLow` below `ERASING_LEVEL`.
 */
export interface ErasureStore {
  /** Erases one message. */
  eraseMessage(position: Position): Promise<ErasedMessage>;

  /** Takes one small step through a topic, oldest first: erases at most `rows` messages. While `more`, call again with `after: scanned`. */
  eraseTopic(query: TopicErasure): Promise<ErasedStep>;

  /** Reads the erasures after a version, from a snapshot that is not older than the call. */
  changes(after: number): Promise<ErasureChanges>;

  /**
   * Takes one small step of wiping: overwrites copies of erased data that are still in the files of the database. If there are none, it costs one query.
   */
  wipe(): Promise<Wiped>;
}

/**
 * A round of wiping takes several steps. The result of a step:
 *
 * - `done`: everything that was erased before the call is wiped, as far as the database can do it.
 * - `more`: the round is not finished. Call again.
 * - `next-round`: the round is finished, but something was erased after it began. Begin the next round later: each may write a large part of the files.
 * - `held-up`: a read transaction prevents the step. Call again later.
 */
export type Wiped = 'done' | 'more' | 'next-round' | 'held-up';

/** The level that the log needs for erasures: a program that knows no tombstones would deliver them as empty messages. */
export const ERASING_LEVEL = 2;
/** The most erasures of one answer. Bounds its size: an instance that has missed more calls again. */
export const ERASURES_MAX_ENTRIES = 500;
/** The most erasures that are remembered. Stops the list from growing for ever. An instance that has missed more drops all messages that it has in memory. */
export const KEPT_ERASURES_MAX_ENTRIES = 10_000;

/** `absent`: no message has this position any more. `before`: it was erased already. */
export type ErasedMessage = 'erased' | 'before' | 'absent';

export interface TopicErasure {
  readonly topic: string;
  /** 0, or `scanned` of the step before. */
  readonly after: number;
  /** The last message to erase. If the log does not have this position (any more), the step erases nothing. */
  readonly through: Position;
  /** The most messages to erase in this step. */
  readonly rows: number;
}

export interface ErasedStep {
  /** How many messages this step erased, tombstones not counted. */
  readonly erased: number;
  /** The step has examined everything up to this number. */
  readonly scanned: number;
  readonly more: boolean;
}

/** One erasure, as instances learn of it. */
export interface Erasure {
  readonly seq: number;
  readonly topic: string;
  /** True: all messages of the topic up to `seq` are erased. False: only message `seq`. */
  readonly isPrefix: boolean;
}

export interface ErasureChanges {
  /** The version of the last erasure in the answer: the newest, unless there are `more`. 0 if nothing was ever erased. It decreases only if the database was restored. */
  readonly version: number;
  /** Whether there are more than `ERASURES_MAX_ENTRIES`. Call again with `version`. */
  readonly more: boolean;
  /**
   * The erasures after the given version, in their order, at most `ERASURES_MAX_ENTRIES`. Undefined if any message may have been erased: the database has
   * forgotten some of these erasures (`KEPT_ERASURES_MAX_ENTRIES`), or may have lost some.
   */
  readonly erasures: readonly Erasure[] | undefined;
  /** The state of the log in the same snapshot. */
  readonly log: LogState;
}
