import type { Server, ServerOptions, WireName } from '../types.ts';
import { Distance } from './distance.ts';
import { removeFolder, temporaryFolder } from './leftovers.ts';
import { startKafka } from './kafka.ts';
import { startNats } from './nats.ts';
import { postgresUrl, startPostgres } from './postgres.ts';
import { ServerProcess, type Program } from './process.ts';
import { startRedis } from './redis.ts';

/** What is the same for all instances of a server. */
export interface Place {
  readonly folder: string;
  readonly redisUrl: string | undefined;
  readonly natsUrl: string | undefined;
  readonly kafkaUrl: string | undefined;
  readonly postgresUrl: string | undefined;
}

export interface Plan {
  readonly wire: WireName;
  readonly metricsPath?: string;
  readonly instances: number;
  readonly redis: boolean;
  readonly nats?: boolean | undefined;
  readonly kafka?: boolean | undefined;
  readonly postgres?: boolean;
  readonly postgresDistanceMs?: number | undefined;
  readonly folder: string | undefined;
  /** Called once for each instance. */
  readonly program: (port: number, place: Place) => Program;
}

/** Starts all processes of a server, each when the one before can be used, and ends those that run if one does not start. */
export async function startServer(plan: Plan): Promise<Server> {
  const own = temporaryFolder();
  // Another user may own PostgreSQL's.
  const data = plan.postgres === true ? temporaryFolder() : undefined;
  const started: { readonly pids: readonly number[]; stop(): void | Promise<void> }[] = [];
  const stop = async (): Promise<void> => {
    // The instances first: PostgreSQL would end their connections under them.
    for (const server of started.toReversed()) await server.stop();
    for (const folder of [own, data]) if (folder !== undefined) removeFolder(folder);
  };
  try {
    const redis = plan.redis ? await startRedis(own) : undefined;
    if (redis !== undefined) started.push(redis);
    const nats = plan.nats === true ? await startNats(own) : undefined;
    if (nats !== undefined) started.push(nats);
    const kafka = plan.kafka === true ? await startKafka(own) : undefined;
    if (kafka !== undefined) started.push(kafka);
    const postgres = data === undefined ? undefined : await startPostgres(data);
    if (postgres !== undefined) started.push(postgres);
    const distance = postgres === undefined || plan.postgresDistanceMs === undefined ? undefined : await Distance.start(postgres.port, plan.postgresDistanceMs);
    if (distance !== undefined) started.push({ pids: [], stop: () => distance.stop() });
    const place = {
      folder: plan.folder ?? own,
      redisUrl: redis === undefined ? undefined : `redis://127.0.0.1:${redis.port}`,
      natsUrl: nats === undefined ? undefined : `nats://127.0.0.1:${nats.port}`,
      kafkaUrl: kafka === undefined ? undefined : `kafka://127.0.0.1:${kafka.port}`,
      postgresUrl: postgres === undefined ? undefined : postgresUrl((distance ?? postgres).port),
    };
    const instances: ServerProcess[] = [];
    for (let index = 0; index < plan.instances; index++) {
      const instance = await ServerProcess.start((port) => plan.program(port, place));
      instances.push(instance);
      started.push(instance);
    }
    return {
      wire: plan.wire,
      ports: instances.map(({ port }) => port),
      ...(plan.metricsPath === undefined ? {} : { metricsPath: plan.metricsPath }),
      ...(redis === undefined ? {} : { redisPort: redis.port }),
      get pids() {
        return started.flatMap(({ pids }) => pids);
      },
      get parts() {
        return { instances: instances.flatMap(({ pids }) => pids), redis: redis?.pids ?? [], postgres: postgres?.pids ?? [] };
      },
      async restart(index) {
        const instance = instances[index];
        if (instance === undefined) throw new Error(`There is no instance ${index}`);
        await instance.kill();
        await instance.start();
      },
      async replace(index, limitMs) {
        const instance = instances[index];
        if (instance === undefined) throw new Error(`There is no instance ${index}`);
        await instance.drain(limitMs);
        await instance.start();
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The number of instances, for a peer that knows nothing beyond its process. */
export function onlyOne(name: string, options: ServerOptions): 1 {
  if ((options.instances ?? 1) !== 1 || options.redis === true) throw new Error(`${name} knows only what is in its own process`);
  return 1;
}
