import type { Peer } from '../types.ts';
import { nchan } from './nchan.ts';
import { nodePeer } from './node-peer.ts';
import { tidings } from './tidings.ts';

/**
 * All servers that are measured, in the order of the tables: the service, then its peers from the barest on. A store
 * that the service learns to use is one more peer beside `tidings`.
 */
export const peers: readonly Peer[] = [
  tidings,
  nodePeer({
    name: 'bare-net', wire: 'sse', program: 'bare-net.ts', packages: [], redis: false,
    about: 'Node `net`: one prebuilt buffer written to each socket, HTTP made by hand. What Node can do at best with one write per event.',
  }),
  nodePeer({
    name: 'bare-http', wire: 'sse', program: 'bare-http.ts', packages: [], redis: false,
    about: 'Node\'s HTTP server, one prebuilt chunk written to each socket past `ServerResponse`.',
  }),
  nchan,
  nodePeer({
    name: 'better-sse', wire: 'sse', program: 'better-sse.ts', packages: ['better-sse'], redis: false,
    about: 'better-sse on Node\'s HTTP server, a channel for each topic.',
  }),
  nodePeer({
    name: 'fastify-sse', wire: 'sse', program: 'fastify-sse.ts', packages: ['fastify', '@fastify/sse', 'ioredis'], redis: true,
    about: 'Fastify, @fastify/sse and ioredis as their READMEs show them: INCR and PUBLISH, and `reply.sse.send` to each stream.',
  }),
  nodePeer({
    name: 'socket.io', wire: 'socket.io', program: 'socket-io.ts', packages: ['socket.io', '@socket.io/redis-adapter', 'ioredis'], redis: true,
    about: 'Socket.IO with its Redis adapter, a room for each topic, over WebSocket.',
  }),
];

export type PeerName = 'tidings' | 'bare-net' | 'bare-http' | 'nchan' | 'better-sse' | 'fastify-sse' | 'socket.io';

export function peer(name: PeerName): Peer {
  const found = peers.find((each) => each.name === name);
  if (found === undefined) throw new Error(`There is no server called ${name}`);
  return found;
}
