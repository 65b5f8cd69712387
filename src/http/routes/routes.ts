import type { HttpMemory } from '../http-memory.ts';
import type { App, Service } from '../service.ts';
import { accessRoutes } from './access.ts';
import { clientRoutes } from './client.ts';
import { connectorRoutes } from './connectors.ts';
import { eraseRoutes } from './erase.ts';
import { fleetRoutes } from './fleet.ts';
import { historyRoutes } from './history.ts';
import { hookRoutes } from './hooks.ts';
import { keyRoutes } from './keys.ts';
import { operationRoutes } from './operations.ts';
import { pageRoutes } from './page.ts';
import { presenceRoutes } from './presence.ts';
import { publishRoutes } from './publish.ts';
import { renewalRoutes } from './renewals.ts';
import { revocationRoutes } from './revocations.ts';
import { sessionRoutes } from './session.ts';
import { streamRoutes } from './streams.ts';
import { streamTopicsRoutes } from './stream-topics.ts';
import { ticketRoutes } from './tickets.ts';
import { topicRoutes } from './topics.ts';
import { webhookRoutes } from './webhooks.ts';

/**
 * The routes: one thin file for each resource. A request comes in from Fastify, after the hooks of app.ts. Its route reads it with input/,
 * asks the service, and hands the answer to Fastify. Rules live elsewhere: a route only says which apply. The schemas of the routes
 * (schemas.ts) check the queries of URLs, and are the source of the OpenAPI document.
 */
export function addRoutes(app: App, service: Service, memory: HttpMemory): void {
  publishRoutes(app, service, memory);
  hookRoutes(app, service);
  streamRoutes(app, service);
  ticketRoutes(app, service);
  renewalRoutes(app, service);
  streamTopicsRoutes(app, service);
  historyRoutes(app, service, memory);
  presenceRoutes(app, service);
  topicRoutes(app, service);
  eraseRoutes(app, service);
  pageRoutes(app, service);
  clientRoutes(app, service);
  operationRoutes(app, service);
  fleetRoutes(app, service);
  keyRoutes(app, service);
  revocationRoutes(app, service);
  sessionRoutes(app, service);
  accessRoutes(app, service);
  webhookRoutes(app, service);
  connectorRoutes(app, service);
}
