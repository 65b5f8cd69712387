import type { LostEpoch } from '../model/ancestry.ts';
import type { LogState } from '../model/epochs.ts';
import type { Draft, Message } from '../model/message.ts';
import type { Filter } from '../model/topic.ts';
import type { CountedTime } from './believed-clock.ts';
import type { SourceStep } from './contracts/connector-store.ts';
import type { ErasureStore } from './contracts/erasure-store.ts';
import type { TopicStore } from './contracts/topic-store.ts';
import type { UsageStore } from './contracts/usage-store.ts';

/**
 * The room `store` keeps the message log in a database. Publish requests come in, and each takes the next numbers of the log. Messages
 * go out by their numbers, with the state of the log at that moment. The log has every number from `oldest` to `head`, in the
 * order of the commits.
 *
 * `Store` is the contract for messages; `contracts/` has the contracts for all other records. `sqlite/` and `postgres/` implement them, and
 * `test/contract/` checks both. No other room depends on which of the two it uses. Files of this folder are common to both stores; `rows/` checks
 * their arguments and converts their rows.
 *
 * No method blocks the event loop. Each rejects with a `StoreError` and nothing else. If a disk or server hangs, a call rejects after its timeout.
 * A message that was reported as not stored is never stored later.
 */
export interface Store {
  /** The id of the log, random and never changed. It keeps the messages of two logs apart on one bus. Throws before `open` has resolved. */
  readonly logId: string;

  /** The bytes that a message adds to the log's size besides its topic, event name and data (row-bytes.ts). */
  readonly rowOverheadBytes: number;

  /** Summaries of how much of the log each topic and sender has stored. */
  readonly usage: UsageStore;

  /** The topics of the log, with their messages. */
  readonly topics: TopicStore;

  /** Erases messages. */
  readonly erasures: ErasureStore;

  /**
   * Opens the database, applies missing migrations and begins a new epoch. Several processes may do so at once.
   * May be called again after it rejected. Until it has resolved, every other method rejects with `unavailable`.
   */
  open(): Promise<LogState>;

  /**
   * Stores requests in one commit, in the order given. Resolves once they are durable: they survive `kill -9` and a power cut (invariant 1). If it
   * rejects with `unavailable` or `refused`, certainly nothing was stored. An empty list tests whether the log can be written; no read sees a change.
   *
   * - Numbers come from the head row, under its lock (invariant 2). The messages of one request have consecutive numbers.
   * - Idempotency keys are looked up under that lock, in a snapshot taken after it. Two requests with one key are stored once, also within one call.
   *   A key expires by the believed clock (invariant 10).
   * - `time` is the store's clock, read under the lock, but never before the time of the last message. If it is far behind the clock that the log
   *   remembers, the log remembers `time` instead (believed-clock.ts).
   */
  append(requests: readonly AppendRequest[]): Promise<Appended>;

  /** Reads the messages after a number, in order, and the state of the log, both from one snapshot (invariant 9). The state has `erasures`. */
  read(query: ReadQuery): Promise<Page>;

  /** Reads the state of the log, with `erasures`, from a snapshot that is not older than the call. */
  state(): Promise<LogState>;

  /**
   * Finds the number of the last message older than `time` (milliseconds since 1970), or `oldest` - 1. `missing`: retention has deleted messages of that
   * time or later.
   */
  seek(time: number): Promise<Sought>;

  /** Finds where the newest messages begin that together fit both bounds. `seq` is the number before the first of them: the head if none fits, at least `oldest` - 1. Reads no data. */
  newestWithin(bounds: NewestBounds): Promise<NewestBegin>;

  /**
   * Takes one step back through the log: finds the newest matching messages before a number, without those whose TTL has passed. Examines a bounded
   * number of rows, and reads no data.
   */
  findBack(query: BackQuery): Promise<FoundBack>;

