import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { Access } from './access/access.ts';
import { hasTokenKeys, readAccess } from './access/access-settings.ts';
import { EndedSessions } from './access/records/ended-sessions.ts';
import { KeyAdministration } from './access/credentials/key-administration.ts';
import { KnownKeys } from './access/records/known-keys.ts';
import { KnownRevocations } from './access/records/known-revocations.ts';
import { KnownSessions } from './access/records/known-sessions.ts';
import { Leases } from './access/leases/leases.ts';
import { OwnedStreams } from './access/leases/owned-streams.ts';
import { Renewals } from './access/leases/renewals.ts';
import { RevocationAdministration } from './access/credentials/revocation-administration.ts';
import { SessionAdministration } from './access/credentials/session-administration.ts';
import { StreamHandles } from './access/leases/stream-handles.ts';
import { Standing } from './access/leases/standing.ts';
import { TicketAdministration } from './access/tickets/ticket-administration.ts';
import { Tickets } from './access/tickets/tickets.ts';
import type { Bus } from './bus/bus.ts';
import type { CommitListener } from './bus/hub/merged-appends.ts';
import { ControlChannel } from './bus/control-channel.ts';
import { configure, exitIfWrong } from './config/config.ts';
import { connectionsThatFit, streamsThatFit } from './config/file-limit.ts';
import { Connectors, readConnectorsFile } from './connectors/connectors.ts';
import { KAFKA } from './connectors/kafka/kafka.ts';
import { NATS } from './connectors/nats/nats.ts';
import { Delivery } from './delivery/delivery.ts';
import { presenceFrame } from './delivery/frames/sse.ts';
import { Fleet } from './fleet/fleet.ts';
import type { ChangeableStream } from './fleet/topic-changes.ts';
import { Health } from './health.ts';
import { OPERATIONS_MAX_CONNECTIONS, OTHER_MAX_CONNECTIONS } from './http/admission/server-limits.ts';
import type { Service } from './http/service.ts';
import { Hooks } from './hooks/hooks.ts';
import { connectToHub, makeAppends, makeBus, makeLedger, makePlace, makeStore, makeTokens, type Parts, type Stores } from './implementations.ts';
import { Limits } from './limits/limits.ts';
import { Lifecycle } from './lifecycle.ts';
import { MessageLog } from './log/log.ts';
import { Presence } from './presence/presence.ts';
import { loadInBackground } from './runtime/background-loads.ts';
import { Budget } from './runtime/sharing/budget.ts';
import { systemClock as clock } from './runtime/clock.ts';
import { takeConsole } from './runtime/logging/console-lines.ts';
import { makeLogger, standardOutput } from './runtime/logging/logger.ts';
import { Metrics } from './runtime/metrics.ts';
import { SharedTexts } from './runtime/shared-texts.ts';
import { ProcTcpTable } from './runtime/sockets/tcp-table.ts';
import { newestOf, Warnings } from './runtime/logging/warnings.ts';
import { isStoreFailure, StoreError } from './store/store.ts';
import { WebhookAdministration } from './webhooks/administration.ts';
import { DeadLetters } from './webhooks/dead-letters.ts';
import { Notes } from './webhooks/notes.ts';
import { Sender } from './webhooks/sender.ts';
import { Turns } from './webhooks/turns.ts';
import { SUSPECT_WEBHOOKS_MAX_BYTES, WEBHOOKS_MAX_BYTES, Webhooks } from './webhooks/webhooks.ts';
import { ownPlace } from './workers/place.ts';
import { shareOf } from './workers/shares.ts';
import { Worker } from './workers/worker.ts';

/**
 * The composition root of an instance. It reads the settings, makes the parts of the instance in the order of the rooms from the bottom up, and serves. Some parts refer
 * to parts below them in this file: they do so only in functions, which run later.
 *
 * Read the parts here, then implementations.ts (the store, the bus and other choices by the settings), lifecycle.ts (open, listen, drain, close), listeners.ts (ports) and
 * health.ts. With several workers, each worker runs this file, and supervise.ts is the composition root of their supervisor.
 */

