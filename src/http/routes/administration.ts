import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Actor } from '../../access/key-administration.ts';
import { Problem } from '../../model/problem.ts';
import { StoreError } from '../../store/store.ts';

/** What the routes of administrators have in common. */

/** Who asks, for audit lines: an administrator has a credential, so there is a name. */
export function by(request: FastifyRequest): Actor {
  const { identity, clientAddress } = request.admission;
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

/** The answer of the database, or the problem that it cannot be asked. */
export async function asked<Result>(answer: Promise<Result>): Promise<Result> {
  try {
    return await answer;
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    throw error.kind === 'outcome-unknown'
      ? new Problem('outcome-unknown', 'It is not known whether the change was stored: look whether it was, or ask for it again.', { cause: error })
      : new Problem('unavailable', 'The database cannot be asked now. Nothing was changed.', { cause: error });
  }
}

export function answer(reply: FastifyReply, body: object): FastifyReply {
  return reply.type('application/json').header('cache-control', 'no-store').send(JSON.stringify(body));
}
