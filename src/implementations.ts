import { resolve } from 'node:path';
import type { Logger } from 'pino';
import type { AccessSettings, TokenVerifier } from './access/access.ts';
import type { Bus } from './bus/bus.ts';
import type { HubConnection } from './bus/hub/connection.ts';
import type { CommitListener } from './bus/hub/merged-appends.ts';
import { LocalBus } from './bus/local.ts';
import type { Config } from './config/config.ts';
import { isKafkaUrl } from './config/kafka-url.ts';
import { NO_LEDGER, type Ledger } from './limits/ledger.ts';
import type { PresencePlace } from './presence/place.ts';
import type { Clock } from './runtime/clock.ts';
import type { Counters } from './runtime/counters.ts';
import type { ConnectorStore } from './store/contracts/connector-store.ts';
import type { KeyStore } from './store/contracts/key-store.ts';
import type { RevocationStore } from './store/contracts/revocation-store.ts';
import type { SessionStore } from './store/contracts/session-store.ts';
import type { TicketStore } from './store/contracts/ticket-store.ts';
import type { WebhookStore } from './store/contracts/webhook-store.ts';
import type { Appends, Store } from './store/store.ts';

/**
 * Chooses the implementation of each contract by the settings. A function loads only the modules of its choice: drivers and clients take time and memory.
 *
 * | contract | with a hub (workers of one machine) | with `REDIS_URL` | otherwise |
 * |---|---|---|---|
 * | `Store` | SQLite or PostgreSQL, by `DATABASE_URL` | the same | the same |
 * | `Appends` | on SQLite, one worker writes for all | the store | the store |
 * | `Bus` | the hub | Redis | NATS or Kafka, by `BUS_URL`; else in-process |
 * | `PresencePlace` | the hub | Redis | on SQLite, a file beside the database; else none |
 * | `Ledger` | the hub | Redis | none: each instance counts alone |
 */

/** The inputs of every choice. */
export interface Parts {
  readonly config: Config;
  readonly clock: Clock;
  readonly counters: Counters;
  readonly logger: Logger;
  /** The connection to the other workers of this machine; undefined for a single process. */
  readonly hub: HubConnection | undefined;
}

/** All stores, which share one database. */
export interface Stores extends Store {
  readonly keys: KeyStore;
  readonly sessions: SessionStore;
  readonly tickets: TicketStore;
  readonly revocations: RevocationStore;
  readonly webhooks: WebhookStore;
  readonly connectors: ConnectorStore;
}

export async function makeStore({ config, logger }: Pick<Parts, 'config' | 'logger'>): Promise<Stores> {
  const database = config.DATABASE_URL;
  if (database.kind === 'sqlite') return new (await import('./store/sqlite/sqlite.ts')).SqliteStore({ file: resolve(database.file), logger });
  return new (await import('./store/postgres/postgres.ts')).PostgresStore({ url: database.url, maxPgConnections: config.DATABASE_CONNECTIONS, logger });
}

/** @param path The socket of the hub; undefined without one. */
export async function connectToHub(path: string | undefined, { clock, logger }: Pick<Parts, 'clock' | 'logger'>): Promise<HubConnection | undefined> {
  if (path === undefined) return undefined;
  return new (await import('./bus/hub/connection.ts')).HubConnection({ path, clock, logger });
}

/** @param onCommit Called for each commit that this worker makes for all workers. */
export async function makeAppends(store: Store, { config, clock, hub }: Parts, onCommit: CommitListener): Promise<Appends> {
  if (hub === undefined || config.DATABASE_URL.kind !== 'sqlite') return store;
  return new (await import('./bus/hub/shared-writer.ts')).SharedWriter({ connection: hub, store, clock, onCommit });
}

export async function makeBus({ config, clock, counters, logger, hub }: Parts): Promise<Bus> {
  if (hub !== undefined) return new (await import('./bus/hub/bus.ts')).HubBus({ connection: hub, clock, counters });
  if (config.REDIS_URL !== undefined) return new (await import('./bus/redis/redis.ts')).RedisBus({ url: config.REDIS_URL, clock, counters, logger });
  if (config.BUS_URL === undefined) return new LocalBus();
  const options = { url: config.BUS_URL, clock, counters, logger };
  return isKafkaUrl(config.BUS_URL) ? new (await import('./bus/kafka/kafka.ts')).KafkaBus(options) : new (await import('./bus/nats/nats.ts')).NatsBus(options);
}

/** Where the instances combine presence. */
export async function makePlace({ config, clock, logger, hub }: Parts): Promise<PresencePlace | undefined> {
  const ttlMs = config.PRESENCE_TTL_SECONDS * 1000;
  const database = config.DATABASE_URL;
  if (hub !== undefined) return new (await import('./bus/hub/presence-place.ts')).HubPresencePlace({ connection: hub, ttlMs, clock });
  if (config.REDIS_URL !== undefined) return new (await import('./bus/redis/presence-place.ts')).RedisPresencePlace({ url: config.REDIS_URL, ttlMs, clock, logger });
  if (database.kind === 'sqlite') return new (await import('./presence/sqlite/sqlite.ts')).SqlitePresencePlace({ file: resolve(database.file), ttlMs, clock, logger });
  return undefined;
}

/** Where the instances add up their counts for limits. */
export async function makeLedger({ config, clock, logger, hub }: Parts): Promise<Ledger> {
  if (hub !== undefined) return new (await import('./bus/hub/limit-ledger.ts')).HubLedger({ connection: hub, clock });
  if (config.REDIS_URL !== undefined) return new (await import('./bus/redis/limit-ledger.ts')).RedisLimitLedger({ url: config.REDIS_URL, clock, logger });
  return NO_LEDGER;
}

/** Makes the verifier of tokens. Call it only if a setting names the tokens' keys. */
export async function makeTokens({ config, clock, counters, logger }: Parts, settings: AccessSettings): Promise<TokenVerifier> {
  const [{ JwtVerifier }, { TokenIdentities }] = await Promise.all([import('./access/tokens/jwt.ts'), import('./access/token-identities.ts')]);
  return new TokenIdentities(new JwtVerifier({ config, clock, now: () => Date.now(), logger, counters }), settings);
}
