import type Database from 'better-sqlite3';
import { StoreError } from '../store.ts';
import { ApiKeys, type KeyCallTable } from './records/api-keys.ts';
import { Appender } from './messages/append.ts';
import { connect, disconnect, monotonic, patiently, readTransaction, writeTransaction, type ConnectOptions, type SqliteConnection } from './files/connection.ts';
import { Connectors } from './records/connectors.ts';
import { isOfConnection, lostFile, toUnknownError } from './files/errors.ts';
import { Erasures, type ErasureCallTable } from './records/erasures.ts';
import { LogStateQuery, type AnswerWith, type LogRow, type Snapshot } from './files/log-state.ts';
import { LostEpochs } from './messages/lost-epochs.ts';
import { probe } from './probe.ts';
import { MessageQuery } from './messages/query.ts';
import { Revocations } from './records/revocations.ts';
import { Seeker } from './messages/seek.ts';
import { Sessions, type SessionCallTable } from './records/sessions.ts';
import { SharedFiles, type Opener } from './shared-files.ts';
import { Tickets, type TicketCallTable } from './records/tickets.ts';
import { TopicIndex } from './messages/topic-index.ts';
import { Topics, type TopicCallTable } from './records/topics.ts';
import { Trimmer } from './messages/trim.ts';
import { Usage, type UsageCallTable } from './records/usage.ts';
import { Webhooks, type WebhookCallTable } from './records/webhooks.ts';
import type { Opened, WorkerData } from './worker-protocol.ts';
import { rescueWal } from './files/write-ahead-log.ts';

/** How old a probe may be, where nothing has written to the database file since. */
const PROBE_MS = 1_000;

/** How long a thread waits until the other has closed files that are lost. A read that the other has begun may take longer; then the job fails, and the next waits again. */
const LEAVE_WAIT_MS = 1_000;

/** A `SqliteConnection` with its prepared statements. */
export interface Statements {
  readonly sqliteConnection: SqliteConnection;
  readonly logState: LogStateQuery;
  readonly appender: Appender;
  readonly messageQuery: MessageQuery;
  readonly seeker: Seeker;
  readonly trimmer: Trimmer;
  readonly apiKeys: KeyCallTable;
  readonly sessions: SessionCallTable;
  readonly tickets: TicketCallTable;
  readonly revocations: Revocations;
  readonly usage: UsageCallTable;
  readonly topics: TopicCallTable;
  readonly erasures: ErasureCallTable;
  readonly lostEpochs: LostEpochs;
  readonly webhooks: WebhookCallTable;
  readonly connectors: Connectors;
}

/** How the first worker opens the log. */
export interface FirstOpening {
  /** Throws where the file is no log. */
  readonly inspect: NonNullable<ConnectOptions['inspect']>;
  /** Runs in a transaction. */
  readonly begin: (db: Database.Database) => { readonly logId: string };
}

type Work<Answer> = (statements: Statements) => Answer;

/**
 * A worker's connection to the database file. It connects with the same write-ahead log as the other thread, prepares the statements, and runs the work of a job in one transaction. It refuses
 * a file that is another log, or that has lost messages. An error may close it; the next job connects anew.
 */
export class WorkerConnection {
  readonly #file: string;
  readonly #opener: Opener;
  readonly #sharedFiles: SharedFiles;
  /** The log that the store opened: no other is ever used. */
  #opened: Opened | undefined;
  #current: Statements | undefined;
  /** When the database file could last be read anew: by `monotonic`, and by when something had last written to it. */
  #probed: { readonly at: number; readonly changed: bigint } | undefined;
  /** The newest epoch that the main thread has heard of from this thread. */
  #knownEpoch = 0;
  /** The newest number that this thread has answered with: the log must never end before it (invariant 8). */
  #newest = 0;

  constructor({ file, opener, sharedFiles, opened }: Pick<WorkerData, 'file' | 'opener' | 'sharedFiles' | 'opened'>) {
    this.#file = file;
    this.#opener = opener;
    this.#sharedFiles = new SharedFiles(sharedFiles);
    this.#opened = opened;
  }

  /** Undefined where an error closed it, and no job has connected since. */
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

  /** The statements, after connecting anew if an error closed the connection. */
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

  read<Answer extends { readonly log: LogRow }>(deadline: number, work: Work<Answer>): AnswerWith<Snapshot, Answer> {
    return this.#transact(readTransaction, deadline, work);
  }

  write<Answer extends { readonly log: LogRow }>(deadline: number, work: Work<Answer>): AnswerWith<Snapshot, Answer> {
    return this.#transact(writeTransaction, deadline, work);
  }

  /** Does one piece of work that is acknowledged: its transaction is committed, and a process that starts now could read it. */
  commit<Answer extends { readonly log: LogRow }>(deadline: number, work: Work<Answer>): AnswerWith<Snapshot, Answer> {
    const answer = this.write(deadline, work);
    try {
      // A checkpoint wrote to the database file, or someone else did.
      if (this.#current!.sqliteConnection.files.changed !== this.#probed?.changed) this.#probeAnew(deadline);
    } catch (error) {
      throw toUnknownError(error);
    }
    return answer;
  }

  state(deadline: number): Snapshot {
    return this.read(deadline, ({ logState }) => ({ log: logState.row() })).log;
  }

  /** Looks at the files of a connection that is open. Where nobody writes, nothing else would tell that the write-ahead log was cut. */
  lookAtFiles(deadline: number): { readonly links: number; readonly walBytes: number } {
    const { files } = this.#current!.sqliteConnection;
    if (this.#probed === undefined || this.#probed.changed !== files.changed || monotonic() - this.#probed.at > PROBE_MS) {
      files.compareWal();
      this.#probeAnew(deadline);
    }
    return { links: files.links, walBytes: files.walBytes };
  }

  /** The main thread is told of an epoch. */
  toldOf(epoch: number): void {
    this.#knownEpoch = epoch;
  }

  /** Closes a connection that is the reason for an error, or may be: the next job connects anew. */
  release(error: unknown): void {
    if (this.#current === undefined) return;
    const { sqliteConnection } = this.#current;
    const lost = lostFile(error);
    try {
      if (lost?.which === 'wal') rescueWal(sqliteConnection);
    } catch {
      // The rescue saved as much as it could; the next connection finds out whether the newest message is there.
    }
    if (lost !== undefined || isOfConnection(error) || !sqliteConnection.db.open) this.end();
  }

  end(): void {
    const ended = this.#current;
    this.#current = undefined;
    this.#probed = undefined;
    if (ended !== undefined) this.#leave(ended.sqliteConnection);
  }

  /** Does one piece of work in one transaction. Its answer says of the log what the same snapshot says. */
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

  /** Connects with the same write-ahead log and index as the other thread, or anew when it has none open. It was told to close those that are lost. */
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

  /** Throws where a process that starts now could not read what this one has written. */
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
