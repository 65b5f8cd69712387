import { join } from 'node:path';
import type { Peer } from '../types.ts';
import { answers } from './ports.ts';
import { postgresMissing, postgresVersion } from './postgres.ts';
import { packageVersion, readPackage } from './programs.ts';
import { redisMissing, redisVersion } from './redis.ts';
import { startServer } from './server.ts';

/** The tree that this folder lies in. */
const ROOT = join(import.meta.dirname, '../..');

/**
 * The service under test, from its real entry point and with its own defaults, but for
 * - MAX_STREAMS: the default stops below the streams that are measured;
 * - LOG_LEVEL=warn: none of the peers logs either;
 * - DRAIN_SECONDS=0: only the end of a run would wait for it.
 * Instances share the file, or the PostgreSQL that is asked for, and Redis where it is.
 */
export const tidings: Peer = {
  name: 'tidings',
  about: 'This service, started as `npm start` starts it; SQLite with every publish on disk before its answer, or PostgreSQL where a table says so. MAX_STREAMS=20000, LOG_LEVEL=warn.',
  durable: true,
  versions: async () => ({
    node: process.version,
    tidings: packageVersion(ROOT),
    'better-sqlite3': packageVersion(join(ROOT, 'node_modules/better-sqlite3')),
    ...(redisMissing() === undefined ? { redis: await redisVersion() } : {}),
    ...(postgresMissing() === undefined ? { postgres: await postgresVersion() } : {}),
  }),
  missing: () => undefined,
  start: (options = {}) => startServer({
    wire: options.websocket === true ? 'tidings-websocket' : 'tidings',
    metricsPath: '/metrics',
    instances: options.instances ?? 1,
    redis: options.redis ?? false,
    nats: options.nats,
    kafka: options.kafka,
    postgres: options.postgres ?? false,
    postgresDistanceMs: options.postgresDistanceMs,
    folder: options.folder,
    program: (port, { folder, redisUrl, natsUrl, kafkaUrl, postgresUrl }) => ({
      command: process.execPath,
      args: [...options.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${options.profile}`], ...startArguments()],
      env: {
        PORT: String(port),
        DATABASE_URL: postgresUrl ?? `file:${join(folder, options.apart === true ? `tidings-${port}.db` : 'tidings.db')}`,
        ...(redisUrl === undefined ? {} : { REDIS_URL: redisUrl }),
        ...(natsUrl === undefined ? {} : { BUS_URL: natsUrl }),
        ...(kafkaUrl === undefined ? {} : { BUS_URL: kafkaUrl }),
        MAX_STREAMS: '20000',
        LOG_LEVEL: 'warn',
        DRAIN_SECONDS: '0',
        ...options.env,
      },
      folder,
      // Where its log takes long to open it answers before.
      ready: async () => await answers(port, '/readyz') === 200,
      ...(options.by === undefined ? {} : { by: options.by }),
    }),
  }),
};

/** What `npm start` gives to node: a flag that is added there is measured here. The entry point in full, as the working directory is another. */
function startArguments(): string[] {
  const script = readPackage(ROOT).scripts?.['start']?.replace(/^exec /, '') ?? '';
  const [command, ...args] = script.split(' ');
  if (command !== 'node' || !/^[\w=./ -]+$/.test(script)) throw new Error(`npm start is no plain call of node any more: ${script}`);
  const entry = args.findIndex((word) => !word.startsWith('-'));
  if (entry === -1) throw new Error(`npm start names no entry point: ${script}`);
  return args.map((word, index) => (index === entry ? join(ROOT, word) : word));
}
