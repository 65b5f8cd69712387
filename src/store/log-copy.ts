import { COPIED_TABLES, RowDigests, type CopiedRow, type CopiedTable, type Proof } from './copied-rows.ts';
import { StoreError } from './store.ts';

/**
 * Copies a log from one database to another: with its id, epochs, numbers, times and idempotency keys. So cursors and retried publishes go on.
 *
 * The target is closed to every program (level.ts) from its first row to the end. A pass copies what the target lacks, while the source is in use. The final pass
 * holds the source's write lock, compares all of both, and replaces what differs. Then it closes the source, and opens the target: in this order, so that the two are
 * never open at once. Each step can be repeated after a crash.
 */

/** The copied fields of a message. */
export interface CopiedMessage {
  readonly seq: number;
  /** Its columns in the order of `MESSAGE_COLUMNS`. */
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
  /** The rest of the rows of `head` and `retention`. */
  readonly epoch: string;
  readonly time: number;
  readonly deletedTime: number | null;
  readonly clock: number | null;
  /** Whether a final pass has closed it. */
  readonly isMoved: boolean;
}

/** Reads a log. Every call blocks the thread. All throw a `StoreError`. */
export interface CopySource {
  /** Keeps everybody else from writing, until `seal` or the end of the process. */
  hold(): void;
  state(): SourceState;
  /** The messages after a number, oldest first; as many as one batch may have. None where there are no more. */
  messages(after: number, through: number): readonly CopiedMessage[];
  /** Idempotency keys after an id, in the order of the ids. */
  newKeys(after: number): readonly CopiedRow[];
  /** Idempotency keys after a position, in the order of `KEYS`. */
  keys(after: KeyPosition | undefined): readonly CopiedRow[];
  rows(table: CopiedTable): Iterable<CopiedRow>;
  /** Closes the log to every program, and releases it. */
  seal(): void;
  close(): void;
}

export interface TargetState {
  /** Whether instances may use it: it was finished. */
  readonly isOpen: boolean;
  /** The number up to which messages were copied. */
  readonly copied: number;
  /** The newest id of an idempotency key that was copied. */
  readonly newestKey: number;
  /** Whether a final pass has written the rest of the log's state: only then the source was closed for this target. */
  readonly isComplete: boolean;
}

/** Writes a log. Each call is one transaction or several, and changes nothing where the database is not an unfinished copy of this log. All reject with a `StoreError`. */
export interface CopyTarget {
  /** Does a copy while no other one into this database is under way; refuses it where one is. Ends with the process, too. */
  alone<Result>(copy: () => Promise<Result>): Promise<Result>;
  /** Begins the copy in an empty database, or finds it. Refuses any other, and leaves that unchanged. */
  begin(log: SourceState): Promise<TargetState>;
  /** Deletes the messages outside of the log, and keys before its oldest. Resolves to how far the copy is then. */
  cut(log: SourceState): Promise<number>;
  appendMessages(messages: readonly CopiedMessage[], after: number): Promise<void>;
  replaceMessages(messages: readonly CopiedMessage[]): Promise<void>;
  proveMessages(from: number, through: number): Promise<Proof>;
  putKeys(rows: readonly CopiedRow[]): Promise<void>;
  /** Deletes the keys after one position, up to another one or all. */
  deleteKeys(after: KeyPosition | undefined, through: KeyPosition | undefined): Promise<void>;
  proveKeys(after: KeyPosition | undefined, through: KeyPosition | undefined): Promise<Proof>;
  /** Replaces all rows of a table. */
  replaceRows(table: CopiedTable, rows: Iterable<CopiedRow>): Promise<void>;
  proveRows(table: CopiedTable): Promise<Proof>;
  /** Writes the rest of the log's state. @param bytes The log's size, as this store counts it. */
  writeState(log: SourceState, bytes: number): Promise<void>;
  /** The bytes of a message in the log's size. */
  bytesOf(message: CopiedMessage): number;
  /** Opens the log to instances. */
  open(log: SourceState): Promise<void>;
  close(): Promise<void>;
}

/** Hears how far a copy is. */
export interface CopyProgress {
  /** @param total How many are to do. */
  begin(step: string, total: number): void;
  advance(count: number): void;
  end(): void;
}

export interface CopyOptions {
  readonly source: CopySource;
  readonly target: CopyTarget;
  /** Whether the log moves with this pass. */
  readonly isFinal: boolean;
  readonly progress: CopyProgress;
}

export interface Copied {
  /** `pass`: the copy is unfinished. `moved`: this pass finished it. `before`: an earlier one did. */
  readonly outcome: 'pass' | 'moved' | 'before';
  readonly logId: string;
  readonly oldest: number;
  readonly head: number;
  /** How many messages this pass copied, and how many of them it replaced, because they had changed in the source. */
  readonly messages: number;
  readonly replaced: number;
  readonly keys: number;
}

/** A log that was closed goes to no second target: it may be open in the first one. */
export function movedElsewhere(): StoreError {
  return new StoreError('refused', 'the log was moved to another database: set DATABASE_URL to that one, or put back the backup from before, and copy that; nothing was written');
}

/** One pass. */
export function copyLog(options: CopyOptions): Promise<Copied> {
  // A pass that goes by an older state of the source would delete what a later one has copied.
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

/** Copies messages appended after the last pass. Reads a batch while the batch before it is written. */
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

/** Compares all messages, and replaces those that changed after the copy: erased ones, or ones with another time. */
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

/** Reads while a call is under way. Where reading throws, the call's own failure is the lesser news. */
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
