import { ENDPOINTS } from '../admission/endpoints.ts';
import { Type } from '../input/json-schema.ts';
import type { App, Service } from '../service.ts';
import { sendJson } from './answers.ts';
import { at, json, problems } from './schemas.ts';

const text = (description: string) => Type.Optional(Type.String({ description }));
const Connector = Type.Object({
  name: Type.String(),
  kind: Type.String({ enum: ['source', 'sink'] }),
  of: Type.String({ description: 'The kind of the system on the other side: `nats` or `kafka`.' }),
  place: Type.String({ description: 'The system on the other side, without secrets.' }),
  deadTopic: Type.String({ description: 'The topic for messages about records that could not be taken or sent.' }),
  owner: text('The instance that runs it.'),
  cursor: text('Of a sink: up to here everything was sent, given up, or left out.'),
  state: Type.Optional(Type.String({ enum: ['connecting', 'up', 'failing'], description: 'The last note of its owner, at most a few seconds old.' })),
  positions: Type.Optional(Type.Record(Type.String(), Type.String(), { description: 'For a source: the position up to which it has read, as `identity@position`, by part.' })),
  behind: Type.Optional(Type.Integer({ description: 'How many records wait on the other side, or how many numbers of the log a sink is behind.' })),
  error: text('Why the last attempt failed that did.'),
  failed: Type.Optional(Type.String({ format: 'date-time', description: 'The time of the failure.' })),
});

/** `/connectors`: for administrators. Connectors are declared in a file, so they are only shown. */
export function connectorRoutes(app: App, { config, connectors }: Service): void {
  app.route({
    ...at(ENDPOINTS.listConnectors, config),
    schema: { tags: ['connectors'], summary: 'List connectors', response: { 200: json('All connectors in the file of this instance, also if another instance runs them.', Type.Object({ connectors: Type.Array(Connector) })), ...problems('forbidden', 'unavailable') } },
    handler: async (_request, reply) => sendJson(reply, { connectors: await connectors.list() }),
  });
}
