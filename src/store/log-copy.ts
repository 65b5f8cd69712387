import { COPIED_TABLES, RowDigests, type CopiedRow, type CopiedTable, type Proof } from './copied-rows.ts';
import { StoreError } from './store.ts';

/**
 * Copies a log from one database to another, with its id, epochs, numbers, times and idempotency keys. So cursors and retried publishes go on.
 *
 * A pass copies what the target lacks, while instances use the source. The target stays closed to every program (level.ts) until the final pass is over.
 *
 * The final pass holds the source's write lock, compares both databases, and replaces every difference. It closes the source before it opens the target, so that
 * the two are never open at once. After a crash, repeat the pass.
 */

/** The copied fields of a message. */
export interface CopiedMessage {
  readonly seq: number;
  /** The message's columns, in the order of `MESSAGE_COLUMNS`. */
  readonly row: CopiedRow;
  readonly data: Buffer;
}

/** The place of an idempotency key in the order of `KEYS`. */
export type KeyPosition = readonly [scope: string, key: string];

export interface SourceState {
  readonly logId: string;
  /** The level that the log has while it is open. */
  readonly level: number;
  readonly oldest: number;
  readonly head: number;
  /** The smallest id of an idempotency key; 0 without keys. */
  readonly oldestKey: number;
  readonly newestKey: number;
  /** `epoch`, `time`, `deletedTime` and `clock` are the other columns of `head` and `retention`. */
  readonly epoch: string;
  readonly time: number;
  readonly deletedTime: number | null;
  readonly clock: number | null;
  /** Whether a final pass has closed the source. */
  readonly isMoved: boolean;
}

/** Reads a log. Every call blocks the thread. All throw a `StoreError`. */
export interface CopySource {
  /** Takes the write lock, until `seal` or the end of the process. */
  hold(): void;
  state(): SourceState;
  /** The next batch of messages after one number and up to another, oldest first. Empty at the end. */
  messages(after: number, through: number): readonly CopiedMessage[];
  /** The next batch of idempotency keys after an id, in the order of the ids. */
  newKeys(after: number): readonly CopiedRow[];
  /** The next batch of idempotency keys after a position, in the order of `KEYS`. */
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
  /** The newest id of an idempotency key in the target. */
  readonly newestKey: number;
  /** Whether a final pass has written the log's state. Only such a pass closes the source for this target. */
  readonly isComplete: boolean;
}

/** Writes a log, each call in one or more transactions. Every call rejects with a `StoreError`, and changes nothing in a database that is not an unfinished copy of this log. */
export interface CopyTarget {
  /** Runs `copy` under a lock on the target, which ends with the process at the latest. Rejects if another process copies into the target. */
  alone<Result>(copy: () => Promise<Result>): Promise<Result>;
  /** Begins the copy in an empty database, or finds the copy of this log in it. Rejects, and changes nothing, if the database holds anything else. */
  begin(log: SourceState): Promise<TargetState>;
  /** Deletes all messages and keys outside of the source's ranges, older or newer. Resolves to the number up to which the target then has the messages. */
  cut(log: SourceState): Promise<number>;
  appendMessages(messages: readonly CopiedMessage[], after: number): Promise<void>;
  replaceMessages(messages: readonly CopiedMessage[]): Promise<void>;
  proveMessages(from: number, through: number): Promise<Proof>;
  putKeys(rows: readonly CopiedRow[]): Promise<void>;
  /** Deletes the keys after one position, through the second position or the end. */
  deleteKeys(after: KeyPosition | undefined, through: KeyPosition | undefined): Promise<void>;
  proveKeys(after: KeyPosition | undefined, through: KeyPosition | undefined): Promise<Proof>;
  /** Replaces all rows of a table. */
  replaceRows(table: CopiedTable, rows: Iterable<CopiedRow>): Promise<void>;
  proveRows(table: CopiedTable): Promise<Proof>;
  /** Writes the log's state, and completes the copy. @param bytes The log's size, as this store counts it. */
  writeState(log: SourceState, bytes: number): Promise<void>;
  /** The bytes that a message adds to the log's size. */
  bytesOf(message: CopiedMessage): number;
  /** Opens the log to instances. */
  open(log: SourceState): Promise<void>;
  close(): Promise<void>;
}

