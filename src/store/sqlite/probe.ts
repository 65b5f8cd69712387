import Database from 'better-sqlite3';
import { DamageError } from './files/errors.ts';
import type { LogRow } from './files/log-state.ts';

/** Every table and index, by the columns that it is sorted by. */
const ORDERS: readonly (readonly [table: string, ...columns: string[]])[] = [
  ['head', 'id'], ['retention', 'id'], ['epochs', 'id'], ['epochs', 'epoch'], ['messages', 'seq'], ['recent', 'topic', 'seq'], ['topics', 'topic', 'seq'],
  ['segments', 'segment', 'seq'], ['keys', 'id'], ['keys', 'scope', 'key'],
  ['access', 'id'], ['api_keys', 'rowid'], ['api_keys', 'id'], ['api_keys', 'version'], ['api_keys', 'ends'],
  ['revocation_list', 'id'], ['revocations', 'rowid'], ['revocations', 'kind', 'name'], ['revocations', 'version'], ['revocations', 'ends'],
];

const ENDS = ORDERS.flatMap(([table, ...columns]) => ['ASC', 'DESC'].map((direction) => (
  `SELECT * FROM ${table} ORDER BY ${columns.map((column) => `${column} ${direction}`).join(', ')} LIMIT 1`)));

const MESSAGES = 'SELECT head.log, head.seq, retention.oldest, (SELECT min(seq) FROM messages) AS first, (SELECT max(seq) FROM messages) AS last FROM head, retention';

/**
 * Opens a database file anew and reads the parts that a process needs at its start: the schema, the rows that describe the log, and both ends of every table
 * and index. Open connections do not notice that these are damaged, because they use pages in memory. Takes about a millisecond, however long the log is.
 *
 * @throws DamageError if one of the parts is missing, or belongs to another log.
 */
export function probe(file: string, logId: string): void {
  // Read-only, because a connection that can write makes a checkpoint when it closes.
  const db = new Database(file, { readonly: true, fileMustExist: true, timeout: 0 });
  try {
    db.exec('BEGIN');
    for (const end of ENDS) db.prepare(end).get();
    const row = db.prepare<[], Pick<LogRow, 'seq' | 'oldest'> & { log: string; first: number | null; last: number | null }>(MESSAGES).get();
    if (row?.log !== logId) throw new DamageError(`the database file ${file} holds another log: it was overwritten while in use; restart Tidings when the new file is complete`);
    const { seq, oldest, first, last } = row;
    if (seq >= oldest && (first !== oldest || last !== seq)) {
      throw new DamageError(`the database file is damaged: the log goes from ${oldest} to ${seq}, its messages from ${first} to ${last}`);
    }
  } finally {
    db.close();
  }
}
