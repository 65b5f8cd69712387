import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type Database from 'better-sqlite3';
import { believe } from '../believed-clock.ts';
import { TRIM_STEP_BYTES } from '../limits.ts';
import { ACCEPT_STEP_KEYS, ACCEPT_STEP_MESSAGES, acceptInSteps, neverOpened, requireSchema, type LogClocks, type Restamped } from '../log-clock.ts';
import { missingMigrations } from '../migrations.ts';
import { connect, monotonic, readTransaction, writeTransaction, type SqliteConnection } from './files/connection.ts';
import { checkBeforeOpening } from './files/database-files.ts';
import { toStoreError } from './files/errors.ts';
import { LogStateQuery, type LogRow } from './files/log-state.ts';
import { appliedMigrations, refuseForeign } from './files/migrate.ts';
import { Seeker } from './messages/seek.ts';

/** How long one step waits for another process to release the database. */
const STEP_WAIT_MS = 5_000;

/** Reads the clocks of a database file. Like `acceptClock` it blocks the thread, so only a command may call it. Rejects with a `StoreError`. */
export function readClocks(file: string): Promise<LogClocks> {
  return connected(file, (sqliteConnection) => readTransaction(sqliteConnection, monotonic() + STEP_WAIT_MS, () => {
    const { db } = sqliteConnection;
    const row = logRow(db);
    const known = new LogStateQuery({ db }).times(row);
    return { machine: known.machine, believed: believe(known), newest: row.seq > 0 ? row.time : undefined };
  }));
}

/** Accepts the machine's clock: messages and keys with a later time get the present time, and keep their remaining lifetime. Rejects with a `StoreError`. */
export function acceptClock(file: string): Promise<Restamped> {
  return connected(file, (sqliteConnection) => acceptInSteps(() =>
    Promise.resolve(writeTransaction(sqliteConnection, monotonic() + STEP_WAIT_MS, () => acceptStep(sqliteConnection.db)))));
}

async function connected<Result>(file: string, work: (sqliteConnection: SqliteConnection) => Result | Promise<Result>): Promise<Result> {
  checkBeforeOpening(resolve(file), undefined, undefined);
  if (!existsSync(file)) throw neverOpened();
  try {
    const sqliteConnection = connect(resolve(file), monotonic() + STEP_WAIT_MS, { inspect: refuseForeign });
    try {
      requireSchema(missingMigrations('sqlite', appliedMigrations(sqliteConnection.db)));
      return await work(sqliteConnection);
    } finally {
      sqliteConnection.db.close();
    }
  } catch (error) {
    throw toStoreError(error, 'unavailable');
  }
}

/** Takes one step, from the oldest message with a later time. In this order, times never decrease along the log, even if an append comes between two steps (invariant 10). */
function acceptStep(db: Database.Database): Restamped & { readonly more: boolean } {
  const row = logRow(db);
  const now = Date.now();
  const beyond = new Seeker({ db, logState: new LogStateQuery({ db }) }).seek(now + 1).seq + 1;
  const last = lastOfStep(db, beyond);
  const { changes: messages } = db.prepare('UPDATE messages SET time = ?, expires = CASE expires WHEN 0 THEN 0 ELSE ? + expires - time END WHERE seq BETWEEN ? AND ?').run(now, now, beyond, last);
  const isEnd = last >= row.seq;
  // No index has the time of keys, so this reads all keys. Do it only when no message is left.
  const keys = isEnd ? db.prepare('UPDATE keys SET time = ?, expires = ? + expires - time WHERE id IN (SELECT id FROM keys WHERE time > ? LIMIT ?)').run(now, now, now, ACCEPT_STEP_KEYS).changes : 0;
  const more = !isEnd || keys === ACCEPT_STEP_KEYS;
  if (!more) {
    db.prepare('UPDATE head SET time = min(time, ?)').run(now);
    db.prepare('UPDATE retention SET time = CASE WHEN time > ? THEN ? ELSE time END, clock = ?').run(now, now, now);
  }
  return { messages, keys, more };
}

/** The last message of a step that begins at `first`. An update writes a row again with its data, so a step is bounded in bytes, too. */
function lastOfStep(db: Database.Database, first: number): number {
  let last = first - 1;
  let bytes = 0;
  for (const row of db.prepare<[number, number], { seq: number; bytes: number }>('SELECT seq, octet_length(data) AS bytes FROM messages WHERE seq >= ? ORDER BY seq LIMIT ?').iterate(first, ACCEPT_STEP_MESSAGES)) {
    last = row.seq;
    bytes += row.bytes;
    if (bytes >= TRIM_STEP_BYTES) break;
  }
  return last;
}

function logRow(db: Database.Database): LogRow {
  const logState = new LogStateQuery({ db });
  if (logState.logId() === undefined) throw neverOpened();
  return logState.row();
}
