import { parentPort, workerData, type Transferable } from 'node:worker_threads';
import { StoreError } from '../store.ts';
import { ApiKeys, type KeyCallTable } from './api-keys.ts';
import { Appender, OUTDATED } from './append.ts';
import { connect, disconnect, monotonic, patiently, readTransaction, writeTransaction, type ConnectOptions, type SqliteConnection } from './connection.ts';
import { Connectors } from './connectors.ts';
import type { FileIdentity } from './database-files.ts';
import { DamageError, isOfConnection, lostFile, toStoreError, toUnknownError } from './errors.ts';
import { JobClaims } from './job-claims.ts';
import { Erasures, type ErasureCall, type ErasureCalls, type ErasureCallTable } from './erasures.ts';
import { LogStateQuery, type AnswerWith, type LogRow, type Snapshot } from './log-state.ts';
import { LostEpochs } from './lost-epochs.ts';
import { probe } from './probe.ts';
import { MessageQuery } from './query.ts';
import { Revocations } from './revocations.ts';
import { Seeker } from './seek.ts';
import { Sessions, type SessionCallTable } from './sessions.ts';
import { SharedFiles } from './shared-files.ts';
import { Tickets, type TicketCallTable } from './tickets.ts';
import { TopicIndex } from './topic-index.ts';
import { Trimmer } from './trim.ts';
import { Topics, type TopicCallTable } from './topics.ts';
import { Usage, type UsageCallTable } from './usage.ts';
import type { Call, Calls, Job, Reply, WorkerData } from './worker-protocol.ts';
import { Webhooks, type WebhookCallTable } from './webhooks.ts';
import { wipe } from './wipe.ts';
import { emptyWal, rescueWal, WalShortener } from './write-ahead-log.ts';

/**
 * The thread that may wait: for SQLite's lock, and for the disk. The store runs it twice, as the writer and as the query
 * worker, so that reads go on while a write waits. One job after the other, in the order they came.
 */

/** How old a probe may be, where nothing has written to the database file since. */
const PROBE_MS = 1_000;

/** How long a thread waits until the other has closed files that are lost. A read that the other has begun may take longer; then the job fails, and the next waits again. */
const LEAVE_WAIT_MS = 1_000;

/** A `SqliteConnection` with its prepared statements. */
interface Session {
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
  /** When the database file could last be opened again: by `monotonic`, and by the time of the last write to it. */
  probed: { readonly at: number; readonly changed: bigint } | undefined;
}

const port = parentPort!;
const { file, opener } = workerData as WorkerData;
const sharedFiles = new SharedFiles((workerData as WorkerData).sharedFiles);
const claims = new JobClaims((workerData as WorkerData).claims);
/** The log that the store opened: no other is ever used. */
let opened: { identity: FileIdentity; logId: string } | undefined = (workerData as WorkerData).opened;
let session: Session | undefined;
const walShortener = new WalShortener();
/** Only for the first writer: the query worker, and a worker that boots again, do not open the log. */
const first = opened === undefined ? { ...await import('./migrate.ts'), ...await import('./epochs.ts') } : undefined;
/** The newest epoch that this thread has sent to the main thread. */
let knownEpoch = 0;
/** The newest number that this thread has answered with: the log must never end before it (invariant 8). */
let newest = 0;

