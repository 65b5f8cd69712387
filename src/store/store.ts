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
 * go out by their numbers, with the state of the log at that moment. The log holds every number from `oldest` to `head`, in the
 * order of the commits. `sqlite/` and `postgres/` implement this contract, and `test/contract/store.ts` checks them both. No other
 * room knows which of them it has.
 *
 * No method blocks the event loop: not for a lock, not for a disk. Each rejects with a `StoreError` and nothing else. When a disk or server hangs, a call
 * rejects after some time. A message reported as not stored is never stored later.
 */
export interface Store {
  /** The log's lasting id (random, made with the database). It keeps two logs apart on one bus. Throws before `open` has resolved. */
  readonly logId: string;

  /** The bytes of a message in the log's size beyond its names and data: `rowBytes` of row-bytes.ts. */
  readonly rowOverheadBytes: number;

  /** How much of the log each topic and sender holds. */
  readonly usage: UsageStore;

  /** The topics of the log, with their messages. */
  readonly topics: TopicStore;

  /** Takes messages back. */
  readonly erasures: ErasureStore;

  /**
   * Opens the database, brings its schema up to date and begins a new epoch. Safe when many processes do it at once.
   * May be called again after it rejected. Every other method rejects with `unavailable` until it has resolved.
   */
  open(): Promise<LogState>;

  /**
   * Stores requests in one commit, in the order given, and resolves once they are durable (invariant 1): they survive
   * `kill -9` and a power cut. Inserted rows take their numbers from the head row, under its lock (invariant 2). The messages of one request are consecutive.
   * Keys are looked up under that lock, in a snapshot taken after it; two requests with one key, also within one call, are stored once. `time` is the store's
   * clock, read under the lock, and at least the last
   * message's. A key expires by the believed clock (invariant 10). If a
   * message's time is far behind the clock that the log remembers, the log remembers that time instead (believed-clock.ts).
   *
   * All or nothing: when it rejects with `unavailable` or `refused`, nothing was stored, for certain. An empty list is
   * allowed and writes nothing that a read could see: it shows that the log can be written.
   */
  append(requests: readonly AppendRequest[]): Promise<Appended>;

  /** The messages after a number, in order, with the state of the log from the same snapshot (invariant 9), `erasures` too. */
  read(query: ReadQuery): Promise<Page>;

  /** The state of the log now, with `erasures`: never from a snapshot that is older than the call. */
  state(): Promise<LogState>;

  /**
   * Finds the last message older than `time` (milliseconds since 1970): its number, at least `oldest` - 1. Also tells whether messages of that time or later
   * were deleted.
   */
  seek(time: number): Promise<Sought>;

  /** Where the newest messages begin that are within two bounds: the number before them. At least `oldest` - 1; the head where no message is older. Reads no data. */
  newestWithin(bounds: NewestBounds): Promise<NewestBegin>;

  /**
   * One step back through the log: the newest matching messages before a number. Messages whose TTL has passed by the store's clock are left out.
   * Looks at a bounded number of rows, and reads no data.
   */
  findBack(query: BackQuery): Promise<FoundBack>;

  /**
   * One small step of retention: deletes a prefix of the log, at most `rows` messages, and moves `oldest` in the same
   * transaction (invariant 9). Also deletes at most `rows` idempotency keys: expired ones, and above `maxKeys` those that expire next. The believed clock
   * decides what is too old; the log stores how far the clock is believed. Never takes the head's lock where the database has more than one. Call again while
   * `more`.
   */
  trim(policy: TrimPolicy): Promise<Trimmed>;

  /** Stores the newest `REMEMBERED_EPOCHS` lost epochs, for other instances. Stored epochs are not changed. */
  keepLost(lost: readonly LostEpoch[]): Promise<void>;

  /** The stored lost epochs. Never from a snapshot that is older than the call. */
  lost(): Promise<readonly LostEpoch[]>;

  /** Lets running calls finish, then releases the database. Resolves at once when called again. */
  close(): Promise<void>;
}

/** Where a publisher appends: the store itself, or what several processes share. */
export interface Appends extends Pick<Store, 'append' | 'rowOverheadBytes'> {
  /** Requests of several processes come together there, and are in one commit. */
  readonly isShared?: boolean;
  /** @param onLate Called once if another process owes the answer for long: meanwhile others can be appended. */
  append(requests: readonly AppendRequest[], onLate?: () => void): Promise<Appended>;
}

/** One publish request: its messages are stored all or none. */
export interface AppendRequest {
  readonly drafts: readonly Draft[];
  readonly key: IdempotencyKey | undefined;
  /** The step of a source: its position moves with its messages, or nothing is stored. Such a request is the only one of its call, and has no key. */
  readonly step?: SourceStep;
}