/** The place of this process among several workers; undefined for a single process. */
const place = exitIfWrong(ownPlace);
const config = place === undefined ? configure() : shareOf(configure(), place);
const database = config.DATABASE_URL;
const warnings = new Warnings();
const processLogger = makeLogger({ level: config.LOG_LEVEL, isExpected: isStoreFailure, destination: standardOutput(), warnings });
const logger = place === undefined ? processLogger : processLogger.child({ worker: place.number });
takeConsole(console, logger);
const worker = place === undefined ? undefined : new Worker({ place, clock, logger });
const maxStreams = streamsThatFit(config.MAX_STREAMS, logger);
const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };
const metrics = new Metrics({
  worker: place?.number,
  build: { version, node: process.versions.node },
  warnings: warnings.counts,
  limits: { streams: maxStreams, tailBytes: config.TAIL_BYTES, filterBytes: config.FILTER_BYTES, unreadBytes: config.UNREAD_BYTES, appendsWaiting: config.APPEND_QUEUE_MESSAGES, logBytes: config.RETENTION_BYTES, keys: config.IDEMPOTENCY_MAX_KEYS, logSeconds: config.RETENTION_SECONDS },
});
const { counters } = metrics;

const hooks = exitIfWrong(() => Hooks.read(config, process.env));
const connectorPlans = exitIfWrong(() => readConnectorsFile(config, process.env, { nats: NATS, kafka: KAFKA }));
const { settings: accessSettings, declared } = exitIfWrong(() => readAccess(config));

const store: Stores = await makeStore({ config, logger });
const hub = await connectToHub(place?.hub, { clock, logger });
const parts: Parts = { config, clock, counters, logger, hub };
const bus: Bus = await makeBus(parts);

// The audit log: changes of keys, revocations, sessions and messages, and their effects, at every LOG_LEVEL except `silent`.
const audit = logger.isLevelEnabled('info') || config.LOG_LEVEL === 'silent' ? logger : logger.child({}, { level: 'info' });

const log = new MessageLog({
  store, appends: await makeAppends(store, parts, ownCommit), bus, clock, counters, logger, audit,
  settings: {
    tailBytes: config.TAIL_BYTES,
    pollMs: config.POLL_MS,
    queueMessages: config.APPEND_QUEUE_MESSAGES,
    queueBytes: config.APPEND_QUEUE_BYTES,
    retentionMs: config.RETENTION_SECONDS * 1000,
    retentionBytes: config.RETENTION_BYTES,
    topicShare: config.TOPIC_RETENTION_SHARE,
    senderShare: config.CREDENTIAL_RETENTION_SHARE,
    maxKeys: config.IDEMPOTENCY_MAX_KEYS,
  },
});

const delivery = new Delivery({
  store, log, clock, counters, logger, table: new ProcTcpTable(),
  settings: {
    maxStreams,
    filterBytes: config.FILTER_BYTES,
    unreadBytes: config.UNREAD_BYTES,
    heartbeatMs: config.HEARTBEAT_SECONDS * 1000,
    stallMs: config.STALL_SECONDS * 1000,
    retryMinMs: config.RETRY_MIN_MS,
    retryMaxMs: config.RETRY_MAX_MS,
  },
});

const knownRevocations = new KnownRevocations({ store: store.revocations, logger });
const knownKeys = new KnownKeys({ store: store.keys, revocations: knownRevocations, clock, logger, counters, pollMs: config.POLL_MS });
const knownSessions = config.AUTH_COOKIE === undefined ? undefined : new KnownSessions({ store: store.sessions, clock, logger, counters, pollMs: config.POLL_MS });
const handles = new StreamHandles();
const control = new ControlChannel({ bus, clock, counters, instance: handles.instance, look: () => void lookAtAccess() });
const tickets = new Tickets({ store: store.tickets, control, clock, logger: audit, counters, pollMs: config.POLL_MS });
const endedSessions = new EndedSessions({ control, clock });
const access = new Access({
  settings: accessSettings, keys: knownKeys, revocations: knownRevocations, declared, tokens: hasTokenKeys(config) ? await makeTokens(parts, accessSettings) : undefined, sessions: knownSessions, endedSessions, tickets,
});
const leases = new Leases({ standing: new Standing({ keys: knownKeys, sessions: knownSessions, revocations: knownRevocations, declared }), access, clock, logger: audit });
const owned = new OwnedStreams<ChangeableStream>(handles);
const renewals = new Renewals({ leases, control, tickets: store.tickets, handles, owned });
knownKeys.watch((ids) => leases.keysChanged(ids));
knownSessions?.watch((ids) => leases.sessionsChanged(ids));
knownRevocations.watch(leases);
const keys = new KeyAdministration({ store: store.keys, logger: audit, onChange: accessChanged });
const sessions = new SessionAdministration({ store: store.sessions, logger: audit, counters, ended: endedSessions, lifetimeMs: config.SESSION_SECONDS * 1000, onChange: accessChanged });
const ticketAdministration = new TicketAdministration({ store: store.tickets, tickets, logger: audit, counters, maxTopics: config.TOPICS_PER_STREAM });
const revocations = new RevocationAdministration({ store: store.revocations, logger: audit, onChange: accessChanged, maxSeconds: config.JWT_MAX_SECONDS, now: () => knownKeys.now() });

