import pg from 'pg';
import { StoreError, type StoreErrorKind } from '../store.ts';

/** What PostgreSQL's codes mean to the person who reads the log (https://www.postgresql.org/docs/current/errcodes-appendix.html): codes, or classes of two characters. */
const PG_SENTENCES: Readonly<Record<string, string>> = {
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
  XX: 'the server reported that its data are damaged',
};

/** Classes whose reason is one row of the request (invariant 13): its data, a constraint, a limit. */
const PG_ROW_CLASSES = new Set(['22', '23', '54']);

/** An answer of the server, after which the connection goes on; whatever else fails, the connection is the reason. */
export function isAnswer(error: unknown): error is pg.DatabaseError {
  return error instanceof pg.DatabaseError && error.severity === 'ERROR';
}

/** Whether a standby answered. A new `PgConnection` may reach the primary: the server's name may stand for that now. */
export function isOfServer(error: pg.DatabaseError): boolean {
  return error.code === '25006' || error.code === '0A000' || error.code === '55000';
}

/** @param lost What it is when the connection was the reason: before a message was sent, or after it. */
export function toStoreError(error: unknown, lost: StoreErrorKind): StoreError {
  if (error instanceof StoreError) return error;
  const text = error instanceof AggregateError && error.message === '' ? error.errors.map(messageOf).join('; ') : messageOf(error);
  if (!(error instanceof pg.DatabaseError)) return new StoreError(lost, `${lost === 'outcome-unknown' ? 'the connection to the database was lost during the commit' : 'the database cannot be reached'}: ${text}`);
  const { code = '' } = error;
  const sentence = PG_SENTENCES[code] ?? PG_SENTENCES[code.slice(0, 2)];
  // The server rolls back before it answers with an error; only a connection that it ended leaves the outcome open.
  if (!isAnswer(error)) return new StoreError(lost, `${sentence ?? 'the server ended the connection'} (${code}: ${text})`);
  if (sentence === undefined && PG_ROW_CLASSES.has(code.slice(0, 2))) return new StoreError('refused', `the database refused a row (${code}: ${text})`);
  return new StoreError('unavailable', `${sentence ?? 'the database could not be used'} (${code}: ${text})`);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