  /**
   * Takes one small step of retention: deletes at most `rows` of the oldest messages, and moves `oldest` in the same transaction (invariant 9). Also
   * deletes at most `rows` idempotency keys: expired ones, and above `maxKeys` those that expire next. Call again while `more`.
   *
   * The believed clock decides what is too old, and the log stores the clock that was believed. On PostgreSQL no step takes the head's lock, so appends
   * do not wait for it.
   */
  trim(policy: TrimPolicy): Promise<Trimmed>;

  /** Stores lost epochs for other instances (`Ancestry`). Epochs that are stored already stay as they are. Only the newest `REMEMBERED_EPOCHS` are kept. */
  keepLost(lost: readonly LostEpoch[]): Promise<void>;

  /** Reads the stored lost epochs, from a snapshot that is not older than the call. */
  lost(): Promise<readonly LostEpoch[]>;

  /** Lets running calls finish, then releases the database. Resolves at once when called again. */
  close(): Promise<void>;
}

/** The part of a store that a publisher uses. It is the store itself, or one worker that writes for all workers of a machine (`bus/hub/shared-writer.ts`). */
export interface Appends extends Pick<Store, 'append' | 'rowOverheadBytes'> {
  /** Whether a commit may also have requests of other processes. */
  readonly isShared?: boolean;
  /** @param onLate Called once if the writing process is slow to answer. The caller may then append more requests without waiting for this answer. */
  append(requests: readonly AppendRequest[], onLate?: () => void): Promise<Appended>;
}

/** One publish request: its messages are stored all or none. */
export interface AppendRequest {
  readonly drafts: readonly Draft[];
  readonly key: IdempotencyKey | undefined;
  /** The step of a source: the source's positions move in the transaction of the messages. A request with a step is the only one of its call, and has no key. */
  readonly step?: SourceStep;
}

export interface IdempotencyKey {
  /** The namespace of the key, one for each credential. '' without credentials. */
  readonly scope: string;
  readonly key: string;
  /** A digest of everything in the request that the answer depends on, 32 bytes. */
  readonly fingerprint: Uint8Array;
  /** How long the key is remembered, in milliseconds. After that, a request with the same key is a new one. */
  readonly window: number;
}

export interface Appended {
  /** One outcome for each request, in order. */
  readonly outcomes: readonly Outcome[];
  readonly log: LogState;
  /** The writer has already sent these messages over the bus: a worker that writes for others does. */
  readonly isPublished?: boolean;
}

/**
 * The outcome of a request:
 *
 * - `stored`: its messages have consecutive numbers from `first`, and the same epoch and time;
 * - `replayed`: a request with this key was stored before; this repeats its outcome;
 * - `conflict`: the key belongs to another request, and nothing was stored;
 * - `outdated`: the step's fence is not the newest, or a stored position is not the one that the step moves from; nothing was stored.
 */
export type Outcome =
  | { readonly kind: 'stored' | 'replayed'; readonly epoch: string; readonly first: number; readonly time: number }
  | { readonly kind: 'conflict' }
  | { readonly kind: 'outdated' };

export interface ReadQuery {
  /** The number to read after: the first message is at least `after` + 1. */
  readonly after: number;
  /** Undefined: every message. Where an index serves the filter, a read examines only matching rows. */
  readonly filter: Filter | undefined;
  /** The most messages of the page, at least 1. */
  readonly limit: number;
  /** Whether to leave the data of the messages empty, and not read it. Then `maxBytes` bounds nothing. */
  readonly withoutData?: boolean;
  /** The read stops after the first message with which the data exceeds these bytes. So a page has at least one message, if there is one. */
  readonly maxBytes: number;
}

export interface Page {
  /** In the order of their numbers, expired messages included. */
  readonly messages: readonly Message[];
  /**
   * The read has examined every number from `after` + 1 (or `oldest`, if that is larger) up to this one; read on after it. It is larger than `after` if
   * `after` is below the head, even if nothing matched. A limit stopped the read if it is below `log.head`. If `after` is beyond the head, it is the head.
   */
  readonly scanned: number;
  readonly log: LogState;
  /** How many rows or index entries the database examined. For tests and metrics. */
  readonly examined: number;
}

