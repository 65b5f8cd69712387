import { startHaproxy } from '../support/haproxy.ts';
import { Instance } from '../support/instance.ts';
import { Link } from '../support/link.ts';
import { freePort } from '../support/ports.ts';
import { startRedis, type RedisServer } from '../support/redis.ts';
import type { Scope } from '../support/temp.ts';
import type { FleetDatabase } from './database.ts';
import { startPostgresOf } from './postgres.ts';
import { startSqlite } from './sqlite.ts';

export const STORES = ['sqlite', 'postgres'] as const;
export type StoreName = (typeof STORES)[number];

export interface FleetOptions {
  readonly store: StoreName;
  /** Another entry point than that of this project: one that is broken on purpose. */
  readonly entry?: string;
}

export const INSTANCES = 3;

/** Short, so that a drain fits between two faults. Seconds. */
const DRAIN_SECONDS = 3;

/**
 * Three instances behind HAProxy, on one database, with one Redis. Between any two of them is a link that can break:
 *
 *     clients ── front ── HAProxy ── inner[i] ── instance i ── redisLinks[i] ── Redis
 *                                                     └─────── the database's own links
 */
export class Fleet {
  readonly database: FleetDatabase;
  readonly redis: RedisServer;
  readonly instances: readonly Instance[];
  /** By what they lie between. */
  readonly links: ReadonlyMap<string, Link>;
  readonly front: Link;

  private constructor(database: FleetDatabase, redis: RedisServer, instances: readonly Instance[], links: ReadonlyMap<string, Link>, front: Link) {
    this.database = database;
    this.redis = redis;
    this.instances = instances;
    this.links = links;
    this.front = front;
  }

  static async start(t: Scope, { store, entry }: FleetOptions): Promise<Fleet> {
    const [database, redis] = await Promise.all([startDatabase(t, store), startRedis(t)]);
    const links = new Map<string, Link>();
    const instances: Instance[] = [];
    const inner: number[] = [];
    for (let index = 0; index < INSTANCES; index++) {
      const toRedis = await Link.start(t, redis.port);
      const env = {
        DATABASE_URL: database.url(index), REDIS_URL: `redis://127.0.0.1:${toRedis.port}`, LOG_LEVEL: 'warn', DRAIN_SECONDS: String(DRAIN_SECONDS),
      };
      const instance = new Instance(t, await freePort(), env, { by: database.by, ...(entry === undefined ? {} : { entry }) });
      const toInstance = await Link.start(t, instance.port);
      instances.push(instance);
      inner.push(toInstance.port);
      links.set(`instance ${index + 1} and Redis`, toRedis).set(`HAProxy and instance ${index + 1}`, toInstance);
    }
    for (const [name, link] of database.links) links.set(name, link);
    await Promise.all(instances.map((instance) => instance.started()));
    const haproxy = await startHaproxy(t, inner);
    const front = await Link.start(t, haproxy.port);
    links.set('clients and HAProxy', front);
    return new Fleet(database, redis, instances, links, front);
  }
}

function startDatabase(t: Scope, store: StoreName): Promise<FleetDatabase> {
  switch (store) {
    case 'sqlite': return startSqlite(t);
    case 'postgres': return startPostgresOf(t, INSTANCES);
  }
}
