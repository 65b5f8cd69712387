import { statSync } from 'node:fs';
import { parentPort, workerData, type Transferable } from 'node:worker_threads';
import { StoreError } from '../store.ts';
import { Appender } from './append.ts';
import { connect, isInPlace, read, WAL_MAX_BYTES, write, type Connection, type FileIdentity } from './connection.ts';
import { isOfConnection, toStoreError } from './errors.ts';
import { LogReader } from './log-state.ts';
import type { Call, Calls, Job, Reply, WorkerData } from './worker-protocol.ts';
import { Reader } from './query.ts';
import { Seeker } from './seek.ts';
import { Index } from './topic-index.ts';
import { Trimmer } from './trim.ts';

/**
 * The thread that may wait: for SQLite's lock, and for the disk. The store starts it twice, as the one that writes and
 * as the one that reads, so that reads go on while a write waits. One job after the other, in the order they came.
 */

/** How long the writer waits for readers to leave a write-ahead log that is too long, in milliseconds. */
const WAL_WAIT = 200;

/** A connection with its prepared statements. */
interface Session {
  readonly connection: Connection;
  readonly log: LogReader;
  readonly appender: Appender;
  readonly reader: Reader;
  readonly seeker: Seeker;
  readonly trimmer: Trimmer;
}

const port = parentPort!;
const { file } = workerData as WorkerData;
/** What the log was when the store opened it: no other is ever used. */
let opened: { identity: FileIdentity; logId: string } | undefined = (workerData as WorkerData).opened;
let session: Session | undefined;
/** Only for the first worker that writes: the reader, and a worker that starts again, need no drizzle. */
const first = opened === undefined ? { ...await import('./migrate.ts'), ...await import('./epochs.ts') } : undefined;
/** The newest epoch that the main thread has heard of from this thread. */
let knownEpoch = 0;

const jobs: { [Name in Call]: (argument: Calls[Name]['argument'], deadline: number) => [value: Calls[Name]['value'], transfer: Transferable[]] } = {
  open(_, deadline) {
    if (first === undefined) throw new StoreError('unavailable', 'the store was opened before');
    const { makeFolder, applyMigrations, beginEpoch } = first;
    makeFolder(file);
    disconnect();
    const connection = connect(file, deadline, opened?.identity);
    try {
      const { logId } = write(connection, deadline, () => {
        applyMigrations(connection.db);
        return beginEpoch(connection.db);
      });
      opened = { identity: connection.identity, logId };
      session = sessionOf(connection);
      const { log } = session;
      return [{ opened, log: read(connection, deadline, () => log.snapshot(log.row(), knownEpoch)) }, []];
    } finally {
      if (session === undefined) connection.db.close();
    }
  },

  append(requests, deadline) {
    const { connection, appender, log } = use(deadline);
    const { outcomes, snapshot } = write(connection, deadline, () => {
      const appended = appender.append(requests);
      return { outcomes: appended.outcomes, snapshot: log.snapshot(appended.log, knownEpoch) };
    });
    return [{ outcomes, log: snapshot }, [outcomes.buffer]];
  },

  read(query, deadline) {
    const { connection, reader, log } = use(deadline);
    const { page, snapshot } = read(connection, deadline, () => {
      const found = reader.read(query);
      return { page: found, snapshot: log.snapshot(found.log, knownEpoch) };
    });
    return [{ ...page, log: snapshot }, [page.messages.numbers.buffer, page.messages.bytes]];
  },

  state(_, deadline) {
    const { connection, log } = use(deadline);
    return [{ log: read(connection, deadline, () => log.snapshot(log.row(), knownEpoch)) }, []];
  },

  seek({ time }, deadline) {
    const { connection, seeker, log } = use(deadline);
    return [read(connection, deadline, () => {
      const sought = seeker.seek(time);
      return { ...sought, log: log.snapshot(sought.log, knownEpoch) };
    }), []];
  },

  trim(policy, deadline) {
    const { connection, trimmer, log } = use(deadline);
    return [write(connection, deadline, () => {
      const trimmed = trimmer.trim(policy);
      return { ...trimmed, log: log.snapshot(trimmed.log, knownEpoch) };
    }), []];
  },

  close() {
    try {
      // Not for a file that took the old one's place.
      if (session !== undefined && isInPlace(session.connection)) session.connection.db.pragma('wal_checkpoint(TRUNCATE)');
    } finally {
      disconnect();
    }
    return [undefined, []];
  },
};

/** The session, opened anew if an error closed it. */
function use(deadline: number): Session {
  if (session !== undefined) return session;
  if (opened === undefined) throw new StoreError('unavailable', 'the store is not open');
  const connection = connect(file, deadline, opened.identity);
  const made = sessionOf(connection);
  if (made.log.logId() !== opened.logId) {
    connection.db.close();
    throw new StoreError('unavailable', `the database file ${file} holds another log; restart Tidings`);
  }
  session = made;
  return made;
}

function sessionOf(connection: Connection): Session {
  const { db } = connection;
  const log = new LogReader(db);
  const index = new Index(db);
  return {
    connection, log, appender: new Appender(db, log, index), reader: new Reader(db, log), seeker: new Seeker(db, log), trimmer: new Trimmer(db, log, index),
  };
}

function disconnect(): void {
  session?.connection.db.close();
  session = undefined;
}

function perform<Name extends Call>({ id, name, argument, deadline }: Job<Name>): void {
  try {
    const [value, transfer] = jobs[name](argument, deadline);
    if (value?.log.epochs !== undefined) knownEpoch = value.log.epoch;
    port.postMessage({ id, value } satisfies Reply, transfer);
  } catch (error) {
    const failure = toStoreError(error, name === 'append' ? 'refused' : 'unavailable');
    port.postMessage({ id, failure: { kind: failure.kind, message: failure.message } } satisfies Reply);
    if (session !== undefined && (isOfConnection(error) || !session.connection.db.open)) disconnect();
  }
}

/** After the reply, so that no publisher waits for it. */
function shortenWal({ connection: { db, wal } }: Session): void {
  try {
    const { size } = statSync(wal);
    if (size < WAL_MAX_BYTES) return;
    db.pragma(`busy_timeout = ${WAL_WAIT}`);
    db.pragma('wal_checkpoint(TRUNCATE)');
    db.pragma('busy_timeout = 0');
  } catch {
    // The next job opens a new connection, and reports what is wrong if it still is.
    disconnect();
  }
}

port.on('message', (job: Job<Call>) => {
  perform(job);
  if (job.name === 'close') port.close();
  else if (job.name === 'append' && session !== undefined) shortenWal(session);
});
