import { ENDPOINTS } from '../endpoints.ts';
import { Type } from '../input/json-schema.ts';
import type { App, Service } from '../service.ts';
import { sendJson } from './answers.ts';
import { at, json, problems } from './schemas.ts';

const text = (description: string) => Type.Optional(Type.String({ description }));
const Connector = Type.Object({
  name: Type.String(),
  kind: Type.String({ enum: ['source', 'sink'] }),
  of: Type.String({ description: 'What it is connected to: `nats`.' }),
  place: Type.String({ description: 'The system on the other side, without secrets.' }),
  deadTopic: Type.String({ description: 'Where messages go that tell of what could not be taken or sent.' }),
  owner: text('The instance that runs it.'),
  cursor: text('Of a sink: up to here everything was sent, given up, or left out.'),
  state: Type.Optional(Type.String({ enum: ['connecting', 'up', 'failing'], description: 'As its owner noted it last, at most a few seconds ago.' })),
  positions: Type.Optional(Type.Record(Type.String(), Type.String(), { description: 'Of a source: how far it has read, as `identity@position`, by part.' })),
  behind: Type.Optional(Type.Integer({ description: 'How many records wait on the other side, or how many numbers of the log a sink is behind.' })),
  error: text('Why the last attempt failed that did.'),
  failed: Type.Optional(Type.String({ format: 'date-time', description: 'When it failed.' })),
});

/** `/connectors`: for administrators. Connectors are declared in a file, so they are only shown. */
export function connectorRoutes(app: App, { config, connectors }: Service): void {
  app.route({
    ...at(ENDPOINTS.listConnectors, config),
    schema: { tags: ['connectors'], summary: 'List connectors', response: { 200: json('Those that the file of this instance declares, whichever instance runs them.', Type.Object({ connectors: Type.Array(Connector) })), ...problems('forbidden', 'unavailable') } },
    handler: async (_request, reply) => sendJson(reply, { connectors: await connectors.list() }),
  });
}