const jobs: { [Name in Call]: (argument: Calls[Name]['argument'], deadline: number) => [value: Calls[Name]['value'], transfer: Transferable[]] } = {
  open(_, deadline) {
    if (first === undefined) throw new StoreError('unavailable', 'the store was opened before');
    const { makeFolder, applyMigrations, beginEpoch, refuseForeign } = first;
    makeFolder(file);
    endSession();
    const sqliteConnection = join(deadline, { expected: opened?.identity, inspect: refuseForeign });
    try {
      const { logId } = writeTransaction(sqliteConnection, deadline, () => {
        applyMigrations(sqliteConnection.db);
        return beginEpoch(sqliteConnection.db);
      });
      opened = { identity: sqliteConnection.files.identity, logId };
      session = sessionOf(sqliteConnection);
      probeAnew(session, logId, deadline);
      return [{ opened, log: state(deadline) }, []];
    } finally {
      if (session === undefined) leave(sqliteConnection);
    }
  },

  append(requests, deadline) {
    const answer = commit(deadline, ({ appender }) => appender.append(requests));
    return [answer, [answer.outcomes.buffer]];
  },

  appendStep({ request, step }, deadline) {
    const answer = commit(deadline, ({ appender, connectors, logState }) => {
      const { seq, oldest } = logState.row();
      if (!connectors.isNext(step)) return { outcomes: Float64Array.from(OUTDATED), log: logState.row() };
      const appended = appender.append(request);
      connectors.move(step, { first: seq + 1, last: appended.log.seq, oldest });
      return appended;
    });
    return [answer, [answer.outcomes.buffer]];
  },

  read(query, deadline) {
    const answer = transact(readTransaction, deadline, ({ messageQuery }) => messageQuery.read(query));
    return [answer, [answer.messages.numbers.buffer, answer.messages.bytes]];
  },

  state(_, deadline) {
    const log = state(deadline);
    const { sqliteConnection: { files }, probed } = session!;
    if (probed === undefined || probed.changed !== files.changed || monotonic() - probed.at > PROBE_MS) {
      // Where nobody writes, nothing else would tell that the write-ahead log was cut.
      files.compareWal();
      probeAnew(session!, opened!.logId, deadline);
    }
    return [{ log, links: files.links, walBytes: files.walBytes }, []];
  },

  seek({ time }, deadline) {
    return [transact(readTransaction, deadline, ({ seeker }) => seeker.seek(time)), []];
  },

  newestWithin(bounds, deadline) {
    return [transact(readTransaction, deadline, ({ seeker }) => seeker.newestWithin(bounds)), []];
  },

  findBack(query, deadline) {
    return [transact(readTransaction, deadline, ({ messageQuery }) => messageQuery.findBack(query)), []];
  },

  trim(policy, deadline) {
    return [transact(writeTransaction, deadline, ({ trimmer }) => trimmer.trim(policy)), []];
  },

  keyChanges: (argument, deadline) => [transact(readTransaction, deadline, beside(({ apiKeys }) => apiKeys.keyChanges(argument))), []],
  findKeys: (argument, deadline) => [transact(readTransaction, deadline, beside(({ apiKeys }) => apiKeys.findKeys(argument))), []],
  listKeys: (argument, deadline) => [transact(readTransaction, deadline, beside(({ apiKeys }) => apiKeys.listKeys(argument))), []],
  createKey: (argument, deadline) => [commit(deadline, beside(({ apiKeys }) => apiKeys.createKey(argument))), []],
  rotateKey: (argument, deadline) => [commit(deadline, beside(({ apiKeys }) => apiKeys.rotateKey(argument))), []],
  revokeKey: (argument, deadline) => [commit(deadline, beside(({ apiKeys }) => apiKeys.revokeKey(argument))), []],
  noteUse: (argument, deadline) => [transact(writeTransaction, deadline, beside(({ apiKeys }) => apiKeys.noteUse(argument))), []],

  sessionChanges: (argument, deadline) => [transact(readTransaction, deadline, beside(({ sessions }) => sessions.sessionChanges(argument))), []],
  findSessions: (argument, deadline) => [transact(readTransaction, deadline, beside(({ sessions }) => sessions.findSessions(argument))), []],
  createSession: (argument, deadline) => [commit(deadline, beside(({ sessions }) => sessions.createSession(argument))), []],
  endSession: (argument, deadline) => [commit(deadline, beside(({ sessions }) => sessions.endSession(argument))), []],

  findTickets: (argument, deadline) => [transact(readTransaction, deadline, beside(({ tickets }) => tickets.findTickets(argument))), []],
  ticketUses: (argument, deadline) => [transact(readTransaction, deadline, beside(({ tickets }) => tickets.ticketUses(argument))), []],
  createTicket: (argument, deadline) => [commit(deadline, beside(({ tickets }) => tickets.createTicket(argument))), []],
  useTickets: (argument, deadline) => [commit(deadline, beside(({ tickets }) => tickets.useTickets(argument))), []],
  keepTickets: (argument, deadline) => [transact(writeTransaction, deadline, beside(({ tickets }) => tickets.keepTickets(argument))), []],
  renewTicket: (argument, deadline) => [commit(deadline, beside(({ tickets }) => tickets.renewTicket(argument))), []],

  listRevocations: (argument, deadline) => [transact(readTransaction, deadline, beside(({ revocations }) => revocations.listRevocations(argument))), []],
  revoke: (argument, deadline) => [commit(deadline, beside(({ revocations }) => revocations.revoke(argument))), []],
  usageChanges: (argument, deadline) => [transact(readTransaction, deadline, beside(({ usage }) => usage.usageChanges(argument))), []],
  writeUsage: (argument, deadline) => [transact(writeTransaction, deadline, beside(({ usage }) => usage.writeUsage(argument))), []],

  topicNames: (argument, deadline) => [transact(readTransaction, deadline, beside(({ topics }) => topics.topicNames(argument))), []],
  topicCounts: (argument, deadline) => [transact(readTransaction, deadline, beside(({ topics }) => topics.topicCounts(argument))), []],

  erasureChanges: (argument, deadline) => [transact(readTransaction, deadline, erasureCall('erasureChanges', argument)), []],
  eraseMessage: (argument, deadline) => [commit(deadline, erasureCall('eraseMessage', argument)), []],
  eraseTopic: (argument, deadline) => [commit(deadline, erasureCall('eraseTopic', argument)), []],

  keepLost: (argument, deadline) => [transact(writeTransaction, deadline, beside(({ lostEpochs }) => lostEpochs.keepLost(argument))), []],
  lost: (_, deadline) => [transact(readTransaction, deadline, beside(({ lostEpochs }) => lostEpochs.lost())), []],

  hasActiveWebhooks: (argument, deadline) => [transact(readTransaction, deadline, beside(({ webhooks }) => webhooks.hasActiveWebhooks(argument))), []],
  listWebhooks: (argument, deadline) => [transact(readTransaction, deadline, beside(({ webhooks }) => webhooks.listWebhooks(argument))), []],
  findWebhooks: (argument, deadline) => [transact(readTransaction, deadline, beside(({ webhooks }) => webhooks.findWebhooks(argument))), []],
  listAttempts: (argument, deadline) => [transact(readTransaction, deadline, beside(({ webhooks }) => webhooks.listAttempts(argument))), []],
  newestAttempts: (argument, deadline) => [transact(readTransaction, deadline, beside(({ webhooks }) => webhooks.newestAttempts(argument))), []],
  createWebhook: (argument, deadline) => [commit(deadline, beside(({ webhooks }) => webhooks.createWebhook(argument))), []],
  changeWebhook: (argument, deadline) => [commit(deadline, beside(({ webhooks }) => webhooks.changeWebhook(argument))), []],
  deleteWebhook: (argument, deadline) => [commit(deadline, beside(({ webhooks }) => webhooks.deleteWebhook(argument))), []],
  leaseWebhooks: (argument, deadline) => [transact(writeTransaction, deadline, beside(({ webhooks }) => webhooks.leaseWebhooks(argument))), []],
  letGoOfWebhooks: (argument, deadline) => [transact(writeTransaction, deadline, beside(({ webhooks }) => webhooks.letGoOfWebhooks(argument))), []],
  noteDeliveries: (argument, deadline) => [transact(writeTransaction, deadline, beside(({ webhooks }) => webhooks.noteDeliveries(argument))), []],

  findConnectors: (argument, deadline) => [transact(readTransaction, deadline, beside(({ connectors }) => connectors.findConnectors(argument))), []],
  sourcePositions: (argument, deadline) => [transact(readTransaction, deadline, beside(({ connectors }) => connectors.sourcePositions(argument))), []],
  originsWithin: (argument, deadline) => [transact(readTransaction, deadline, beside(({ connectors }) => connectors.originsWithin(argument))), []],
  leaseConnectors: (argument, deadline) => [transact(writeTransaction, deadline, beside(({ connectors }) => connectors.leaseConnectors(argument))), []],
  letGoOfConnectors: (argument, deadline) => [transact(writeTransaction, deadline, beside(({ connectors }) => connectors.letGoOfConnectors(argument))), []],
  noteConnector: (argument, deadline) => [transact(writeTransaction, deadline, beside(({ connectors }) => connectors.noteConnector(argument))), []],

  wipe(_, deadline) {
    // The level is looked at before anything is written.
    const log = state(deadline);
    return [{ log, wiped: wipe(use(deadline).sqliteConnection, deadline) }, []];
  },

  look() {
    session?.sqliteConnection.files.look();
    return [undefined, []];
  },

  close() {
    try {
      if (session !== undefined) emptyWal(session.sqliteConnection);
    } finally {
      endSession();
    }
    return [undefined, []];
  },
};

