import type { DescribeApi } from '../api-document.ts';
import { ENDPOINTS } from '../admission/endpoints.ts';
import { Type } from '../input/json-schema.ts';
import type { App, Service } from '../service.ts';
import { at, json, problems } from './schemas.ts';

const tags = ['operations'];
const Status = Type.Object({ status: Type.String(), detail: Type.Optional(Type.Record(Type.String(), Type.Unknown())) });

/** Health, readiness, metrics, and the description of the whole. Nothing of it is ever cached. */
export function operationRoutes(app: App, service: Service, describe: DescribeApi): void {
  const { metrics, config } = service;
  metrics.watchProcess();

  app.route({
    ...at(ENDPOINTS.healthz, config),
    schema: { tags, summary: 'Whether the process lives', response: { 200: json('It does.', Status), ...problems() } },
    handler: (_request, reply) => reply.header('cache-control', 'no-store').send({ status: 'ok' }),
  });

  app.route({
    ...at(ENDPOINTS.readyz, config),
    schema: { tags, summary: 'Whether it can take work', response: { 200: json('It can, if perhaps degraded.', Status), 503: json('It cannot.', Status), ...problems() } },
    handler: (request, reply) => {
      const { ready, status, detail } = service.readiness();
      return reply.code(ready ? 200 : 503).header('cache-control', 'no-store').send({ status, ...(request.admission.identity.mayOperate ? { detail } : {}) });
    },
  });

  app.route({
    ...at(ENDPOINTS.metrics, config),
    schema: { tags, summary: 'Metrics for Prometheus', response: { 200: { description: 'In the text format.', content: { 'text/plain': { schema: Type.String() } } }, ...problems() } },
    handler: async (_request, reply) => reply.header('cache-control', 'no-store').type(metrics.contentType).send(await (service.allMetrics?.() ?? metrics.render(service.gauges()))),
  });

  app.route({
    ...at(ENDPOINTS.openapi, config),
    schema: { hide: true },
    handler: async (_request, reply) => reply.header('cache-control', 'no-store').send(await describe()),
  });
}
