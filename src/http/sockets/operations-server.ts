import { createServer, type Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Listener } from '../admission/request-head.ts';
import type { Counters } from '../../runtime/counters.ts';
import { keepRoom } from './room-for-connections.ts';
import { OPERATIONS_MAX_CONNECTIONS, SERVER_OPTIONS, STANDSTILL_MAX_MS } from '../admission/server-limits.ts';

/** Sockets that the second listener accepted. */
const accepted = new WeakSet<Socket>();

/** The listener that accepted a connection. */
export function listenerOf(socket: Socket): Listener {
  return accepted.has(socket) ? 'operations' : 'main';
}

/** The second server forwards these events to the main server, which answers requests and malformed bytes of both. */
const EVENTS = ['request', 'checkContinue', 'checkExpectation', 'clientError'] as const;

/**
 * Builds the operations listener: metrics, health and the OpenAPI document, without a credential. Its requests pass the same admission, which sees their listener (`listenerOf`).
 * It has a bound of its own for connections. So it answers even when the main listener has no free connection.
 */
export function buildOperationsServer({ server: main }: { readonly server: Server }, counters: Pick<Counters, 'evicted'>): Server {
  const server = createServer(SERVER_OPTIONS);
  server.setTimeout(STANDSTILL_MAX_MS);
  // As on the other listener, a client may close its side after its request.
  Object.assign(server, { httpAllowHalfOpen: true });
  server.on('connection', (socket) => void accepted.add(socket));
  for (const event of EVENTS) server.on(event, (...told: unknown[]) => void main.emit(event, ...told));
  keepRoom(server, { maxConnections: OPERATIONS_MAX_CONNECTIONS, endIdle: () => server.closeIdleConnections(), streams: () => 0, counters, trusted: undefined });
  return server;
}
