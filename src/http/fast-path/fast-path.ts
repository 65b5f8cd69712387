import type { Server } from 'node:http';
import type { Service } from '../service.ts';
import { FastPathConnections, type ConnectionLimits } from './connections.ts';
import { fastPublish } from './publish.ts';
import { fastStreams } from './streams.ts';

/**
 * The fast path serves the requests that are nearly all of the work: publishing one message, and opening a stream. It reads the bytes of
 * every new connection, and answers a plain request on its socket. So it needs none of the objects that the HTTP server and the framework
 * make. They cost more than storing a message does, and an open stream would keep them.
 *
 * Every other request goes to the HTTP server, together with its connection, which stays there: a request that is not plain, asks for
 * anything else, or is wrong in any way. So requests are refused in one place, and rare or hostile requests take the ordinary path.
 */

export interface FastPathOptions {
  readonly server: Server;
  readonly service: Service;
  readonly requestId: () => string;
  readonly limits: ConnectionLimits;
}

/** Puts the fast path in front of a server. A draining instance has none: the answers of the ordinary path end their connections. */
export function addFastPath({ server, service, requestId, limits }: FastPathOptions): void {
  const publish = fastPublish(service, requestId);
  const stream = fastStreams(service, requestId);
  new FastPathConnections({ server, limits, handler: (request, connection) => {
    if (service.draining) return false;
    return request.method === 'POST' ? publish(request, connection) : stream(request, connection);
  } });
}
