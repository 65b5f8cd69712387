import { parentPort, workerData, type Transferable } from 'node:worker_threads';
import { StoreError } from '../store.ts';
import { OUTDATED } from './messages/append.ts';
import { DamageError, lostFile, toStoreError } from './files/errors.ts';
import type { CallTable, CallTypes } from './records/side-call.ts';
import { ERASURE_EFFECTS, type ErasureCalls } from './records/erasures.ts';
import { JobClaims } from './job-claims.ts';
import type { AnswerWith, Snapshot } from './files/log-state.ts';
import { WorkerConnection, type Statements } from './worker-connection.ts';
import { SIDE_EFFECTS, type Call, type Calls, type Job, type Reply, type SideCall, type SideCalls, type WorkerData } from './worker-protocol.ts';
import { wipe } from './wipe.ts';
import { emptyWal, WalShortener } from './files/write-ahead-log.ts';

/**
 * The thread in which SQLite may block, for locks and for the disk. The store runs two of them, the writer and the query worker, so that reads go on while a
 * write waits. Jobs run one after the other, in the order in which they came.
 *
 * A new call needs: its types in an interface `…Calls` (side-call.ts) or in `Calls` (worker-protocol.ts), its effect, and a line in `jobs`.
 */

const port = parentPort!;
const data = workerData as WorkerData;
const claims = new JobClaims(data.claims);
const connection = new WorkerConnection(data);
const walShortener = new WalShortener();
/** The code that opens a log. Only the first writer loads it: the query worker, and every worker that boots again, find the log open. */
const opening = data.opened === undefined ? { ...await import('./files/migrate.ts'), ...await import('./messages/epochs.ts') } : undefined;

/** Performs a job. Returns its value, and the parts of it that are transferred and not copied. */
type Perform<Name extends Call> = (argument: Calls[Name]['argument'], deadline: number) => [value: Calls[Name]['value'], transfer: Transferable[]];

const jobs: { [Name in Call]: Perform<Name> } = {
  open(_, deadline) {
    if (opening === undefined) throw new StoreError('unavailable', 'the store was opened before');
    const { makeFolder, applyMigrations, beginEpoch, refuseForeign } = opening;
    makeFolder(data.file);
    return [connection.open(deadline, { inspect: refuseForeign, begin: (db) => {
      applyMigrations(db);
      return beginEpoch(db);
    } }), []];
  },

  append(requests, deadline) {
    const answer = connection.commit(deadline, ({ appender }) => appender.append(requests));
    return [answer, [answer.outcomes.buffer]];
  },

  appendStep({ request, step }, deadline) {
    const answer = connection.commit(deadline, ({ appender, connectors, logState }) => {
      const { seq, oldest } = logState.row();
      if (!connectors.isNext(step)) return { outcomes: Float64Array.from(OUTDATED), log: logState.row() };
      const appended = appender.append(request);
      connectors.move(step, { first: seq + 1, last: appended.log.seq, oldest });
      return appended;
    });
    return [answer, [answer.outcomes.buffer]];
  },

  read(query, deadline) {
    const answer = connection.read(deadline, ({ messageQuery }) => messageQuery.read(query));
    return [answer, [answer.messages.numbers.buffer, answer.messages.bytes]];
  },

  state(_, deadline) {
    const log = connection.state(deadline);
    return [{ log, ...connection.lookAtFiles(deadline) }, []];
  },

  seek({ time }, deadline) {
    return [connection.read(deadline, ({ seeker }) => seeker.seek(time)), []];
  },

  newestWithin(bounds, deadline) {
    return [connection.read(deadline, ({ seeker }) => seeker.newestWithin(bounds)), []];
  },

  findBack(query, deadline) {
    return [connection.read(deadline, ({ messageQuery }) => messageQuery.findBack(query)), []];
  },

  trim(policy, deadline) {
    return [connection.write(deadline, ({ trimmer }) => trimmer.trim(policy)), []];
  },

  keyChanges: sideJob('keyChanges', ({ apiKeys }) => apiKeys),
  findKeys: sideJob('findKeys', ({ apiKeys }) => apiKeys),
  listKeys: sideJob('listKeys', ({ apiKeys }) => apiKeys),
  createKey: sideJob('createKey', ({ apiKeys }) => apiKeys),
  rotateKey: sideJob('rotateKey', ({ apiKeys }) => apiKeys),
  revokeKey: sideJob('revokeKey', ({ apiKeys }) => apiKeys),
  noteUse: sideJob('noteUse', ({ apiKeys }) => apiKeys),

  sessionChanges: sideJob('sessionChanges', ({ sessions }) => sessions),
  findSessions: sideJob('findSessions', ({ sessions }) => sessions),
  createSession: sideJob('createSession', ({ sessions }) => sessions),
  endSession: sideJob('endSession', ({ sessions }) => sessions),

  findTickets: sideJob('findTickets', ({ tickets }) => tickets),
  ticketUses: sideJob('ticketUses', ({ tickets }) => tickets),
  createTicket: sideJob('createTicket', ({ tickets }) => tickets),
  useTickets: sideJob('useTickets', ({ tickets }) => tickets),
  keepTickets: sideJob('keepTickets', ({ tickets }) => tickets),
  renewTicket: sideJob('renewTicket', ({ tickets }) => tickets),

  listRevocations: sideJob('listRevocations', ({ revocations }) => revocations),
  revoke: sideJob('revoke', ({ revocations }) => revocations),
  usageChanges: sideJob('usageChanges', ({ usage }) => usage),
  writeUsage: sideJob('writeUsage', ({ usage }) => usage),

  topicNames: sideJob('topicNames', ({ topics }) => topics),
  topicCounts: sideJob('topicCounts', ({ topics }) => topics),

  erasureChanges: erasureJob('erasureChanges'),
  eraseMessage: erasureJob('eraseMessage'),
  eraseTopic: erasureJob('eraseTopic'),

  keepLost: sideJob('keepLost', ({ lostEpochs }) => lostEpochs),
  lost: sideJob('lost', ({ lostEpochs }) => lostEpochs),

  hasActiveWebhooks: sideJob('hasActiveWebhooks', ({ webhooks }) => webhooks),
  listWebhooks: sideJob('listWebhooks', ({ webhooks }) => webhooks),
  findWebhooks: sideJob('findWebhooks', ({ webhooks }) => webhooks),
  listAttempts: sideJob('listAttempts', ({ webhooks }) => webhooks),
  newestAttempts: sideJob('newestAttempts', ({ webhooks }) => webhooks),
  createWebhook: sideJob('createWebhook', ({ webhooks }) => webhooks),
  changeWebhook: sideJob('changeWebhook', ({ webhooks }) => webhooks),
  deleteWebhook: sideJob('deleteWebhook', ({ webhooks }) => webhooks),
  leaseWebhooks: sideJob('leaseWebhooks', ({ webhooks }) => webhooks),
  letGoOfWebhooks: sideJob('letGoOfWebhooks', ({ webhooks }) => webhooks),
  noteDeliveries: sideJob('noteDeliveries', ({ webhooks }) => webhooks),

  findConnectors: sideJob('findConnectors', ({ connectors }) => connectors),
  sourcePositions: sideJob('sourcePositions', ({ connectors }) => connectors),
  originsWithin: sideJob('originsWithin', ({ connectors }) => connectors),
  leaseConnectors: sideJob('leaseConnectors', ({ connectors }) => connectors),
  letGoOfConnectors: sideJob('letGoOfConnectors', ({ connectors }) => connectors),
  noteConnector: sideJob('noteConnector', ({ connectors }) => connectors),

  wipe(_, deadline) {
    // Reading the state throws if this program does not understand the log. Do so before anything is written.
    const log = connection.state(deadline);
    return [{ log, wiped: wipe(connection.use(deadline).sqliteConnection, deadline) }, []];
  },

  look() {
    connection.current?.sqliteConnection.files.look();
    return [undefined, []];
  },

  close() {
    try {
      if (connection.current !== undefined) emptyWal(connection.current.sqliteConnection);
    } finally {
      connection.end();
    }
    return [undefined, []];
  },
};