/** Shows the progress of a copy. */
export interface CopyProgress {
  /** @param total The sum of the counts that `advance` reports, as far as it is known. */
  begin(step: string, total: number): void;
  advance(count: number): void;
  end(): void;
}

export interface CopyOptions {
  readonly source: CopySource;
  readonly target: CopyTarget;
  /** Whether this is the final pass, which moves the log. */
  readonly isFinal: boolean;
  readonly progress: CopyProgress;
}

export interface Copied {
  /** `pass`: the copy is unfinished. `moved`: this pass finished the copy. `before`: an earlier pass did. */
  readonly outcome: 'pass' | 'moved' | 'before';
  readonly logId: string;
  readonly oldest: number;
  readonly head: number;
  /** How many messages this pass wrote, with the replaced ones. */
  readonly messages: number;
  /** How many messages this pass replaced, because they differed from the source. */
  readonly replaced: number;
  readonly keys: number;
}

/** The error for a second target: a moved log may be open in its first target. */
export function movedElsewhere(): StoreError {
  return new StoreError('refused', 'the log was moved to another database: set DATABASE_URL to that database, or put back the backup made before the move, and copy that; nothing was written');
}

/** Runs one pass. */
export function copyLog(options: CopyOptions): Promise<Copied> {
  // Two passes at once could undo each other: the pass with the older state of the source would delete newer rows.
  return options.target.alone(() => copyAlone(options));
}

async function copyAlone(options: CopyOptions): Promise<Copied> {
  const { source, target, isFinal } = options;
  if (isFinal) source.hold();
  const log = source.state();
  const there = await target.begin(log);
  const about = { logId: log.logId, oldest: log.oldest, head: log.head };
  if (there.isOpen) {
    if (!log.isMoved) throw new StoreError('refused', 'the target is in use: it holds this log, and is open to instances; nothing was written');
    return { outcome: 'before', ...about, messages: 0, replaced: 0, keys: 0 };
  }
  if (log.isMoved && !there.isComplete) throw movedElsewhere();
  const messages = await copyMessages(options, log);
  const keys = await copyKeys(options, log, there);
  if (!isFinal) return { outcome: 'pass', ...about, messages, replaced: 0, keys };

  const checked = await checkMessages(options, log);
  const changed = await checkKeys(options, log);
  for (const table of COPIED_TABLES) await copyTable(options, table);
  await target.writeState(log, checked.bytes);
  source.seal();
  await target.open(log);
  return { outcome: 'moved', ...about, messages: messages + checked.replaced, replaced: checked.replaced, keys: keys + changed };
}

/** Copies the messages that the target lacks. Reads each batch while the target writes the batch before. */
async function copyMessages({ source, target, progress }: CopyOptions, log: SourceState): Promise<number> {
  const { head } = log;
  let after = await target.cut(log);
  let count = 0;
  progress.begin('messages', head - after);
  for (let batch = source.messages(after, head); batch.length > 0;) {
    const writing = target.appendMessages(batch, after);
    const last = batch.at(-1)!.seq;
    const next = readAlongside(writing, () => source.messages(last, head));
    await writing;
    count += batch.length;
    progress.advance(last - after);
    after = last;
    batch = next;
  }
  progress.end();
  return count;
}

async function copyKeys({ source, target, progress }: CopyOptions, { newestKey }: SourceState, there: TargetState): Promise<number> {
  let count = 0;
  progress.begin('idempotency keys', Math.max(0, newestKey - there.newestKey));
  for (let rows = source.newKeys(there.newestKey); rows.length > 0; rows = source.newKeys(Number(rows.at(-1)![0]))) {
    await target.putKeys(rows);
    count += rows.length;
    progress.advance(rows.length);
  }
  progress.end();
  return count;
}

