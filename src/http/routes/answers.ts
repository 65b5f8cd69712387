import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Actor } from '../../model/actor.ts';
import { Problem } from '../../model/problem.ts';

/** What routes that make changes have in common. */

/** Who asks: admission lets nobody through to them without a credential, so there is a name. */
export function actorOf({ admission: { identity, clientAddress } }: FastifyRequest): Required<Actor> {
  return { name: identity.name ?? 'nobody', client: clientAddress() };
}

/** The JSON of a body; undefined where it is empty. */
export function bodyOf({ body }: FastifyRequest): unknown {
  if (!Buffer.isBuffer(body) || body.length === 0) return undefined;
  try {
    return JSON.parse(body.toString()) as unknown;
  } catch (error) {
    throw new Problem('invalid-request', 'The body is not JSON.', { cause: error });
  }
}

/** Answers with JSON that nobody keeps. */
export function sendJson(reply: FastifyReply, body: object): FastifyReply {
  return reply.type('application/json').header('cache-control', 'no-store').send(JSON.stringify(body));
}
