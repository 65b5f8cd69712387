import { CLOCK_JUMP_MS } from '../../believed-clock.ts';
import { UNDERSTOOD_LEVEL } from '../../level.ts';
import { hexadecimal } from './literals.ts';

/** Common SQL and answers for the calls of keys, sessions and revocations. */

/** How far the version leaps where another server gave the one before: beyond every version that it may have given to changes that are lost. */
export const LOST_MAX_VERSIONS = 1_000_000;

export const NOW = 'floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint';

/** The newest version of the log's head, and of the bounds of retention, without a look at versions that an old snapshot keeps. */
export const HEAD = '(SELECT * FROM tidings.head ORDER BY generation DESC LIMIT 1)';
export const RETENTION = '(SELECT * FROM tidings.retention ORDER BY oldest DESC LIMIT 1)';

/**
 * The columns that tell the newest version of the only row: every change makes them larger. While a transaction holds an old snapshot, as `pg_dump` does, the server keeps all versions
 * of the row, and a scan of the table reads them all.
 */
const NEWEST_BY = { access: 'version', revocation_list: 'version', session_state: 'changes', ticket_state: 'changes' } as const;

/** A table with one row, which is rewritten at each change. */
export type StateTable = keyof typeof NEWEST_BY;

/** The row of a table, as something to select from. */
export function newestOf(table: StateTable): string {
  return `(SELECT * FROM tidings.${table} ORDER BY ${NEWEST_BY[table]} DESC LIMIT 1)`;
}

/** The condition, as SQL, that a row is the newest version. The caller holds its lock, and changes the column. */
export function isNewest(table: StateTable): string {
  const column = NEWEST_BY[table];
  return `${column} = (SELECT n.${column} FROM ${newestOf(table)} n)`;
}

/** Locks the row of a table. Statements after it have snapshots taken under that lock. */
export function lockOf(table: StateTable): string {
  return `SELECT FROM tidings.${table} ORDER BY ${NEWEST_BY[table]} DESC LIMIT 1 FOR UPDATE;`;
}

/** The level of the log (level.ts). */
export const LEVEL = `(SELECT h.level FROM ${HEAD} h)`;

/** The server's clock as far as it is believed; all of it, before an instance has opened the log. */
export const BELIEVED = `tidings.believe(${NOW}, (SELECT tidings.known_clock(r) FROM ${RETENTION} r), NULL, ${CLOCK_JUMP_MS})`;

/** The last column: whether the server is a standby. Fails where this program does not understand the log; there is no level before an instance has opened it. */
export const STANDBY = `coalesce((SELECT tidings.refuse_level(h.level, ${UNDERSTOOD_LEVEL}) FROM ${HEAD} h WHERE h.level > ${UNDERSTOOD_LEVEL}), pg_is_in_recovery())`;

export function listIn(json: string): readonly unknown[] {
  const list: unknown = JSON.parse(json);
  if (!Array.isArray(list)) throw wrongValue();
  return list;
}

export function textIn(value: unknown): string {
  if (typeof value !== 'string') throw wrongValue();
  return value;
}

export function digestIn(value: unknown): Uint8Array {
  const text = textIn(value);
  if (!DIGEST.test(text)) throw wrongValue();
  return Buffer.from(text, 'hex');
}

const DIGEST = /^[0-9a-f]{64}$/;

export function timeIn(value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw wrongValue();
  return value;
}

export function timeOrNull(value: unknown): number | null {
  return value === null ? null : timeIn(value);
}

export function wrongValue(): TypeError {
  return new TypeError('the database answered something else where a key, session or revocation belongs');
}

export function bytea(digest: Uint8Array): string {
  return hexadecimal(Buffer.from(digest));
}