/** Compares all messages, and replaces batches that changed after the copy: by an erasure, or by a new time. */
async function checkMessages({ source, target, progress }: CopyOptions, { oldest, head }: SourceState): Promise<{ readonly replaced: number; readonly bytes: number }> {
  let after = oldest - 1;
  let replaced = 0;
  let bytes = 0;
  progress.begin('messages checked', head - after);
  for (let batch = source.messages(after, head); batch.length > 0;) {
    const last = batch.at(-1)!.seq;
    const proving = target.proveMessages(after + 1, last);
    const [next, expected] = readAlongside(proving, () => [source.messages(last, head), proofOf(batch)] as const);
    if (!isSame(await proving, expected)) {
      await target.replaceMessages(batch);
      replaced += batch.length;
      requireSame(`the messages ${after + 1} to ${last}`, await target.proveMessages(after + 1, last), expected);
    }
    for (const message of batch) bytes += target.bytesOf(message);
    progress.advance(last - after);
    after = last;
    batch = next;
  }
  progress.end();
  if (after !== head) throw new StoreError('unavailable', `the source is damaged: its messages end at ${after}, and its head is ${head}`);
  requireRows('messages', await target.proveMessages(head + 1, Number.MAX_SAFE_INTEGER), 0);
  requireRows('messages', await target.proveMessages(0, oldest - 1), 0);
  return { replaced, bytes };
}

async function checkKeys({ source, target, progress }: CopyOptions, { oldestKey, newestKey }: SourceState): Promise<number> {
  let changed = 0;
  progress.begin('idempotency keys checked', newestKey === 0 ? 0 : newestKey - oldestKey + 1);
  for (let after: KeyPosition | undefined; ;) {
    const rows = source.keys(after);
    const last = positionOf(rows.at(-1));
    const expected = proofOf(rows.map((row) => ({ row })));
    if (!isSame(await target.proveKeys(after, last), expected)) {
      await target.deleteKeys(after, last);
      if (rows.length > 0) await target.putKeys(rows);
      changed += rows.length;
      requireSame('the idempotency keys', await target.proveKeys(after, last), expected);
    }
    progress.advance(rows.length);
    if (last === undefined) break;
    after = last;
  }
  progress.end();
  return changed;
}

async function copyTable({ source, target }: CopyOptions, table: CopiedTable): Promise<void> {
  await target.replaceRows(table, source.rows(table));
  requireSame(`the table ${table.name}`, await target.proveRows(table), proofOf(mapRows(source.rows(table))));
}

function* mapRows(rows: Iterable<CopiedRow>): Iterable<{ readonly row: CopiedRow }> {
  for (const row of rows) yield { row };
}

function positionOf(row: CopiedRow | undefined): KeyPosition | undefined {
  return row === undefined ? undefined : [row[1]!, row[2]!];
}

/** Reads during a call. If the read throws, this drops the call's own failure. */
function readAlongside<Result>(call: Promise<unknown>, read: () => Result): Result {
  try {
    return read();
  } catch (error) {
    call.catch(() => undefined);
    throw error;
  }
}

function proofOf(rows: Iterable<{ readonly row: CopiedRow; readonly data?: Buffer }>): Proof {
  const digests = new RowDigests();
  for (const { row, data } of rows) digests.add(row, data);
  return digests.proof();
}

function isSame(one: Proof, other: Proof): boolean {
  return one.rows === other.rows && one.digest === other.digest;
}

function requireSame(what: string, found: Proof, expected: Proof): void {
  if (!isSame(found, expected)) throw new StoreError('unavailable', `${what} differ in the target after they were copied (${found.rows} rows, and ${expected.rows} in the source): the copy stays closed`);
}

function requireRows(what: string, { rows }: Proof, expected: number): void {
  if (rows !== expected) throw new StoreError('unavailable', `the target holds ${rows} ${what} that are not in the source: the copy stays closed`);
}
