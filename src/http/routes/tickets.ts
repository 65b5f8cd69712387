import { orProblem } from '../../store/change-problem.ts';
import { ENDPOINTS } from '../admission/endpoints.ts';
import { Type } from '../input/json-schema.ts';
import type { App, Service } from '../service.ts';
import { bodyOf, sendJson } from './answers.ts';
import { at, json, problems } from './schemas.ts';

const TicketRequest = Type.Object({ topics: Type.Array(Type.String(), { description: 'The topics and patterns that the stream may have.' }) });
const Ticket = Type.Object({
  ticket: Type.String({ description: 'For the parameter `ticket` of a stream. It is shown this once.' }),
  expiresAt: Type.String({ format: 'date-time', description: 'Open the stream before this time.' }),
});

/** `POST /tickets`: what an EventSource that can send neither headers nor cookies opens its stream with. */
export function ticketRoutes(app: App, service: Service): void {
  const { config, ticketAdministration } = service;
  app.route({
    ...at(ENDPOINTS.createTicket, config),
    schema: {
      tags: ['stream'], summary: 'Exchange a credential for a ticket, which opens one stream', body: TicketRequest,
      response: { 201: json('The ticket.', Ticket), ...problems('invalid-request', 'invalid-topic', 'cross-origin', 'forbidden', 'level-too-low', 'overloaded', 'unavailable', 'outcome-unknown') },
    },
    handler: async (request, reply) => {
      const { identity, clientAddress, holder } = request.admission;
      const { ticket, text } = await orProblem(ticketAdministration.make(identity, bodyOf(request), clientAddress(), holder()), {
        tooLow: 'There are no tickets yet', unknown: 'It is not known whether the ticket was made: ask for another one.', unavailable: 'Tickets cannot be made now.',
      });
      return sendJson(reply.code(201), { ticket: text, expiresAt: new Date(ticket.ends).toISOString() });
    },
  });
}
