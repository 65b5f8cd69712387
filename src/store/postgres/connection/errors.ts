import pg from 'pg';
import { closedReason } from '../../level.ts';
import { StoreError, type StoreErrorKind } from '../../store.ts';

/** What PostgreSQL's codes mean, for readers of the service's log (https://www.postgresql.org/docs/current/errcodes-appendix.html). A key is a code, or the two characters of a class of codes. */
const PG_SENTENCES: Readonly<Record<string, string>> = {
  '08': 'the connection between a pooler and the server was lost',
  '0A000': 'the server is a standby: it does not take messages',
  '25006': 'the server does not take messages: it is a standby, or read-only',
  '23505': 'the database is damaged: the log holds numbers beyond its head',
  '28': 'the server does not let this user in: look at user, password and pg_hba.conf',
  '3D000': 'there is no such database: create it, or correct DATABASE_URL',
  '42501': 'this user may not do that in the database',
  '42': 'the schema of the database is not the one of this version',
  '53100': 'the disk of the server is full',
  '53300': 'the server has no connection left: raise its max_connections, or lower DATABASE_CONNECTIONS',
  '53': 'the server has run out of something',
  '55000': 'the server is a standby: it does not take messages',
  '55P03': 'another instance kept the log locked for too long',
  '57014': 'the server took too long',
  '57P03': 'the server is starting or stopping',
  '57': 'the server was stopped, or ended the connection',
  '58': 'the disk of the server reported an error',
  TD001: 'this program does not understand the log: replace it by a newer version',
  TD002: 'the database is not the copy that this command is at: another one finished it, or began another',
  XX: 'the server reported that its data are damaged',
};

/** Classes of errors that one row of the request causes (invariant 13): its data, a constraint, a limit. */
const PG_ROW_CLASSES = new Set(['22', '23', '54']);

/**
 * If an append fails with one of these classes, nothing was stored (invariant 1). The server raises these errors before it writes the record of the commit, and
 * has rolled back when it answers. A failure after that point is no ERROR: the server ends the connection (FATAL), or restarts (PANIC). The following
 * classes are not in the table, because they leave the outcome open, even as an ERROR:
 * - 08, connection, and 57P: a pooler reports them when it has lost the server, maybe during the commit. Of class 57 only 57014, a cancelled statement, is safe.
 * - 40003, statement completion unknown.
 * - 58 and XX, system and internal errors: the server has rolled back, but poolers use the same codes for a server that they lost.
 * - 00 to 03 are no errors; F0 and HV have nothing to do with an append; other classes are not PostgreSQL's.
 */
const PG_NOTHING_STORED: Readonly<Record<string, string>> = {
  '0A': 'the statement uses what the server does not support; a standby answers so',
  '20': 'a case in a function has no branch',
  '21': 'a statement got several rows where one was wanted',
  '22': 'a value cannot be used',
  '23': 'a constraint was violated; one that is deferred is checked before the commit',
  '25': 'the state of the transaction forbids the statement',
  '26': 'no such prepared statement',
  '28': 'the user was not let in',
  '2F': 'a function failed',
  '34': 'no such cursor',
  '38': 'a function failed',
  '39': 'a function failed',
  '3D': 'no such database',
  '3F': 'no such schema',
  '40': 'the transaction was rolled back, for a deadlock for example',
  '42': 'the statement is wrong, or the user may not do that',
  '44': 'a row does not belong in the view',
  '53': 'the server ran out of something while it ran the statement',
  '54': 'the statement is beyond a limit of the server',
  '55': 'something is not in the state that the statement needs, or locked for too long',
  '57014': 'the statement was cancelled, by its timeout for example; a cancellation during the commit comes too late',
  '72': 'the snapshot is too old',
  P0: 'a function raised an error',
  TD001: 'the program does not understand the log',
  TD002: 'the database is not the copy that was to be changed',
};
const PG_STATEMENT_COMPLETION_UNKNOWN = '40003';

/** Codes with which a pooler reports that it lost its connection to the server. Their severity is ERROR, but no statement caused them. */
const PG_OF_CONNECTION = /^(08|57P)/;

const PG_CODE = /^[0-9A-Z]{5}$/;

/** Whether the server answered a statement with this error, so that the connection can still be used. Every other error is a failure of the connection. */
export function isAnswer(error: unknown): error is pg.DatabaseError {
  return error instanceof pg.DatabaseError && error.severity === 'ERROR' && error.code !== undefined && PG_CODE.test(error.code) && !PG_OF_CONNECTION.test(error.code);
}

/** Makes an error of the code and text that a function of ours caught and returned. It returns them so that the server does not write the statement, with its data, to its own log. */
export function failureOf(code: string, message: string): pg.DatabaseError {
  const error = new pg.DatabaseError(message, message.length, 'error');
  error.severity = 'ERROR';
  error.code = code;
  return error;
}

/** Whether an error proves that nothing was stored. */
function provesNothingStored(error: pg.DatabaseError): boolean {
  const { code = '' } = error;
  return isAnswer(error) && code !== PG_STATEMENT_COMPLETION_UNKNOWN && (code in PG_NOTHING_STORED || code.slice(0, 2) in PG_NOTHING_STORED);
}

/** Whether a standby answered. After a failover, a new connection may reach the primary, because the name of the server may have moved. */
export function isOfServer(error: pg.DatabaseError): boolean {
  return error.code === '25006' || error.code === '0A000' || error.code === '55000';
}

/** Explains an error. @param lost The kind of the error, if nothing proves that the call had no effect. */
export function toStoreError(error: unknown, lost: StoreErrorKind): StoreError {
  if (error instanceof StoreError) return error;
  const text = error instanceof AggregateError && error.message === '' ? error.errors.map(messageOf).join('; ') : messageOf(error);
  if (!(error instanceof pg.DatabaseError)) return new StoreError(lost, `${lost === 'outcome-unknown' ? 'the connection to the database was lost during the commit' : 'the database cannot be reached'}: ${text}`);
  const { code = '' } = error;
  const closed = code === 'TD001' ? closedReason(Number(LEVEL_IN.exec(text)?.[1])) : undefined;
  if (closed !== undefined) return new StoreError('unavailable', closed);
  const sentence = PG_SENTENCES[code] ?? PG_SENTENCES[code.slice(0, 2)];
  if (!provesNothingStored(error)) return new StoreError(lost, `${sentence ?? 'the server ended the connection'} (${code}: ${text})`);
  if (sentence === undefined && PG_ROW_CLASSES.has(code.slice(0, 2))) return new StoreError('refused', `the database refused a row (${code}: ${text})`);
  return new StoreError('unavailable', `${sentence ?? 'the database could not be used'} (${code}: ${text})`);
}

/** Finds the level in the text of the error of `tidings.refuse_level`. */
const LEVEL_IN = /^the log is at level (\d+)/;

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