export interface IdempotencyKey {
  /** The namespace of the key: two scopes never share one. '' without credentials. */
  readonly scope: string;
  readonly key: string;
  /** A digest of everything in the request that the answer depends on, 32 bytes. */
  readonly fingerprint: Uint8Array;
  /** How long the key is remembered, in milliseconds; after that it is free again. */
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
 * The outcome of a request. `stored` and `replayed` name the first of its numbers: the others follow it, with the same
 * epoch and time. `replayed`: the key was known, and this repeats the first answer. `conflict`: the key was used for
 * another request; nothing was stored. `outdated`: the step's owner is not the newest, or a position stands elsewhere; nothing was stored.
 */
export type Outcome =
  | { readonly kind: 'stored' | 'replayed'; readonly epoch: string; readonly first: number; readonly time: number }
  | { readonly kind: 'conflict' }
  | { readonly kind: 'outdated' };

export interface ReadQuery {
  /** The number to read after: the first message is at least `after` + 1. */
  readonly after: number;
  /** undefined: every message. Otherwise only rows in proportion to the matches are read, where an index can do it. */
  readonly filter: Filter | undefined;
  /** The most messages that are read, at least 1. */
  readonly limit: number;
  /** Reads no data: the messages' data is empty. `limit` bounds the read. */
  readonly withoutData?: boolean;
  /** The read stops after the message with which the data exceed these bytes; so at least one message always fits. */
  readonly maxBytes: number;
}

export interface Page {
  /** In order of their numbers; messages whose TTL has passed are among them. */
  readonly messages: readonly Message[];
  /**
   * Everything from `after` + 1 (or `oldest`, where that is larger) to this number was looked at: the next read goes on
   * after it. At least `after`, unless that is beyond the head; less than `log.head` when a limit stopped the read. Moves on in every
   * read that is below the head, also in a read that finds nothing.
   */
  readonly scanned: number;
  readonly log: LogState;
  /** How many rows or index entries the database examined. For tests and metrics. */
  readonly examined: number;
}

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

export interface NewestBegin {
  readonly seq: number;
  readonly log: LogState;
}

export interface BackQuery {
  /** The number to look before; beyond the head it is the head's successor. */
  readonly before: number;
  /** Only rows in proportion to the matches are read, where an index can do it. */
  readonly filter: Filter;
  /** The most messages that are found, at least 1. */
  readonly limit: number;
}

export interface FoundBack {
  /** Their numbers, the newest first. */
  readonly seqs: readonly number[];
  /**
   * Everything from this number to `before` was looked at: the next step looks before it. At most `log.oldest` when nothing is left to look at. Less than `before` in
   * every step that begins above the oldest, also in a step that finds nothing.
   */
  readonly from: number;
  readonly log: LogState;
  /** How many rows or index entries the database examined. For tests. */
  readonly examined: number;
}

export interface TrimPolicy {
  /** Messages older than this are deleted, in milliseconds; 0 disables the limit. */
  readonly maxAge: number;
  /** The time as the caller counts it. It helps the store to judge its clock if it continues from the time that the log remembers. */
  readonly counted?: CountedTime;
  /** While the messages have more bytes than this, the oldest are deleted; 0 disables the limit. */
  readonly maxBytes: number;
  /** While there are more idempotency keys than this, the next to expire are forgotten; 0 or absent disables the limit. */
  readonly maxKeys?: number;
  /** The most messages, and the most keys, that this step deletes. */
  readonly rows: number;
}

export interface Trimmed {
  readonly messages: number;
  readonly keys: number;
  /** How many of the keys had not expired. */
  readonly youngKeys: number;
  /** Whether another call would delete more. */
  readonly more: boolean;
  /** Bytes of messages held after this. */
  readonly bytes: number;
  /** How many idempotency keys are held after this. May be too many, never too few: a key that was stored again may count twice. */
  readonly heldKeys: number;
  /** The machine's clock, in milliseconds since 1970. Unlike `log.now` it may be earlier than the newest message. */
  readonly machine: number;
  /** The believed clock (believed-clock.ts), by which age was counted. Never later than `machine`. */
  readonly believed: number;
  readonly log: LogState;
}

/**
 * - `unavailable`: the database cannot be reached, is locked, full, read-only, damaged, replaced or too new. Nothing was stored.
 * - `outcome-unknown`: it is not known whether the commit happened. It is never sent again.
 * - `refused`: the database works, but not with this request: one of its rows is the reason. Nothing was stored.
 */
export type StoreErrorKind = 'unavailable' | 'outcome-unknown' | 'refused';

/** The only error a store rejects with. Its message is for the log, not for clients. */
export class StoreError extends Error {
  override name = 'StoreError';
  readonly kind: StoreErrorKind;

  constructor(kind: StoreErrorKind, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.kind = kind;
  }
}

/** Causes of a store's error that are mistakes in this program. */
const MISTAKES = [TypeError, RangeError, ReferenceError, SyntaxError];

/** Whether an error comes from the database or the connection to it, and not from a mistake in this program. */
export function isStoreFailure(error: unknown): boolean {
  return error instanceof StoreError && !isMistake(error.cause);
}

function isMistake(error: unknown): boolean {
  return error instanceof Error && (MISTAKES.some((Mistake) => error instanceof Mistake) || isMistake(error.cause));
}