/** The session, opened again if an error closed it. */
function use(deadline: number): Session {
  if (session !== undefined) return session;
  if (opened === undefined) throw new StoreError('unavailable', 'the store is not open');
  const sqliteConnection = join(deadline, { expected: opened.identity });
  try {
    const { logId } = opened;
    patiently(deadline, () => probe(file, logId));
    session = sessionOf(sqliteConnection);
    return session;
  } finally {
    if (session === undefined) leave(sqliteConnection);
  }
}

/** Connects with the same write-ahead log and index as the other thread, or with new ones when it has none open. Lost ones were closed before. */
function join(deadline: number, options: ConnectOptions): SqliteConnection {
  const open = (): SqliteConnection => sharedFiles.join(opener, deadline, (inUse) => connect(file, deadline, { ...options, inUse }));
  try {
    return open();
  } catch (error) {
    if (lostFile(error) === undefined || !sharedFiles.isLeftByOther(opener, Math.min(deadline, monotonic() + LEAVE_WAIT_MS))) throw error;
    return open();
  }
}

function leave(sqliteConnection: SqliteConnection): void {
  try {
    disconnect(sqliteConnection);
  } finally {
    sharedFiles.leave(opener);
  }
}

/** Throws where a process that starts now could not read what this one has written. */
function probeAnew(current: Session, logId: string, deadline: number): void {
  current.probed = undefined;
  const { changed } = current.sqliteConnection.files;
  patiently(deadline, () => probe(file, logId));
  current.probed = { at: monotonic(), changed };
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
    probed: undefined,
  };
}

