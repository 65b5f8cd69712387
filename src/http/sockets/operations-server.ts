import { createServer, type Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Listener } from '../admission/request-head.ts';
import type { Counters } from '../../runtime/counters.ts';
import { keepRoom } from './room-for-connections.ts';
import { OPERATIONS_MAX_CONNECTIONS, SERVER_OPTIONS, STANDSTILL_MAX_MS } from '../admission/server-limits.ts';

/** Sockets that the second listener accepted. */
const accepted = new WeakSet<Socket>();

/** Through which listener a connection came in. */
export function listenerOf(socket: Socket): Listener {
  return accepted.has(socket) ? 'operations' : 'main';
}

/** How the application's HTTP server treats a request, or bytes that are none. The second server leaves that to it. */
const EVENTS = ['request', 'checkContinue', 'checkExpectation', 'clientError'] as const;

/**
 * Builds the second listener: metrics, health and the description of the service, without a credential. Its requests go through the same door, which knows
 * where they came from. It has connections of its own, so that health can be asked where the others are all in use.
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
