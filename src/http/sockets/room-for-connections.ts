import type { Server } from 'node:http';
import type { BlockList, Socket } from 'node:net';
import type { Counters } from '../../runtime/counters.ts';
import { FairShares, type Charge } from '../../runtime/sharing/fair-shares.ts';
import { countConnections } from './accept-queues.ts';
import { clientAddress, isTrusted, networkOf } from '../admission/client-address.ts';
import { offConnectionEnd, onConnectionEnd } from './let-go.ts';

/**
 * The number of connections that stay free. When fewer are free, each new connection ends an idle one. So health checks and publishers can connect although other clients keep
 * idle connections.
 */
const SPARE_CONNECTIONS = 16;

/**
 * When even fewer are free, although idle ones were ended, the address with the most connections loses one to each new connection from another address. An address with more connections
 * than this gets none of the last places, so that others can connect.
 */
const LAST_SPARE_CONNECTIONS = 8;

/** Connections without streams are counted by address only above this share of the bound: an address costs a system call. */
const ADDRESSED_FROM_SHARE = 0.1;

export interface RoomForConnections {
  readonly maxConnections: number;
  /** Ends this number of idle connections, the oldest first. */
  readonly endIdle: (count: number) => void;
  /** How many of the connections are streams. */
  readonly streams: () => number;
  readonly counters: Pick<Counters, 'evicted'>;
  /** Proxies in front. Each has the connections of many clients, so none is counted. */
  readonly trusted: BlockList | undefined;
}

/** The charges of connections without a stream: streams have a bound of their own. */
const charges = new WeakMap<Socket, Charge>();

/** Bounds the connections of a server, so that sockets never take the files that the database must open. Beyond the bound they are dropped. */
export function keepRoom(server: Server, { maxConnections, endIdle, streams, counters, trusted }: RoomForConnections): void {
  const open = new FairShares({ gate: 'connections', counters });
  server.maxConnections = maxConnections;
  const most = Math.max(0, maxConnections - SPARE_CONNECTIONS);
  const last = Math.max(0, maxConnections - LAST_SPARE_CONNECTIONS);
  const addressed = maxConnections * ADDRESSED_FROM_SHARE;
  /** The open connections at the last count, and the connections accepted since. Their sum is an upper bound of the open ones. */
  let counted = 0;
  let accepted = 0;
  server.on('connection', (socket: Socket) => {
    accepted++;
    // A cheap upper bound first: counting the open connections costs more.
    if (counted + accepted - streams() <= addressed && counted + accepted <= most) return;
    const come = accepted;
    countConnections(server, (count) => {
      counted = count;
      accepted -= come;
      // Each queue drops the excess only by its own count.
      if (count > maxConnections) {
        socket.destroy();
        return;
      }
      if (count > most) endIdle(count - most);
      if ((count - streams() <= addressed && count <= most) || socket.destroyed) return;
      const address = clientAddress({}, socket, undefined);
      const holder = [networkOf(address)] as const;
      if (count > last && !open.makeRoom(holder, 1) && open.amountOf(holder) > LAST_SPARE_CONNECTIONS) socket.destroy();
      if (trusted !== undefined && isTrusted(trusted, address)) return;
      charges.set(socket, open.charge(holder, 1, { takeBack: () => socket.destroy() }));
      onConnectionEnd(socket, () => leave(socket));
    });
  });
}

/** Stops counting a connection that has become a stream. */
export function leaveRoom(socket: Socket): void {
  leave(socket);
  offConnectionEnd(socket);
}

function leave(socket: Socket): void {
  charges.get(socket)?.release();
  charges.delete(socket);
}