/** Does one piece of work in one transaction. Its answer says of the log what the same snapshot says. */
function transact<Answer extends { readonly log: LogRow }>(
  transaction: typeof readTransaction, deadline: number, work: (session: Session) => Answer,
): AnswerWith<Snapshot, Answer> {
  const current = use(deadline);
  const answer = transaction(current.sqliteConnection, deadline, () => {
    const answered = work(current);
    if (answered.log.seq < newest) {
      throw new StoreError('unavailable', `the database file ${file} has lost its newest messages: it ends at ${answered.log.seq}, and ended at ${newest}; restart Tidings to go on without them`);
    }
    return { ...answered, log: current.logState.snapshot(answered.log, knownEpoch) };
  });
  newest = answer.log.head;
  return answer;
}

/** Does one piece of work that is acknowledged: its transaction is committed, and a process that starts now could read it. */
function commit<Answer extends { readonly log: LogRow }>(deadline: number, work: (session: Session) => Answer): AnswerWith<Snapshot, Answer> {
  const answer = transact(writeTransaction, deadline, work);
  try {
    // A checkpoint wrote to the database file, or someone else did.
    if (session!.sqliteConnection.files.changed !== session!.probed?.changed) probeAnew(session!, opened!.logId, deadline);
  } catch (error) {
    throw toUnknownError(error);
  }
  return answer;
}

/** Work that is not on the log, with the log as it is then. */
function beside<Answer>(work: (session: Session) => Answer): (session: Session) => { answer: Answer; log: LogRow } {
  return (current) => {
    const log = current.logState.row();
    return { answer: work(current), log };
  };
}

/** A call of `Erasures`, with the log as it is then. */
function erasureCall<Name extends ErasureCall>(name: Name, argument: ErasureCalls[Name]['argument']): (session: Session) => { answer: ErasureCalls[Name]['answer']; log: LogRow } {
  return ({ erasures, logState }) => {
    const answer = erasures[name](argument);
    return { answer, log: logState.row() };
  };
}

function state(deadline: number): Snapshot {
  return transact(readTransaction, deadline, ({ logState }) => ({ log: logState.row() })).log;
}

function endSession(): void {
  const ended = session;
  session = undefined;
  if (ended !== undefined) leave(ended.sqliteConnection);
}

function isAppend(name: Call): boolean {
  return name === 'append' || name === 'appendStep';
}

function perform<Name extends Call>({ id, name, argument, deadline }: Job<Name>): void {
  try {
    const [value, transfer] = jobs[name](argument, deadline);
    if (value?.log.epochs !== undefined) knownEpoch = value.log.epoch;
    port.postMessage({ id, value } satisfies Reply, transfer);
  } catch (error) {
    const failure = toStoreError(error, isAppend(name) ? 'refused' : 'unavailable');
    release(error);
    port.postMessage({ id, failure: { kind: failure.kind, message: failure.message, isDamage: failure instanceof DamageError, isLost: lostFile(error) !== undefined } } satisfies Reply);
  }
}

/** Closes a connection that is the reason for an error, or may be: the next job connects again. */
function release(error: unknown): void {
  if (session === undefined) return;
  const lost = lostFile(error);
  try {
    if (lost?.which === 'wal') rescueWal(session.sqliteConnection);
  } catch {
    // Everything was rescued that could be. The next connection finds out whether the newest message is there.
  }
  if (lost !== undefined || isOfConnection(error) || !session.sqliteConnection.db.open) endSession();
}

port.on('message', (job: Job<Call>) => {
  if (!claims.claim(job.id)) {
    // A sign of life: nobody waits for this answer any more.
    port.postMessage({ id: job.id, failure: { kind: 'unavailable', message: 'the job was given up', isDamage: false, isLost: false } } satisfies Reply);
    return;
  }
  perform(job);
  if (job.name === 'close') port.close();
  else if (isAppend(job.name) && session !== undefined) {
    try {
      // After the reply, so that no publisher waits for it.
      walShortener.shorten(session.sqliteConnection);
    } catch (error) {
      // The next job reports the fault if it lasts.
      release(error);
    }
  }
});
