import type Database from 'better-sqlite3';
import { StoreError } from '../store.ts';
import { ApiKeys, type KeyCalls } from './records/api-keys.ts';
import { Appender } from './messages/append.ts';
import { connect, disconnect, monotonic, patiently, readTransaction, writeTransaction, type ConnectOptions, type SqliteConnection } from './files/connection.ts';
import { Connectors } from './records/connectors.ts';
import { isOfConnection, lostFile, toUnknownError } from './files/errors.ts';
import { Erasures, type ErasureCalls } from './records/erasures.ts';
import { LogStateQuery, type AnswerWith, type LogRow, type Snapshot } from './files/log-state.ts';
import { LostEpochs } from './records/lost-epochs.ts';
import { probe } from './probe.ts';
import { MessageQuery } from './messages/query.ts';
import { Revocations } from './records/revocations.ts';
import { Seeker } from './messages/seek.ts';
import { Sessions, type SessionCalls } from './records/sessions.ts';
import type { CallTable } from './records/side-call.ts';
import { SharedFiles, type Opener } from './shared-files.ts';
import { Tickets, type TicketCalls } from './records/tickets.ts';
import { TopicIndex } from './messages/topic-index.ts';
import { Topics, type TopicCalls } from './records/topics.ts';
import { Trimmer } from './messages/trim.ts';
import { Usage, type UsageCalls } from './records/usage.ts';
import { Webhooks, type WebhookCalls } from './records/webhooks.ts';
import type { Opened, WorkerData } from './worker-protocol.ts';
import { rescueWal } from './files/write-ahead-log.ts';

/** How old a probe may be (probe.ts). If the database file has changed since, the next look probes at once. */
const PROBE_MS = 1_000;

/** How long a thread waits for the other thread to close lost files. If the other thread is in a longer read, the job fails, and the next job waits again. */
const LEAVE_WAIT_MS = 1_000;

/** A `SqliteConnection` with its prepared statements. */
export interface Statements {
  readonly sqliteConnection: SqliteConnection;
  readonly logState: LogStateQuery;
  readonly appender: Appender;
  readonly messageQuery: MessageQuery;
  readonly seeker: Seeker;
  readonly trimmer: Trimmer;
  readonly apiKeys: CallTable<KeyCalls>;
  readonly sessions: CallTable<SessionCalls>;
  readonly tickets: CallTable<TicketCalls>;
  readonly revocations: Revocations;
  readonly usage: CallTable<UsageCalls>;
  readonly topics: CallTable<TopicCalls>;
  readonly erasures: CallTable<ErasureCalls>;
  readonly lostEpochs: LostEpochs;
  readonly webhooks: CallTable<WebhookCalls>;
  readonly connectors: Connectors;
}

/** The steps with which the first writer opens a log. */
export interface FirstOpening {
  /** Throws if the file is no log. */
  readonly inspect: NonNullable<ConnectOptions['inspect']>;
  /** Applies migrations and begins an epoch. Runs in a write transaction. */
  readonly begin: (db: Database.Database) => { readonly logId: string };
}

type Work<Answer> = (statements: Statements) => Answer;

/**
 * A worker's connection to the database file. It opens the same write-ahead log as the other thread (shared-files.ts), prepares the statements, and runs the
 * work of each job in one transaction. It refuses a file that has another log, or that has lost messages.
 *
 * `release` closes the connection after an error that the connection may have caused. The next job connects again.
 */
export class WorkerConnection {
  readonly #file: string;
  readonly #opener: Opener;
  readonly #sharedFiles: SharedFiles;
  /** The file and log that the store opened. This connection uses no other. */
  #opened: Opened | undefined;
  #current: Statements | undefined;
  /** The last successful probe: its time by `monotonic`, and the change time that the database file had then. */
  #probed: { readonly at: number; readonly changed: bigint } | undefined;
  /** The newest epoch that this thread has sent to the main thread. */
  #knownEpoch = 0;
  /** The head in this thread's last answer. If the log ends before it, it has lost messages (invariant 8). */
  #newest = 0;

  constructor({ file, opener, sharedFiles, opened }: Pick<WorkerData, 'file' | 'opener' | 'sharedFiles' | 'opened'>) {
    this.#file = file;
    this.#opener = opener;
    this.#sharedFiles = new SharedFiles(sharedFiles);
    this.#opened = opened;
  }

  /** Undefined after an error closed the connection, until the next job. */
  get current(): Statements | undefined {
    return this.#current;
  }

