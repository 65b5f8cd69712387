import { join } from 'node:path';
import type { Peer, WireName } from '../types.ts';
import { packageVersion } from './programs.ts';
import { redisMissing, redisVersion } from './redis.ts';
import { onlyOne, startServer } from './server.ts';

const PACKAGES = join(import.meta.dirname, '../node_modules');

export interface NodePeer {
  readonly name: string;
  readonly about: string;
  readonly wire: WireName;
  /** A file of the folder `programs`. */
  readonly program: string;
  /** Whose versions are told. */
  readonly packages: readonly string[];
  /** Its instances meet in a Redis; without, there is one and no more. */
  readonly redis: boolean;
}

/** A peer that is a Node program of this folder, run by the same Node as the service under test, with no flags. */
export function nodePeer(peer: NodePeer): Peer {
  return {
    name: peer.name,
    about: peer.about,
    durable: false,
    versions: async () => ({
      node: process.version,
      ...Object.fromEntries(peer.packages.map((name) => [name, packageVersion(join(PACKAGES, name))])),
      ...(peer.redis ? { redis: await redisVersion() } : {}),
    }),
    missing: () => (peer.redis ? redisMissing() : undefined),
    async start(options = {}) {
      if (peer.redis && options.redis === false) throw new Error(`${peer.name} is measured with Redis, which its instances meet in`);
      return startServer({
        wire: peer.wire,
        instances: peer.redis ? options.instances ?? 1 : onlyOne(peer.name, options),
        redis: peer.redis,
        folder: options.folder,
        program: (port, { folder, redisUrl }) => ({
          command: process.execPath,
          args: [join(import.meta.dirname, 'programs', peer.program)],
          env: { NODE_ENV: 'production', PORT: String(port), ...(redisUrl === undefined ? {} : { REDIS_URL: redisUrl }), ...options.env },
          folder,
          ...(options.by === undefined ? {} : { by: options.by }),
        }),
      });
    },
  };
}
