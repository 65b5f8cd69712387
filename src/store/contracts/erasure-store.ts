import type { LogState } from '../../model/epochs.ts';
import type { Position } from '../../model/position.ts';

/**
 * Messages that are taken back. Both stores implement this contract, and `test/contract/store-erasures.ts` checks them. An erased message keeps its number, epoch, topic,
 * time and expiry, so the log has no hole (invariants 2 and 3). Its data and event name are gone: it is read as a tombstone (`Message.isErased`). Idempotency keys still
 * answer the first answer.
 *
 * Each call that erases something takes the next `version` in its own transaction, so versions are in the order of the commits. Every page names its version
 * (`LogState.erasures`): an instance with a later one knows which messages the page must not show. Calls that erase never take the head's lock where the database
 * has more than one, are durable when they resolve, and may be made again after `outcome-unknown`.
 *
 * Methods reject with a `StoreError` and nothing else. Erasing rejects with `LevelTooLow` where the log is below `ERASING_LEVEL`.
 */
export interface ErasureStore {
  /** Erases one message. */
  eraseMessage(position: Position): Promise<ErasedMessage>;

  /** One small step through a topic, oldest first: erases at most `rows` of its messages. Call again with `after` while `more`. */
  eraseTopic(query: TopicErasure): Promise<ErasedStep>;

  /** Erasures after a version. Never from a snapshot that is older than the call. */
  changes(after: number): Promise<ErasureChanges>;

  /**
   * One small step of wiping what no read shows any more: copies of erased data in the files of the database. Costs next to nothing where nothing is left to do.
   */
  wipe(): Promise<Wiped>;
}

/**
 * - `done`: everything erased before the call is wiped, as far as the database can do it.
 * - `more`: the round goes on. Call again.
 * - `next-round`: the round is done. Something was erased since it began: begin another one later, because each may write a large part of the files.
 * - `held-up`: somebody reads the database. Call again later.
 */
export type Wiped = 'done' | 'more' | 'next-round' | 'held-up';

/** Below this level of the log a program may run that would deliver a tombstone as an empty message. */
export const ERASING_LEVEL = 2;
/** The most erasures of one answer. An instance that has missed more asks again. */
export const ERASURES_MAX_ENTRIES = 500;
/** How many erasures are remembered. Stops the list from growing for ever. An instance that has missed more forgets all that it has in memory. */
export const KEPT_ERASURES_MAX_ENTRIES = 10_000;

/** `absent`: no message has this position, or retention has deleted it. `before`: it was erased already. */
export type ErasedMessage = 'erased' | 'before' | 'absent';

export interface TopicErasure {
  readonly topic: string;
  /** 0, or what the step before has scanned. */
  readonly after: number;
  /** The last message that may be erased. Where the log has no such position (any more), nothing is. */
  readonly through: Position;
  /** The most messages of this step. */
  readonly rows: number;
}

export interface ErasedStep {
  /** How many messages it erased; messages erased earlier do not count. */
  readonly erased: number;
  /** Everything up to here was looked at: the next step goes on after it. */
  readonly scanned: number;
  readonly more: boolean;
}

/** One erasure, as instances learn of it. */
export interface Erasure {
  readonly seq: number;
  readonly topic: string;
  /** Whether all messages of the topic up to this number are erased, and not only this one. */
  readonly isPrefix: boolean;
}

export interface ErasureChanges {
  /** Up to which version this tells: the newest, unless there are `more`; 0 where nothing was ever erased. It goes back only where the database did. */
  readonly version: number;
  /** Whether later ones did not fit into the answer: ask again from `version`. */
  readonly more: boolean;
  /**
   * The erasures after the version asked about, in their order, at most `ERASURES_MAX_ENTRIES`. undefined where anything may have been erased: not all are remembered, or the database may
   * have lost some.
   */
  readonly erasures: readonly Erasure[] | undefined;
  /** The state of the log in the same snapshot. */
  readonly log: LogState;
}
