import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Access, type TokenVerifier } from './access/access.ts';
import { hasTokenKeys, readAccess } from './access/access-settings.ts';
import { KeyAdministration } from './access/key-administration.ts';
import { KnownKeys } from './access/known-keys.ts';
import type { Bus } from './bus/bus.ts';
import { LocalBus } from './bus/local.ts';
import { configure, exitIfWrong } from './config/config.ts';
import { connectionsThatFit, streamsThatFit } from './config/file-limit.ts';
import { Delivery } from './delivery/delivery.ts';
import { Health } from './health.ts';
import { OTHER_MAX_CONNECTIONS } from './http/server-limits.ts';
import type { Service } from './http/service.ts';
import { Lifecycle } from './lifecycle.ts';
import { MessageLog } from './log/log.ts';
import { systemClock as clock } from './runtime/clock.ts';
import { makeLogger, standardOutput } from './runtime/logger.ts';
import { Metrics } from './runtime/metrics.ts';
import type { KeyStore } from './store/key-store.ts';
import { isStoreFailure, StoreError, type Store } from './store/store.ts';

/** The composition root: what an instance is made of, in the order of the rooms from the bottom up. Only this file and cli/ name a store or a bus. */

const config = configure();
const database = config.DATABASE_URL;
const logger = makeLogger({ level: config.LOG_LEVEL, isExpected: isStoreFailure, destination: standardOutput() });
const maxStreams = streamsThatFit(config.MAX_STREAMS, logger);
const metrics = new Metrics({
  build: { version: (JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }).version, node: process.versions.node },
  limits: { streams: maxStreams, tailBytes: config.TAIL_BYTES, appendsWaiting: config.APPEND_QUEUE_MESSAGES, logBytes: config.RETENTION_BYTES, logSeconds: config.RETENTION_SECONDS },
});
const { counters } = metrics;

const { settings: accessSettings, declared } = exitIfWrong(() => readAccess(config));

const store: Store & { readonly keys: KeyStore } = await makeStore();
const bus: Bus = await makeBus();

// Changes of keys and of what was published are written down at every level but `silent`.
const audit = logger.isLevelEnabled('info') || config.LOG_LEVEL === 'silent' ? logger : logger.child({}, { level: 'info' });

const log = new MessageLog({
  store, bus, clock, counters, logger, audit,
  settings: {
    tailBytes: config.TAIL_BYTES,
    pollMs: config.POLL_MS,
    queueMessages: config.APPEND_QUEUE_MESSAGES,
    queueBytes: config.APPEND_QUEUE_BYTES,
    retentionMs: config.RETENTION_SECONDS * 1000,
    retentionBytes: config.RETENTION_BYTES,
  },
});

const delivery = new Delivery({
  store, log, clock, counters, logger,
  settings: {
    maxStreams,
    heartbeatMs: config.HEARTBEAT_SECONDS * 1000,
    stallMs: config.STALL_SECONDS * 1000,
    retryMinMs: config.RETRY_MIN_MS,
    retryMaxMs: config.RETRY_MAX_MS,
  },
});

const knownKeys = new KnownKeys({ store: store.keys, clock, logger, pollMs: config.POLL_MS });
const access = new Access({ settings: accessSettings, keys: knownKeys, declared, tokens: hasTokenKeys(config) ? await makeTokens() : undefined });
const keys = new KeyAdministration({
  store: store.keys,
  logger: audit,
  // If it fails, the next poll finds the change.
  onChange: () => knownKeys.look().catch((error: unknown) => {
    if (!(error instanceof StoreError)) throw error;
  }),
});

const lifecycle = new Lifecycle({
  config, logger, store, bus, log, delivery, access, clock, counters,
  databaseName: database.kind === 'sqlite' ? resolve(database.file) : database.shown,
});
const health = new Health({ lifecycle, bus, log, delivery });

const service: Service = {
  config, logger, counters, metrics, access, keys,
  maxConnections: connectionsThatFit(maxStreams + OTHER_MAX_CONNECTIONS, database.kind === 'postgres' ? config.DATABASE_CONNECTIONS : 0),
  publisher: log.publisher,
  eraser: log.eraser,
  starts: log.starts,
  streams: delivery.streams,
  history: { page: (request) => delivery.longPolls.page(request), message: (grant, position) => log.history.message(grant, position) },
  readiness: () => health.readiness(),
  gauges: () => health.gauges(),
  get draining() {
    return lifecycle.isDraining;
  },
};

// The HTTP side is most of what is loaded: meanwhile SQLite's thread opens the log. PostgreSQL would be asked from this thread, which on a busy
// machine would then be too late to hear the answer.
const early = database.kind === 'sqlite' ? lifecycle.openLog() : undefined;
const { buildApp } = await import('./http/app.ts');
await lifecycle.serve(buildApp(service), early ?? lifecycle.openLog());

/** Loads only the driver that is used. */
async function makeStore(): Promise<Store & { readonly keys: KeyStore }> {
  if (database.kind === 'sqlite') return new (await import('./store/sqlite/sqlite.ts')).SqliteStore({ file: resolve(database.file), logger });
  return new (await import('./store/postgres/postgres.ts')).PostgresStore({ url: database.url, maxPgConnections: config.DATABASE_CONNECTIONS, logger });
}

/** Loads what checks tokens only where a setting names their key. */
async function makeTokens(): Promise<TokenVerifier> {
  const [{ JwtVerifier }, { TokenIdentities }] = await Promise.all([import('./access/jwt.ts'), import('./access/token-identities.ts')]);
  return new TokenIdentities(new JwtVerifier({ config, clock, now: () => Date.now(), logger }), accessSettings);
}

/** Loads ioredis only where it is used: that takes a while. */
async function makeBus(): Promise<Bus> {
  if (config.REDIS_URL === undefined) return new LocalBus();
  const { RedisBus } = await import('./bus/redis/redis.ts');
  return new RedisBus({ url: config.REDIS_URL, clock, counters, logger });
}