/** Performs a job of `JobsOf`. */
type PerformCallOf<Types extends CallTypes<Types>, Name extends keyof Types> =
  (argument: Types[Name]['argument'], deadline: number) => [value: AnswerWith<Snapshot, { answer: Types[Name]['answer'] }>, transfer: Transferable[]];

/** A job that performs a side call (side-call.ts), and returns the state of the log from the same transaction. */
function sideJob<Name extends SideCall>(name: Name, tableOf: (statements: Statements) => Pick<CallTable<SideCalls>, Name>): PerformCallOf<SideCalls, Name> {
  return (argument, deadline) => [connection[SIDE_EFFECTS[name]](deadline, (statements) => {
    const log = statements.logState.row();
    return { answer: tableOf(statements)[name](argument), log };
  }), []];
}

/** A job that performs a call of `Erasures`. The state of the log is read after it, because it may have taken a version. */
function erasureJob<Name extends keyof ErasureCalls>(name: Name): PerformCallOf<ErasureCalls, Name> {
  return (argument, deadline) => [connection[ERASURE_EFFECTS[name]](deadline, ({ erasures, logState }) => {
    const answer = erasures[name](argument);
    return { answer, log: logState.row() };
  }), []];
}

function isAppend(name: Call): boolean {
  return name === 'append' || name === 'appendStep';
}

function perform<Name extends Call>({ id, name, argument, deadline }: Job<Name>): void {
  try {
    const [value, transfer] = jobs[name](argument, deadline);
    if (value?.log.epochs !== undefined) connection.sentEpochs(value.log.epoch);
    port.postMessage({ id, value } satisfies Reply, transfer);
  } catch (error) {
    const failure = toStoreError(error, isAppend(name) ? 'refused' : 'unavailable');
    connection.release(error);
    port.postMessage({ id, failure: { kind: failure.kind, message: failure.message, isDamage: failure instanceof DamageError, isLost: lostFile(error) !== undefined } } satisfies Reply);
  }
}

port.on('message', (job: Job<Call>) => {
  if (!claims.claim(job.id)) {
    // Nobody waits for this answer. It shows the main thread that the worker answers again.
    port.postMessage({ id: job.id, failure: { kind: 'unavailable', message: 'the job was given up', isDamage: false, isLost: false } } satisfies Reply);
    return;
  }
  perform(job);
  if (job.name === 'close') port.close();
  else if (isAppend(job.name) && connection.current !== undefined) {
    try {
      // After the reply, so that the publisher does not wait for the checkpoint.
      walShortener.shorten(connection.current.sqliteConnection);
    } catch (error) {
      // If the fault lasts, the next job reports it.
      connection.release(error);
    }
  }
});
