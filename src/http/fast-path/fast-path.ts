import type { Server } from 'node:http';
import type { Budget } from '../../runtime/sharing/budget.ts';
import type { AdmissionPolicy } from '../admission/admission.ts';
import { ENDPOINTS, type Endpoint } from '../admission/endpoints.ts';
import type { HeldHeads } from '../held-heads.ts';
import { isPreflight } from '../admission/origin.ts';
import type { Service } from '../service.ts';
import type { ConnectionLimits, FastPathHandler } from './connection-host.ts';
import { FastPathConnections } from './connections.ts';
import { fastPublish } from './publish.ts';
import { headerLines } from './response.ts';
import { fastStreams } from './streams.ts';

/**
 * The fast path serves the requests that are nearly all of the work: publishing one message, and opening a stream. It reads the bytes of
 * every new connection, and answers a plain request on its socket. So it needs none of the objects that the HTTP server and the framework
 * make. They cost more than storing a message does.
 *
 * The fast path hands every other request over to the HTTP server, together with its connection and the decision of admission: a request that is not plain, asks for
 * something else, or is refused. So only one place answers refusals. The connection comes back after the answer, if the client has sent no further bytes.
 *
 * Read plain-request.ts first (bytes to a head), then connection.ts (one connection and its states) with its contracts (connection-host.ts), connections.ts (all of them), and the
 * two handlers: publish.ts and streams.ts. response.ts writes answers.
 */

export interface FastPathOptions {
  readonly server: Server;
  readonly service: Service;
  readonly policy: AdmissionPolicy;
  readonly requestId: () => string;
  readonly limits: ConnectionLimits;
  /** The memory for bodies. */
  readonly parts: Budget;
  readonly heads: HeldHeads;
}

/**
 * Puts the fast path in front of a server.
 * @returns A function that ends a number of idle connections, the oldest first.
 */
export function addFastPath({ server, service, policy, requestId, limits, parts, heads }: FastPathOptions): (count: number) => void {
  const { CORS_ORIGINS } = service.config;
  const counted = (handler: FastPathHandler): FastPathHandler => (request) => {
    const isTaken = handler(request);
    if (isTaken) service.counters.requests.fast++;
    return isTaken;
  };
  const publish = fastPublish(service, requestId);
  const stream = fastStreams(service, requestId);
  const handlers = new Map<Endpoint, FastPathHandler>([[ENDPOINTS.publish, counted(publish)], [ENDPOINTS.streamTopic, counted(stream)], [ENDPOINTS.streamTopics, counted(stream)]]);
  const preflight = counted(({ head, connection, admission: { headers } }) => {
    service.counters.answer(204);
    connection.answer({ status: 204, head: headerLines(headers), body: '' }, !head.keepsAlive || service.draining);
    return true;
  });
  const connections = new FastPathConnections({
    server, limits, parts, heads,
    find: (head) => head.endpoint === undefined ? (isPreflight(head, CORS_ORIGINS) ? preflight : undefined) : handlers.get(head.endpoint),
    admit: (head, socket) => policy.admit(head, socket),
  });
  return (count) => connections.endOldestIdle(count);
}
