import { parentPort, workerData, type Transferable } from 'node:worker_threads';
import { StoreError } from '../store.ts';
import { Appender } from './append.ts';
import { connect, isInPlace, readTransaction, writeTransaction, type FileIdentity, type SqliteConnection } from './connection.ts';
import { isOfConnection, toStoreError } from './errors.ts';
import { JobClaims } from './job-claims.ts';
import { LogStateQuery, type AnswerWith, type LogRow, type Snapshot } from './log-state.ts';
import { MessageQuery } from './query.ts';
import { Seeker } from './seek.ts';
import { TopicIndex } from './topic-index.ts';
import { Trimmer } from './trim.ts';
import type { Call, Calls, Job, Reply, WorkerData } from './worker-protocol.ts';
import { shortenWal } from './write-ahead-log.ts';

/**
 * The thread that may wait: for SQLite's lock, and for the disk. The store runs it twice, as the writer and as the query
 * worker, so that reads go on while a write waits. One job after the other, in the order they came.
 */

/** A `SqliteConnection` with its prepared statements. */
interface Session {
  readonly sqliteConnection: SqliteConnection;
  readonly logState: LogStateQuery;
  readonly appender: Appender;
  readonly messageQuery: MessageQuery;
  readonly seeker: Seeker;
  readonly trimmer: Trimmer;
}

const port = parentPort!;
const { file } = workerData as WorkerData;
const claims = new JobClaims((workerData as WorkerData).claims);
/** What the log was when the store opened it: no other is ever used. */
let opened: { identity: FileIdentity; logId: string } | undefined = (workerData as WorkerData).opened;
let session: Session | undefined;
/** Only for the first writer: the query worker, and a worker that boots again, need no drizzle. */
const first = opened === undefined ? { ...await import('./migrate.ts'), ...await import('./epochs.ts') } : undefined;
/** The newest epoch that the main thread has heard of from this thread. */
let knownEpoch = 0;

const jobs: { [Name in Call]: (argument: Calls[Name]['argument'], deadline: number) => [value: Calls[Name]['value'], transfer: Transferable[]] } = {
  open(_, deadline) {
    if (first === undefined) throw new StoreError('unavailable', 'the store was opened before');
    const { makeFolder, applyMigrations, beginEpoch } = first;
    makeFolder(file);
    disconnect();
    const sqliteConnection = connect(file, deadline, opened?.identity);
    try {
      const { logId } = writeTransaction(sqliteConnection, deadline, () => {
        applyMigrations(sqliteConnection.db);
        return beginEpoch(sqliteConnection.db);
      });
      opened = { identity: sqliteConnection.identity, logId };
      session = sessionOf(sqliteConnection);
      return [{ opened, ...state(deadline) }, []];
    } finally {
      if (session === undefined) sqliteConnection.db.close();
    }
  },

  append(requests, deadline) {
    const answer = transact(writeTransaction, deadline, ({ appender }) => appender.append(requests));
    return [answer, [answer.outcomes.buffer]];
  },

  read(query, deadline) {
    const answer = transact(readTransaction, deadline, ({ messageQuery }) => messageQuery.read(query));
    return [answer, [answer.messages.numbers.buffer, answer.messages.bytes]];
  },

  state(_, deadline) {
    return [state(deadline), []];
  },

  seek({ time }, deadline) {
    return [transact(readTransaction, deadline, ({ seeker }) => seeker.seek(time)), []];
  },

  trim(policy, deadline) {
    return [transact(writeTransaction, deadline, ({ trimmer }) => trimmer.trim(policy)), []];
  },

  close() {
    try {
      // Not for a file that took the old one's place.
      if (session !== undefined && isInPlace(session.sqliteConnection)) session.sqliteConnection.db.pragma('wal_checkpoint(TRUNCATE)');
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
  const sqliteConnection = connect(file, deadline, opened.identity);
  const made = sessionOf(sqliteConnection);
  if (made.logState.logId() !== opened.logId) {
    sqliteConnection.db.close();
    throw new StoreError('unavailable', `the database file ${file} holds another log; restart Tidings`);
  }
  session = made;
  return made;
}

function sessionOf(sqliteConnection: SqliteConnection): Session {
  const { db } = sqliteConnection;
  const logState = new LogStateQuery({ db });
  const topicIndex = new TopicIndex({ db });
  return {
    sqliteConnection,
    logState,
    appender: new Appender({ db, logState, topicIndex }),
    messageQuery: new MessageQuery({ db, logState }),
    seeker: new Seeker({ db, logState }),
    trimmer: new Trimmer({ db, logState, topicIndex }),
  };
}

/** Does one piece of work in one transaction. Its answer says of the log what the same snapshot says. */
function transact<Answer extends { readonly log: LogRow }>(
  transaction: typeof readTransaction, deadline: number, work: (session: Session) => Answer,
): AnswerWith<Snapshot, Answer> {
  const current = use(deadline);
  return transaction(current.sqliteConnection, deadline, () => {
    const answer = work(current);
    return { ...answer, log: current.logState.snapshot(answer.log, knownEpoch) };
  });
}

function state(deadline: number): { readonly log: Snapshot } {
  return transact(readTransaction, deadline, ({ logState }) => ({ log: logState.row() }));
}

function disconnect(): void {
  session?.sqliteConnection.db.close();
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
    if (session !== undefined && (isOfConnection(error) || !session.sqliteConnection.db.open)) disconnect();
  }
}

port.on('message', (job: Job<Call>) => {
  if (!claims.claim(job.id)) {
    // A sign of life: nobody waits for this answer any more.
    port.postMessage({ id: job.id, failure: { kind: 'unavailable', message: 'the job was given up' } } satisfies Reply);
    return;
  }
  perform(job);
  if (job.name === 'close') port.close();
  else if (job.name === 'append' && session !== undefined) {
    try {
      // After the reply, so that no publisher waits for it.
      shortenWal(session.sqliteConnection);
    } catch {
      // The next job connects anew, and reports what is wrong if it still is.
      disconnect();
    }
  }
});
