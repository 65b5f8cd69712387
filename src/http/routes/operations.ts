import { Type } from 'typebox';
import type { App, Service } from '../service.ts';
import { json } from './schemas.ts';

const tags = ['operations'];
const method = ['GET', 'HEAD'] as const;
const Status = Type.Object({ status: Type.String(), detail: Type.Optional(Type.Record(Type.String(), Type.Unknown())) });

/** Health, readiness, metrics, and the description of the whole. Nothing of it is ever cached. */
export function operationRoutes(app: App, service: Service): void {
  const { metrics } = service;
  metrics.watchProcess();

  app.route({
    method: [...method], url: '/healthz',
    schema: { tags, summary: 'Whether the process lives', response: { 200: json('It does.', Status) } },
    handler: (_request, reply) => reply.header('cache-control', 'no-store').send({ status: 'ok' }),
  });

  app.route({
    method: [...method], url: '/readyz',
    schema: { tags, summary: 'Whether it can take work', response: { 200: json('It can, if perhaps degraded.', Status), 503: json('It cannot.', Status) } },
    handler: (_request, reply) => {
      const { ready, status, detail } = service.readiness();
      return reply.code(ready ? 200 : 503).header('cache-control', 'no-store').send({ status, detail });
    },
  });

  app.route({
    method: [...method], url: '/metrics',
    schema: { tags, summary: 'Metrics for Prometheus', response: { 200: { description: 'In the text format.', content: { 'text/plain': { schema: Type.String() } } } } },
    handler: async (_request, reply) => reply.header('cache-control', 'no-store').type(metrics.contentType).send(await metrics.render(service.gauges())),
  });

  app.route({
    method: [...method], url: '/openapi.json',
    schema: { hide: true },
    handler: (_request, reply) => reply.send(app.swagger()),
  });
}
