import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Actor } from '../../model/actor.ts';

/** What routes that make changes have in common. */

/** Who asks: admission lets nobody through to them without a credential, so there is a name. */
export function actorOf({ admission: { identity, clientAddress } }: FastifyRequest): Required<Actor> {
  return { name: identity.name ?? 'nobody', client: clientAddress() };
}

/** Answers with JSON that nobody keeps. */
export function sendJson(reply: FastifyReply, body: object): FastifyReply {
  return reply.type('application/json').header('cache-control', 'no-store').send(JSON.stringify(body));
}
