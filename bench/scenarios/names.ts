import { peer, peers as plain } from '../peers/index.ts';
import { redisMissing } from '../peers/redis.ts';
import type { Peer } from '../types.ts';

/** What all this is about: its faults end a run with exit code 1. */
export const SUBJECT = 'tidings';
/** Settings of an instance of which every request takes the ordinary way, through the framework. */
export const ORDINARY = { HTTP_FAST_PATH: 'off' } as const;

export const NCHAN = 'nchan';
export const NCHAN_REDIS = 'nchan-redis';
export const FASTIFY_SSE = 'fastify-sse';
export const SOCKET_IO = 'socket.io';
export const BARE_NET = 'bare-net';

const nchan = peer('nchan');

/** Nchan keeps its messages in its own memory or in Redis: for the tables, two servers. */
const nchanRedis: Peer = {
  ...nchan,
  name: NCHAN_REDIS,
  about: 'The same, messages in Redis.',
  missing: () => nchan.missing() ?? redisMissing(),
  start: (options = {}) => nchan.start({ ...options, redis: true }),
};

/** All servers, in the order of the tables. */
export const peers: readonly Peer[] = plain.flatMap((one) => one.name === NCHAN ? [one, nchanRedis] : [one]);