  /** Opens the log for the first time. */
  open(deadline: number, { inspect, begin }: FirstOpening): { opened: Opened; log: Snapshot } {
    this.end();
    const sqliteConnection = this.#join(deadline, { expected: this.#opened?.identity, inspect });
    try {
      const { logId } = writeTransaction(sqliteConnection, deadline, () => begin(sqliteConnection.db));
      this.#opened = { identity: sqliteConnection.files.identity, logId };
      this.#current = prepared(sqliteConnection);
      this.#probeAnew(deadline);
      return { opened: this.#opened, log: this.state(deadline) };
    } finally {
      if (this.#current === undefined) this.#leave(sqliteConnection);
    }
  }

  /** The statements. Connects again if an error closed the connection. */
  use(deadline: number): Statements {
    if (this.#current !== undefined) return this.#current;
    if (this.#opened === undefined) throw new StoreError('unavailable', 'the store is not open');
    const { identity, logId } = this.#opened;
    const sqliteConnection = this.#join(deadline, { expected: identity });
    try {
      patiently(deadline, () => probe(this.#file, logId));
      this.#current = prepared(sqliteConnection);
      return this.#current;
    } finally {
      if (this.#current === undefined) this.#leave(sqliteConnection);
    }
  }

  /** Runs work in a read transaction. `write` and `commit` are the same with a write transaction. */
  read<Answer extends { readonly log: LogRow }>(deadline: number, work: Work<Answer>): AnswerWith<Snapshot, Answer> {
    return this.#transact(readTransaction, deadline, work);
  }

  write<Answer extends { readonly log: LogRow }>(deadline: number, work: Work<Answer>): AnswerWith<Snapshot, Answer> {
    return this.#transact(writeTransaction, deadline, work);
  }

  /** Runs work that is acknowledged. Besides the commit, it checks that a process that starts now could read the file. */
  commit<Answer extends { readonly log: LogRow }>(deadline: number, work: Work<Answer>): AnswerWith<Snapshot, Answer> {
    const answer = this.write(deadline, work);
    try {
      // A checkpoint has written to the database file, or another program has: read it anew.
      if (this.#current!.sqliteConnection.files.changed !== this.#probed?.changed) this.#probeAnew(deadline);
    } catch (error) {
      throw toUnknownError(error);
    }
    return answer;
  }

  state(deadline: number): Snapshot {
    return this.read(deadline, ({ logState }) => ({ log: logState.row() })).log;
  }

  /** Checks the files of the open connection. On a log without writes, nothing else would notice that the write-ahead log was cut. */
  lookAtFiles(deadline: number): { readonly links: number; readonly walBytes: number } {
    const { files } = this.#current!.sqliteConnection;
    if (this.#probed === undefined || this.#probed.changed !== files.changed || monotonic() - this.#probed.at > PROBE_MS) {
      files.compareWal();
      this.#probeAnew(deadline);
    }
    return { links: files.links, walBytes: files.walBytes };
  }

  /** Called when an answer carries the epochs to the main thread: later answers leave them out. */
  sentEpochs(epoch: number): void {
    this.#knownEpoch = epoch;
  }

  /** Closes the connection if it may be the reason for an error. The next job connects again. */
  release(error: unknown): void {
    if (this.#current === undefined) return;
    const { sqliteConnection } = this.#current;
    const lost = lostFile(error);
    try {
      if (lost?.which === 'wal') rescueWal(sqliteConnection);
    } catch {
      // The rescue has saved what it could. `#newest` shows the next connection whether messages were lost.
    }
    if (lost !== undefined || isOfConnection(error) || !sqliteConnection.db.open) this.end();
  }

  end(): void {
    const ended = this.#current;
    this.#current = undefined;
    this.#probed = undefined;
    if (ended !== undefined) this.#leave(ended.sqliteConnection);
  }

  /** Runs work in one transaction. The state of the log in its answer is from the same snapshot. */
  #transact<Answer extends { readonly log: LogRow }>(transaction: typeof readTransaction, deadline: number, work: Work<Answer>): AnswerWith<Snapshot, Answer> {
    const current = this.use(deadline);
    const answer = transaction(current.sqliteConnection, deadline, () => {
      const answered = work(current);
      if (answered.log.seq < this.#newest) {
        throw new StoreError('unavailable', `the database file ${this.#file} has lost its newest messages: it ends at ${answered.log.seq}, and ended at ${this.#newest}; restart Tidings to go on without them`);
      }
      return { ...answered, log: current.logState.snapshot(answered.log, this.#knownEpoch) };
    });
    this.#newest = answer.log.head;
    return answer;
  }

  /** Connects, with the same write-ahead log and index as the other thread if that has them open. If these are lost, waits until the other thread has closed them (the job `look`), and tries once more. */
  #join(deadline: number, options: ConnectOptions): SqliteConnection {
    const open = (): SqliteConnection => this.#sharedFiles.join(this.#opener, deadline, (inUse) => connect(this.#file, deadline, { ...options, inUse }));
    try {
      return open();
    } catch (error) {
      if (lostFile(error) === undefined || !this.#sharedFiles.isLeftByOther(this.#opener, Math.min(deadline, monotonic() + LEAVE_WAIT_MS))) throw error;
      return open();
    }
  }

  #leave(sqliteConnection: SqliteConnection): void {
    try {
      disconnect(sqliteConnection);
    } finally {
      this.#sharedFiles.leave(this.#opener);
    }
  }

  /** Throws if a process that starts now could not read the file. */
  #probeAnew(deadline: number): void {
    this.#probed = undefined;
    const { changed } = this.#current!.sqliteConnection.files;
    const { logId } = this.#opened!;
    patiently(deadline, () => probe(this.#file, logId));
    this.#probed = { at: monotonic(), changed };
  }
}

function prepared(sqliteConnection: SqliteConnection): Statements {
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
    apiKeys: new ApiKeys({ db, logState }),
    sessions: new Sessions({ db, logState }),
    tickets: new Tickets({ db, logState }),
    revocations: new Revocations({ db, logState }),
    usage: new Usage({ db, logState }),
    topics: new Topics({ db }),
    erasures: new Erasures({ db, logState }),
    lostEpochs: new LostEpochs({ db }),
    webhooks: new Webhooks({ db }),
    connectors: new Connectors({ db }),
  };
}
