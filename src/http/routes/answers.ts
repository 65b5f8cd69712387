import { isUtf8 } from 'node:buffer';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { jsonProblem } from '../../access/tokens/token-json.ts';
import type { Actor } from '../../model/actor.ts';
import { Problem } from '../../model/problem.ts';

/** The common parts of routes that make changes. */

/** The sender. Admission has refused senders without a credential, so there is a name. */
export function actorOf({ admission: { identity, clientAddress } }: FastifyRequest): Required<Actor> {
  return { name: identity.name ?? 'nobody', client: clientAddress() };
}

/** The JSON of a body; undefined where it is empty. Refuses an ambiguous body: it could revoke another subject than the one that was meant. */
export function bodyOf({ body }: FastifyRequest): unknown {
  if (!Buffer.isBuffer(body) || body.length === 0) return undefined;
  if (!isUtf8(body)) throw new Problem('invalid-request', 'The body is not UTF-8.');
  const json = body.toString();
  const value = parse(json);
  const problem = jsonProblem(json);
  if (problem !== undefined) throw new Problem('invalid-request', `The body is not valid: ${problem}.`);
  return value;
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json) as unknown;
  } catch (error) {
    throw new Problem('invalid-request', 'The body is not JSON.', { cause: error });
  }
}

/** Answers with JSON that nobody keeps. */
export function sendJson(reply: FastifyReply, body: object): FastifyReply {
  return reply.type('application/json').header('cache-control', 'no-store').send(JSON.stringify(body));
}
