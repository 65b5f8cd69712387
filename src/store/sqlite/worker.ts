import { parentPort, workerData, type Transferable } from 'node:worker_threads';
import { StoreError } from '../store.ts';
import { OUTDATED } from './messages/append.ts';
import { DamageError, lostFile, toStoreError } from './files/errors.ts';
import type { ErasureCall, ErasureCalls } from './records/erasures.ts';
import { JobClaims } from './job-claims.ts';
import type { LogRow } from './files/log-state.ts';
import { WorkerConnection, type Statements } from './worker-connection.ts';
import type { Call, Calls, Job, Reply, WorkerData } from './worker-protocol.ts';
import { wipe } from './wipe.ts';
import { emptyWal, WalShortener } from './files/write-ahead-log.ts';

/**
 * The thread that may wait: for SQLite's lock, and for the disk. The store runs it twice, as the writer and as the query
 * worker, so that reads go on while a write waits. One job after the other, in the order they came.
 */

const port = parentPort!;
const data = workerData as WorkerData;
const claims = new JobClaims(data.claims);
const connection = new WorkerConnection(data);
const walShortener = new WalShortener();
/** Only for the first writer: the query worker, and a worker that boots again, do not open the log. */
const first = data.opened === undefined ? { ...await import('./files/migrate.ts'), ...await import('./messages/epochs.ts') } : undefined;

