import type { CopiedRow, CopiedTable, Proof } from './copied-rows.ts';
import { StoreError } from './store.ts';

/** The two ends of a copy (log-copy.ts): a `CopySource` reads a log, and a `CopyTarget` writes it into another database. */

/** The copied fields of a message. */
export interface CopiedMessage {
  readonly seq: number;
  /** The message's columns, in the order of `MESSAGE_COLUMNS`. */
  readonly row: CopiedRow;
  readonly data: Buffer;
}

/** The position of an idempotency key in the order of `KEYS.order`. */
export type KeyPosition = readonly [scope: string, key: string];

export interface SourceState {
  readonly logId: string;
  /** The level that the log has while it is open. */
  readonly level: number;
  readonly oldest: number;
  readonly head: number;
  /** The smallest id of an idempotency key; 0 without keys. */
  readonly oldestKey: number;
  /** The largest id of an idempotency key; 0 without keys. */
  readonly newestKey: number;
  /** `epoch`, `time`, `deletedTime` and `clock` are the other columns of `head` and `retention`. */
  readonly epoch: string;
  readonly time: number;
  readonly deletedTime: number | null;
  readonly clock: number | null;
  /** Whether a final pass has closed the source (`seal`). */
  readonly isMoved: boolean;
}

/** Reads a log. Every call blocks the thread, and throws only `StoreError`s. */
export interface CopySource {
  /** Takes the write lock of the database, and keeps it until `seal` or the end of the process. */
  hold(): void;
  state(): SourceState;
  /** The next batch of the messages `after` + 1 to `through`, oldest first. Empty if there are none. */
  messages(after: number, through: number): readonly CopiedMessage[];
  /** The next batch of idempotency keys with a larger id, in the order of the ids: the keys stored after that one. */
  newKeys(after: number): readonly CopiedRow[];
  /** The next batch of idempotency keys after a position, in the order of `KEYS.order`. Undefined: from the first key. */
  keys(after: KeyPosition | undefined): readonly CopiedRow[];
  rows(table: CopiedTable): Iterable<CopiedRow>;
  /** Closes the log to every program, and releases the write lock. */
  seal(): void;
  close(): void;
}

export interface TargetState {
  /** Whether the copy is finished: instances may use the target. */
  readonly isOpen: boolean;
  /** The number up to which the target has the messages. */
  readonly copied: number;
  /** The largest id of an idempotency key in the target; 0 without keys. */
  readonly newestKey: number;
  /** Whether a final pass has written the log's state (`writeState`). No other pass can have closed the source for this target. */
  readonly isComplete: boolean;
}

/**
 * Writes a log, each call in one or more transactions. Calls reject only with `StoreError`s. After `begin`, every change first checks that the database is
 * still an unfinished copy of this log; otherwise it changes nothing and rejects.
 */
export interface CopyTarget {
  /** Runs `copy` while no other process can copy into the target. Rejects if another process is copying now. A crash of the process releases the lock. */
  exclusively<Result>(copy: () => Promise<Result>): Promise<Result>;
  /** Begins the copy in an empty database, or finds the copy of this log in it. Rejects, and changes nothing, if the database holds anything else. */
  begin(log: SourceState): Promise<TargetState>;
  /** Deletes the messages and keys that the source does not have any more, at both ends. Resolves to the number up to which the target then has the messages. */
  cut(log: SourceState): Promise<number>;
  /** Adds messages after the number `after`, up to which the target has them. Rejects if the target's messages end elsewhere. */
  appendMessages(messages: readonly CopiedMessage[], after: number): Promise<void>;
  /** Inserts messages, or replaces those with the same numbers. */
  replaceMessages(messages: readonly CopiedMessage[]): Promise<void>;
  /** The proof of the messages `from` to `through`. */
  proveMessages(from: number, through: number): Promise<Proof>;
  /** Inserts idempotency keys, or replaces those with the same scope and text. */
  putKeys(rows: readonly CopiedRow[]): Promise<void>;
  /** Deletes the keys after the position `after` (undefined: from the first) up to and including `through` (undefined: to the last). */
  deleteKeys(after: KeyPosition | undefined, through: KeyPosition | undefined): Promise<void>;
  /** The proof of the keys in the same range as `deleteKeys`. */
  proveKeys(after: KeyPosition | undefined, through: KeyPosition | undefined): Promise<Proof>;
  /** Replaces all rows of a table. */
  replaceRows(table: CopiedTable, rows: Iterable<CopiedRow>): Promise<void>;
  proveRows(table: CopiedTable): Promise<Proof>;
  /** Writes the rows that describe the log, after which the copy is complete. @param bytes The log's size, as the target counts it (`bytesOf`). */
  writeState(log: SourceState, bytes: number): Promise<void>;
  /** The bytes that a message adds to the log's size in the target. */
  bytesOf(message: CopiedMessage): number;
  /** Opens the log to instances. */
  open(log: SourceState): Promise<void>;
  close(): Promise<void>;
}

/** The source was moved, and not into this target. The log may be open in the other target, so this target must not open as well. */
export function movedElsewhere(): StoreError {
  return new StoreError('refused', 'the log was moved to another database: set DATABASE_URL to that database, or put back the backup made before the move, and copy that; nothing was written');
}
