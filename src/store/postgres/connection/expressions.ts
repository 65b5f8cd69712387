import { CLOCK_JUMP_MS } from '../../believed-clock.ts';
import { UNDERSTOOD_LEVEL } from '../../level.ts';

/** SQL expressions that many calls share. */

/**
 * How far a version jumps if another server gave the one before: beyond every version that the other server may have given to changes that were lost in a
 * failover. So no version is given twice.
 */
export const LOST_MAX_VERSIONS = 1_000_000;

/** The server's clock, in milliseconds since 1970. */
export const NOW = 'floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint';

/**
 * The row of `head`, and of `retention`. Each change makes a new version of a row. While a transaction has an old snapshot, as `pg_dump` does, the server keeps
 * all versions, and a plain scan would read them all. These read the index from its end, and so only the newest version.
 */
export const HEAD = '(SELECT * FROM tidings.head ORDER BY generation DESC LIMIT 1)';
export const RETENTION = '(SELECT * FROM tidings.retention ORDER BY oldest DESC LIMIT 1)';

/** The tables with one row that is often rewritten, and for each the indexed column that grows with every change. They are read as `HEAD` is. */
const NEWEST_BY = { access: 'version', revocation_list: 'version', session_state: 'changes', ticket_state: 'changes' } as const;

export type StateTable = keyof typeof NEWEST_BY;

/** The row of such a table, to select from. */
export function newestOf(table: StateTable): string {
  return `(SELECT * FROM tidings.${table} ORDER BY ${NEWEST_BY[table]} DESC LIMIT 1)`;
}

/** The condition of an UPDATE that its row is the newest version. The caller must have locked the row (`lockOf`), and must change the column. */
export function isNewest(table: StateTable): string {
  const column = NEWEST_BY[table];
  return `${column} = (SELECT n.${column} FROM ${newestOf(table)} n)`;
}

/** A statement that locks the row. The statements after it have snapshots that the server takes under this lock. */
export function lockOf(table: StateTable): string {
  return `SELECT FROM tidings.${table} ORDER BY ${NEWEST_BY[table]} DESC LIMIT 1 FOR UPDATE;`;
}

/** The level of the log (level.ts). */
export const LEVEL = `(SELECT h.level FROM ${HEAD} h)`;

/** The believed clock (believed-clock.ts). Before an instance has opened the log, it is the server's clock. */
export const BELIEVED = `tidings.believe(${NOW}, (SELECT tidings.known_clock(r) FROM ${RETENTION} r), NULL, ${CLOCK_JUMP_MS})`;

/** The last column of an answer: whether the server is a standby. The statement fails if this program does not understand the log. */
export const STANDBY = `coalesce((SELECT tidings.refuse_level(h.level, ${UNDERSTOOD_LEVEL}) FROM ${HEAD} h WHERE h.level > ${UNDERSTOOD_LEVEL}), pg_is_in_recovery())`;