const limits = new Limits({
  ledger: await makeLedger(parts), clock, counters, logger,
  settings: {
    publish: config.PUBLISH_LIMIT,
    anonymousPublish: config.ANONYMOUS_PUBLISH_LIMIT,
    failedLogins: config.FAILED_LOGINS_LIMIT,
    streams: config.STREAMS_LIMIT,
    anonymousStreams: config.ANONYMOUS_STREAMS_LIMIT,
    topics: config.TOPICS_LIMIT,
    idempotencyKeys: config.IDEMPOTENCY_KEYS_LIMIT,
    idempotencyMs: config.IDEMPOTENCY_SECONDS * 1000,
  },
});

const presencePlace = await makePlace(parts);
const fileUsers = database.kind === 'sqlite' ? new (await import('./store/sqlite/file-users.ts')).FileUsers({ file: resolve(database.file), clock }) : undefined;
const presence = new Presence({
  // The hub connects the workers of this machine, and PostgreSQL may have others.
  place: presencePlace, mayHaveOthers: database.kind === 'postgres' && config.REDIS_URL === undefined, clock, now: () => Date.now(), counters, frameOf: presenceFrame, graceMs: config.PRESENCE_GRACE_SECONDS * 1000,
});

const fleet = new Fleet({
  // Processes on one SQLite file detect each other by the place of presence, and processes of older versions by the locks of the file.
  mayHaveOthers: () => presencePlace?.isAlone === false || fileUsers?.hasOthers === true,
  bus, control, handles, tickets, sessions, owned, leases, clock, counters, logger: audit,
  streams: delivery.streams, audience: delivery.audience, filters: delivery.audience, tail: log.tail, topics: log.topics, named: () => presence.named(), maxTopics: config.TOPICS_PER_STREAM,
  warnings: () => worker === undefined ? warnings.newest : newestOf(warnings.newest, worker.supervisorWarnings),
  state: () => ({ id: handles.instance, version, ...health.state(), ...(place === undefined ? {} : { host: hostname(), worker: place.number }) }),
  isReady: () => health.readiness().ready,
  drain: () => lifecycle.drain(),
  rebalancing: { isOn: config.REBALANCE === 'on', isByChance: place !== undefined, minAgeMs: config.REBALANCE_AGE_SECONDS * 1000, retryMaxMs: config.RETRY_MAX_MS },
});

/** The store's clock, in whole milliseconds. */
const storeNow = (): number => Math.floor(log.storeClock.now());

const webhookSender = new Sender({ allow: config.WEBHOOK_ALLOW, timeoutMs: config.WEBHOOK_TIMEOUT_SECONDS * 1000, clock });
const webhooks = new Webhooks({
  store: store.webhooks, instance: handles.instance, clock, counters, logger, random: Math.random, now: storeNow,
  history: log.history, starts: log.starts, tail: log.tail, audience: delivery.audience,
  sender: webhookSender, deadLetters: new DeadLetters({ publisher: log.publisher }), notes: new Notes({ store: store.webhooks, clock }),
  turns: new Turns({ clock }), budget: new Budget(WEBHOOKS_MAX_BYTES), suspectBudget: new Budget(SUSPECT_WEBHOOKS_MAX_BYTES),
  firstPauseMs: config.WEBHOOK_RETRY_MIN_MS, retryMs: config.WEBHOOK_RETRY_SECONDS * 1000,
});
const webhookAdministration = new WebhookAdministration({
  store: store.webhooks, starts: log.starts, tail: log.tail, sender: webhookSender, logger: audit, now: storeNow,
  bounds: { allow: config.WEBHOOK_ALLOW, maxTopics: config.TOPICS_PER_STREAM },
  onChange: () => webhooks.look(),
});

