import { COPIED_TABLES, RowDigests, type CopiedRow, type CopiedTable, type Proof } from './copied-rows.ts';
import { movedElsewhere, type CopySource, type CopyTarget, type KeyPosition, type SourceState, type TargetState } from './copy-contract.ts';
import { StoreError } from './store.ts';

/**
 * Copies a log from one database to another, with its id, epochs, numbers, times and idempotency keys. So clients' cursors and repeated publishes still work.
 *
 * An ordinary pass copies the rows that the target lacks, while instances use the source. The final pass holds the source's write lock, compares both
 * databases, and replaces every row that differs. A closed log refuses every program (level.ts). The two logs are never open at once:
 *
 * | steps, in their order | source | target |
 * |---|---|---|
 * | ordinary passes | open | closed, unfinished |
 * | final pass: `hold`, the comparison | open, but locked | closed, unfinished |
 * | `writeState` | open, but locked | closed, complete |
 * | `seal` | closed, moved | closed, complete |
 * | `open` | closed, moved | open |
 *
 * After a crash at any step, repeat the same pass. It finds one of these states:
 *
 * | source | target | the pass |
 * |---|---|---|
 * | open | closed | goes on from the rows that the target has |
 * | closed | closed, complete | compares again and opens the target |
 * | closed | open | `before`: an earlier pass has finished |
 * | closed | empty, or closed and not complete | fails: the log was moved into another target |
 * | open | open | fails: instances use the target |
 */

/** Shows the progress of a copy. */
export interface CopyProgress {
  /** Begins a step. @param total The expected sum of the counts that `advance` reports. */
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
  /** How many messages this pass wrote, replaced ones included. */
  readonly messages: number;
  /** How many messages this pass replaced, because they differed from the source. */
  readonly replaced: number;
  /** How many idempotency keys this pass wrote. */
  readonly keys: number;
}

/** Runs one pass, under the lock of the target. */
export function copyLog(options: CopyOptions): Promise<Copied> {
  // Of two passes at once, the one with the older state of the source would delete rows that the other copied.
  return options.target.exclusively(() => copyExclusively(options));
}

async function copyExclusively(options: CopyOptions): Promise<Copied> {
  const { source, target, isFinal } = options;
  if (isFinal) source.hold();
  const log = source.state();
  const found = await target.begin(log);
  const about = { logId: log.logId, oldest: log.oldest, head: log.head };
  if (found.isOpen) {
    if (!log.isMoved) throw new StoreError('refused', 'the target is in use: it holds this log, and is open to instances; nothing was written');
    return { outcome: 'before', ...about, messages: 0, replaced: 0, keys: 0 };
  }
  if (log.isMoved && !found.isComplete) throw movedElsewhere();
  const messages = await copyMessages(options, log);
  const keys = await copyKeys(options, log, found);
  if (!isFinal) return { outcome: 'pass', ...about, messages, replaced: 0, keys };

  const checked = await checkMessages(options, log);
  const replacedKeys = await checkKeys(options, log);
  for (const table of COPIED_TABLES) await copyTable(options, table);
  // The order of these three keeps the two logs from being open at once: see the table above.
  await target.writeState(log, checked.bytes);
  source.seal();
  await target.open(log);
  return { outcome: 'moved', ...about, messages: messages + checked.replaced, replaced: checked.replaced, keys: keys + replacedKeys };
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

/** Copies the idempotency keys that the source stored after the newest key of the target. A key that was used again has a new id. */
async function copyKeys({ source, target, progress }: CopyOptions, { newestKey }: SourceState, found: TargetState): Promise<number> {
  let count = 0;
  progress.begin('idempotency keys', Math.max(0, newestKey - found.newestKey));
  for (let rows = source.newKeys(found.newestKey); rows.length > 0; rows = source.newKeys(Number(rows.at(-1)![0]))) {
    await target.putKeys(rows);
    count += rows.length;
    progress.advance(rows.length);
  }
  progress.end();
  return count;
}

/** Compares all messages, and replaces each batch that changed in the source after it was copied: by an erasure, or by `npm run clock`. */
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

/**
 * Compares all idempotency keys, range by range, and replaces each range that differs. Each batch of the source ends a range; the last range is empty in the
 * source. With the source's keys b, d, f and batches of two:
 *
 * | batch | range in the target | if the target has a, b, e, z |
 * |---|---|---|
 * | b, d | up to d | a, b differ: delete them, insert b, d |
 * | f | after d, up to f | e differs: delete it, insert f |
 * | none | after f | z is surplus: delete it |
 *
 * @returns How many keys were written.
 */
async function checkKeys({ source, target, progress }: CopyOptions, { oldestKey, newestKey }: SourceState): Promise<number> {
  let written = 0;
  let after: KeyPosition | undefined;
  let through: KeyPosition | undefined;
  progress.begin('idempotency keys checked', newestKey === 0 ? 0 : newestKey - oldestKey + 1);
  do {
    const batch = source.keys(after);
    through = positionOf(batch.at(-1));
    const expected = proofOf(batch.map((row) => ({ row })));
    if (!isSame(await target.proveKeys(after, through), expected)) {
      await target.deleteKeys(after, through);
      if (batch.length > 0) await target.putKeys(batch);
      written += batch.length;
      requireSame('the idempotency keys', await target.proveKeys(after, through), expected);
    }
    progress.advance(batch.length);
    after = through;
  } while (through !== undefined);
  progress.end();
  return written;
}

/** Replaces all rows of a small table, and compares the result. */
async function copyTable({ source, target }: CopyOptions, table: CopiedTable): Promise<void> {
  await target.replaceRows(table, source.rows(table));
  requireSame(`the table ${table.name}`, await target.proveRows(table), proofOf(mapRows(source.rows(table))));
}

function* mapRows(rows: Iterable<CopiedRow>): Iterable<{ readonly row: CopiedRow }> {
  for (const row of rows) yield { row };
}

function positionOf(row: CopiedRow | undefined): KeyPosition | undefined {
  if (row === undefined) return undefined;
  const [, scope, key] = row;
  return [scope!, key!];
}

/** Reads the source while a call to the target is under way. If the read throws, its error is the one to report: a rejection of the call is ignored. */
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
