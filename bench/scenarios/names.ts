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
/** The service under test, whose streams are WebSockets. */
export const WEBSOCKET = 'tidings-websocket';

const nchan = peer('nchan');

/** Nchan keeps its messages in its own memory or in Redis: for the tables, two servers. */
const nchanRedis: Peer = {
  ...nchan,
  name: NCHAN_REDIS,
  about: 'The same, messages in Redis.',
  missing: () => nchan.missing() ?? redisMissing(),
  start: (options = {}) => nchan.start({ ...options, redis: true }),
};

const tidings = peer(SUBJECT);

const tidingsWebSocket: Peer = {
  ...tidings,
  name: WEBSOCKET,
  about: 'The same, its streams WebSockets.',
  start: (options = {}) => tidings.start({ ...options, websocket: true }),
};

/** Those that are one server in two ways stand together. */
const SECOND: Readonly<Record<string, Peer>> = { [NCHAN]: nchanRedis, [SUBJECT]: tidingsWebSocket };

/** All servers, in the order of the tables. */
export const peers: readonly Peer[] = plain.flatMap((one) => SECOND[one.name] === undefined ? [one] : [one, SECOND[one.name]!]);