const jobs: { [Name in Call]: (argument: Calls[Name]['argument'], deadline: number) => [value: Calls[Name]['value'], transfer: Transferable[]] } = {
  open(_, deadline) {
    if (first === undefined) throw new StoreError('unavailable', 'the store was opened before');
    const { makeFolder, applyMigrations, beginEpoch, refuseForeign } = first;
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

  keyChanges: (argument, deadline) => [connection.read(deadline, beside(({ apiKeys }) => apiKeys.keyChanges(argument))), []],
  findKeys: (argument, deadline) => [connection.read(deadline, beside(({ apiKeys }) => apiKeys.findKeys(argument))), []],
  listKeys: (argument, deadline) => [connection.read(deadline, beside(({ apiKeys }) => apiKeys.listKeys(argument))), []],
  createKey: (argument, deadline) => [connection.commit(deadline, beside(({ apiKeys }) => apiKeys.createKey(argument))), []],
  rotateKey: (argument, deadline) => [connection.commit(deadline, beside(({ apiKeys }) => apiKeys.rotateKey(argument))), []],
  revokeKey: (argument, deadline) => [connection.commit(deadline, beside(({ apiKeys }) => apiKeys.revokeKey(argument))), []],
  noteUse: (argument, deadline) => [connection.write(deadline, beside(({ apiKeys }) => apiKeys.noteUse(argument))), []],

  sessionChanges: (argument, deadline) => [connection.read(deadline, beside(({ sessions }) => sessions.sessionChanges(argument))), []],
  findSessions: (argument, deadline) => [connection.read(deadline, beside(({ sessions }) => sessions.findSessions(argument))), []],
  createSession: (argument, deadline) => [connection.commit(deadline, beside(({ sessions }) => sessions.createSession(argument))), []],
  endSession: (argument, deadline) => [connection.commit(deadline, beside(({ sessions }) => sessions.endSession(argument))), []],

  findTickets: (argument, deadline) => [connection.read(deadline, beside(({ tickets }) => tickets.findTickets(argument))), []],
  ticketUses: (argument, deadline) => [connection.read(deadline, beside(({ tickets }) => tickets.ticketUses(argument))), []],
  createTicket: (argument, deadline) => [connection.commit(deadline, beside(({ tickets }) => tickets.createTicket(argument))), []],
  useTickets: (argument, deadline) => [connection.commit(deadline, beside(({ tickets }) => tickets.useTickets(argument))), []],
  keepTickets: (argument, deadline) => [connection.write(deadline, beside(({ tickets }) => tickets.keepTickets(argument))), []],
  renewTicket: (argument, deadline) => [connection.commit(deadline, beside(({ tickets }) => tickets.renewTicket(argument))), []],

  listRevocations: (argument, deadline) => [connection.read(deadline, beside(({ revocations }) => revocations.listRevocations(argument))), []],
  revoke: (argument, deadline) => [connection.commit(deadline, beside(({ revocations }) => revocations.revoke(argument))), []],
  usageChanges: (argument, deadline) => [connection.read(deadline, beside(({ usage }) => usage.usageChanges(argument))), []],
  writeUsage: (argument, deadline) => [connection.write(deadline, beside(({ usage }) => usage.writeUsage(argument))), []],

  topicNames: (argument, deadline) => [connection.read(deadline, beside(({ topics }) => topics.topicNames(argument))), []],
  topicCounts: (argument, deadline) => [connection.read(deadline, beside(({ topics }) => topics.topicCounts(argument))), []],

  erasureChanges: (argument, deadline) => [connection.read(deadline, erasureCall('erasureChanges', argument)), []],
  eraseMessage: (argument, deadline) => [connection.commit(deadline, erasureCall('eraseMessage', argument)), []],
  eraseTopic: (argument, deadline) => [connection.commit(deadline, erasureCall('eraseTopic', argument)), []],

  keepLost: (argument, deadline) => [connection.write(deadline, beside(({ lostEpochs }) => lostEpochs.keepLost(argument))), []],
  lost: (_, deadline) => [connection.read(deadline, beside(({ lostEpochs }) => lostEpochs.lost())), []],

  hasActiveWebhooks: (argument, deadline) => [connection.read(deadline, beside(({ webhooks }) => webhooks.hasActiveWebhooks(argument))), []],
  listWebhooks: (argument, deadline) => [connection.read(deadline, beside(({ webhooks }) => webhooks.listWebhooks(argument))), []],
  findWebhooks: (argument, deadline) => [connection.read(deadline, beside(({ webhooks }) => webhooks.findWebhooks(argument))), []],
  listAttempts: (argument, deadline) => [connection.read(deadline, beside(({ webhooks }) => webhooks.listAttempts(argument))), []],
  newestAttempts: (argument, deadline) => [connection.read(deadline, beside(({ webhooks }) => webhooks.newestAttempts(argument))), []],
  createWebhook: (argument, deadline) => [connection.commit(deadline, beside(({ webhooks }) => webhooks.createWebhook(argument))), []],
  changeWebhook: (argument, deadline) => [connection.commit(deadline, beside(({ webhooks }) => webhooks.changeWebhook(argument))), []],
  deleteWebhook: (argument, deadline) => [connection.commit(deadline, beside(({ webhooks }) => webhooks.deleteWebhook(argument))), []],
  leaseWebhooks: (argument, deadline) => [connection.write(deadline, beside(({ webhooks }) => webhooks.leaseWebhooks(argument))), []],
  letGoOfWebhooks: (argument, deadline) => [connection.write(deadline, beside(({ webhooks }) => webhooks.letGoOfWebhooks(argument))), []],
  noteDeliveries: (argument, deadline) => [connection.write(deadline, beside(({ webhooks }) => webhooks.noteDeliveries(argument))), []],

  findConnectors: (argument, deadline) => [connection.read(deadline, beside(({ connectors }) => connectors.findConnectors(argument))), []],
  sourcePositions: (argument, deadline) => [connection.read(deadline, beside(({ connectors }) => connectors.sourcePositions(argument))), []],
  originsWithin: (argument, deadline) => [connection.read(deadline, beside(({ connectors }) => connectors.originsWithin(argument))), []],
  leaseConnectors: (argument, deadline) => [connection.write(deadline, beside(({ connectors }) => connectors.leaseConnectors(argument))), []],
  letGoOfConnectors: (argument, deadline) => [connection.write(deadline, beside(({ connectors }) => connectors.letGoOfConnectors(argument))), []],
  noteConnector: (argument, deadline) => [connection.write(deadline, beside(({ connectors }) => connectors.noteConnector(argument))), []],

  wipe(_, deadline) {
    // The level is looked at before anything is written.
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

/** Work that is not on the log, with the log as it is then. */
function beside<Answer>(work: (statements: Statements) => Answer): (statements: Statements) => { answer: Answer; log: LogRow } {
  return (current) => {
    const log = current.logState.row();
    return { answer: work(current), log };
  };
}

/** A call of `Erasures`, with the log as it is then. */
function erasureCall<Name extends ErasureCall>(name: Name, argument: ErasureCalls[Name]['argument']): (statements: Statements) => { answer: ErasureCalls[Name]['answer']; log: LogRow } {
  return ({ erasures, logState }) => {
    const answer = erasures[name](argument);
    return { answer, log: logState.row() };
  };
}

function isAppend(name: Call): boolean {
  return name === 'append' || name === 'appendStep';
}

function perform<Name extends Call>({ id, name, argument, deadline }: Job<Name>): void {
  try {
    const [value, transfer] = jobs[name](argument, deadline);
    if (value?.log.epochs !== undefined) connection.toldOf(value.log.epoch);
    port.postMessage({ id, value } satisfies Reply, transfer);
  } catch (error) {
    const failure = toStoreError(error, isAppend(name) ? 'refused' : 'unavailable');
    connection.release(error);
    port.postMessage({ id, failure: { kind: failure.kind, message: failure.message, isDamage: failure instanceof DamageError, isLost: lostFile(error) !== undefined } } satisfies Reply);
  }
}

port.on('message', (job: Job<Call>) => {
  if (!claims.claim(job.id)) {
    // A sign of life: nobody waits for this answer any more.
    port.postMessage({ id: job.id, failure: { kind: 'unavailable', message: 'the job was given up', isDamage: false, isLost: false } } satisfies Reply);
    return;
  }
  perform(job);
  if (job.name === 'close') port.close();
  else if (isAppend(job.name) && connection.current !== undefined) {
    try {
      // After the reply, so that no publisher waits for it.
      walShortener.shorten(connection.current.sqliteConnection);
    } catch (error) {
      // The next job reports the fault if it lasts.
      connection.release(error);
    }
  }
});
