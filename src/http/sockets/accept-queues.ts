import { once } from 'node:events';
import type { Server as HttpServer } from 'node:http';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { exclusivePort } from '../../runtime/sockets/exclusive-port.ts';

/**
 * New connections wait in the kernel, and libuv accepts one from each queue in a turn of the event loop. With one queue, a client that opens hundreds of connections a second makes
 * all others wait, if turns are long. So a server listens on its port several times (SO_REUSEPORT), and the kernel spreads the connections over these queues.
 */

/** The number of queues, and so the most connections that one turn accepts. Stops a flood of connections from delaying others, and a turn from spending long on them. */
const QUEUE_CONNECTIONS = 16;

/** Only Linux spreads connections over several queues. Elsewhere there is one queue. */
const CAN_SHARE = process.platform === 'linux';

/** The queues of a server besides its own. */
const queuesOf = new WeakMap<HttpServer, readonly Server[]>();

/** The options with which a server must listen, so that `openQueues` can follow. Rejects where the port is in use. */
export async function sharedPort(host: string, port: number): Promise<{ readonly host: string; readonly port: number; readonly reusePort: boolean }> {
  // The kernel chooses no port that is in use.
  if (CAN_SHARE && port !== 0) await exclusivePort(host, port);
  return { host, port, reusePort: CAN_SHARE };
}

/** Opens more queues for the port of a server that listens already. Their connections are the server's own. */
export async function openQueues(server: HttpServer, backlog: number): Promise<void> {
  if (!CAN_SHARE) return;
  const { address: host, port } = server.address() as AddressInfo;
  const queues: Server[] = [];
  queuesOf.set(server, queues);
  for (let count = 1; count < QUEUE_CONNECTIONS; count++) {
    // As Node's HTTP server makes its sockets.
    const queue = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => void server.emit('connection', socket));
    queues.push(queue);
    queue.maxConnections = server.maxConnections;
    queue.listen({ host, port, backlog, reusePort: true });
    await once(queue, 'listening');
  }
}

/** Stops accepting on the further queues. Resolves when their last connection has ended. */
export async function closeQueues(server: HttpServer): Promise<void> {
  await Promise.all((queuesOf.get(server) ?? []).map(async (queue) => {
    const closed = once(queue, 'close');
    queue.close();
    await closed;
  }));
}

/** Tells how many connections of a server are open, over all its queues. */
export function countConnections(server: HttpServer, tell: (count: number) => void): void {
  const servers = [server, ...queuesOf.get(server) ?? []];
  let sum = 0;
  let left = servers.length;
  for (const one of servers) one.getConnections((_error, count) => {
    sum += count;
    if (--left === 0) tell(sum);
  });
}
