import type { Server } from 'node:http';

/**
 * How many connections are kept free. Where fewer are free, each new connection ends an idle one. So health checks and publishers get in, although other clients hold
 * their connections open.
 */
const SPARE_CONNECTIONS = 16;

/**
 * Bounds the connections of a server, so that sockets never take the files that the database must open. Beyond the bound they are dropped.
 * @param endIdle Ends so many idle connections, the oldest first.
 */
export function keepRoom(server: Server, maxConnections: number, endIdle: (count: number) => void): void {
  server.maxConnections = maxConnections;
  const most = Math.max(0, maxConnections - SPARE_CONNECTIONS);
  server.on('connection', () => server.getConnections((_error, open) => {
    if (open > most) endIdle(open - most);
  }));
}