/** The answer of `seek`. */
export interface Sought {
  readonly seq: number;
  readonly missing: boolean;
  readonly log: LogState;
}

export interface NewestBounds {
  /** At least 1. */
  readonly messages: number;
  /** Bytes of data. */
  readonly bytes: number;
}

/** The answer of `newestWithin`. */
export interface NewestBegin {
  readonly seq: number;
  readonly log: LogState;
}

export interface BackQuery {
  /** The search begins below this number. A number beyond the head counts as head + 1. */
  readonly before: number;
  /** Where an index serves the filter, a step examines only matching rows. */
  readonly filter: Filter;
  /** The most messages to find, at least 1. */
  readonly limit: number;
}

export interface FoundBack {
  /** The numbers of the messages that were found, the newest first. */
  readonly seqs: readonly number[];
  /**
   * The step has examined every number from this one to `before` - 1; search on below it. It is less than `before` if `before` is above the oldest number,
   * even if nothing matched. The search is complete once it is at most `log.oldest`.
   */
  readonly from: number;
  readonly log: LogState;
  /** How many rows or index entries the database examined. For tests. */
  readonly examined: number;
}

export interface TrimPolicy {
  /** Messages older than this are deleted, in milliseconds; 0 disables the limit. */
  readonly maxAge: number;
  /** The time as the caller has counted it on. The store compares its clock with it, if the count continues from the clock that the log remembers (believed-clock.ts). */
  readonly counted?: CountedTime;
  /** The oldest messages are deleted while the log's size exceeds these bytes; 0 disables the limit. */
  readonly maxBytes: number;
  /** Idempotency keys are deleted, the next to expire first, while there are more than this; 0 or absent disables the limit. */
  readonly maxKeys?: number;
  /** The most messages that this step deletes, and also the most keys. */
  readonly rows: number;
}

export interface Trimmed {
  /** How many messages, and how many keys, this step deleted. */
  readonly messages: number;
  readonly keys: number;
  /** How many of the keys had not expired. */
  readonly youngKeys: number;
  /** Whether another call would delete more. */
  readonly more: boolean;
  /** The log's size after this step, in bytes. */
  readonly bytes: number;
  /** How many idempotency keys the log has after this step. May be too large, because a key that was stored again may count twice; never too small. */
  readonly heldKeys: number;
  /** The machine's clock, in milliseconds since 1970. Unlike `log.now` it may be earlier than the newest message. */
  readonly machine: number;
  /** The believed clock (believed-clock.ts), by which this step measured ages. Never later than `machine`. */
  readonly believed: number;
  readonly log: LogState;
}

/**
 * - `unavailable`: the database cannot be reached, is locked, full, read-only, damaged, replaced or too new. Nothing was stored.
 * - `outcome-unknown`: nobody can tell whether the commit happened. The store does not send it again.
 * - `refused`: the database works, but refuses a row or an argument of this request. Nothing was stored.
 */
export type StoreErrorKind = 'unavailable' | 'outcome-unknown' | 'refused';

/** The only error that a store rejects with. Its message is for the service's log, not for clients. */
export class StoreError extends Error {
  override name = 'StoreError';
  readonly kind: StoreErrorKind;

  constructor(kind: StoreErrorKind, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.kind = kind;
  }
}

/** Errors that show a mistake in this program. */
const MISTAKES = [TypeError, RangeError, ReferenceError, SyntaxError];

/** Whether the database or the connection to it failed. False if the cause of the error is a mistake in this program. */
export function isStoreFailure(error: unknown): boolean {
  return error instanceof StoreError && !isMistake(error.cause);
}

function isMistake(error: unknown): boolean {
  return error instanceof Error && (MISTAKES.some((Mistake) => error instanceof Mistake) || isMistake(error.cause));
}