const connectors = new Connectors({
  plans: connectorPlans, store: store.connectors, instance: handles.instance, clock, counters, logger, random: Math.random, now: storeNow, logId: () => store.logId,
  publisher: log.publisher, history: log.history, starts: log.starts, tail: log.tail, audience: delivery.audience,
  bounds: { messageBytes: config.MESSAGE_BYTES, eventBytes: config.EVENT_BYTES, queueMessages: config.APPEND_QUEUE_MESSAGES, queueBytes: config.APPEND_QUEUE_BYTES },
});

const lifecycle = new Lifecycle({
  config, logger, store, bus, control, log, delivery, access, limits, fleet, presence, webhooks, connectors, clock, counters, instance: handles.instance, worker,
  databaseName: database.kind === 'sqlite' ? resolve(database.file) : database.shown,
});
const health: Health = new Health({ lifecycle, bus, log, delivery, revocations: knownRevocations, presence, webhooks, connectors });

const service: Service = {
  config, logger, counters, metrics, limits, agents: new SharedTexts(),
  access, keyOwners: access, keys, sessions, revocations, tickets, ticketAdministration, leases, renewals, owned, handles,
  fleet, presence, hooks, webhooks: webhookAdministration, connectors,
  maxConnections: connectionsThatFit(maxStreams + OTHER_MAX_CONNECTIONS, (database.kind === 'postgres' ? config.DATABASE_CONNECTIONS : 0) + (config.OPS_PORT === undefined ? 0 : OPERATIONS_MAX_CONNECTIONS)),
  publisher: log.publisher,
  eraser: log.eraser,
  starts: log.starts,
  streams: delivery.streams,
  filters: delivery.audience,
  history: { page: (request) => delivery.longPolls.page(request), message: (grant, position, holder) => log.history.message(grant, position, holder) },
  outlines: log.history,
  readiness: () => worker?.readiness(health.readiness()) ?? health.readiness(),
  gauges: () => health.gauges(),
  allMetrics: worker && (() => worker.metrics()),
  get draining() {
    return lifecycle.isDraining;
  },
};

worker?.open({ instance: handles.instance, onGone: (instance) => fleet.roster.gone(instance), isReady: () => health.readiness().ready, render: () => metrics.render(health.gauges()) });

// Most modules belong to the HTTP side. While this thread loads them, SQLite's thread opens the log. The client of PostgreSQL runs in this thread: on a busy
// machine the load would delay its answers beyond their timeout, so PostgreSQL waits.
const early = database.kind === 'sqlite' ? lifecycle.openLog() : undefined;
const [{ buildApp, HTTP_LOADS }, { buildOperationsServer }] = await Promise.all([import('./http/app.ts'), import('./http/sockets/operations-server.ts')]);
const app = buildApp(service);
await lifecycle.serve({ app, operations: config.OPS_PORT === undefined ? undefined : buildOperationsServer(app, counters) }, early ?? lifecycle.openLog());
void loadInBackground({ loads: [...HTTP_LOADS, ...connectorPlans.map(({ opener }) => () => opener.load())], clock, logger });

/** Tells the other instances that keys, sessions or tickets have changed, and applies the change here before it is answered. */
function accessChanged(): Promise<void> {
  control.tellToLook();
  return lookAtAccess();
}

/** Reads changed keys, sessions and tickets from the database. One failed read does not stop the others. */
async function lookAtAccess(): Promise<void> {
  await Promise.all([knownKeys.look(), knownSessions?.look(), tickets.look()].map(orAtNextPoll));
}

/** Ignores a failure of the database: the next poll reads again. */
async function orAtNextPoll(look: Promise<void> | undefined): Promise<void> {
  try {
    await look;
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
  }
}

/** Called when this worker begins a commit for all workers. The result is called after the commit. */
function ownCommit(): ReturnType<CommitListener> {
  const before = log.tail.knowledge;
  return (messages, state) => {
    log.tail.committed(messages, before, state);
    bus.publish(messages);
  };
}
