import { isStreamSecret } from '../../access/leases/stream-handles.ts';
import { Problem, type ProblemCode } from '../../model/problem.ts';
import { failedLogin } from '../admission/access-rules.ts';
import { ENDPOINTS } from '../admission/endpoints.ts';
import { Type } from '../input/json-schema.ts';
import type { App, Service } from '../service.ts';
import { bodyOf, sendJson } from './answers.ts';
import { at, json, problems } from './schemas.ts';

const params = Type.Object({ id: Type.String({ description: 'The id of a stream, from its `$open`.' }) });
const Renewal = Type.Object({ secret: Type.String({ description: 'The secret of the stream, from its `$open`.' }) });
const Renewed = Type.Object({ expires: Type.Optional(Type.String({ format: 'date-time', description: 'When the stream ends now, if the credential ends by itself.' })) });

/** The problems that count as a failed login. Temporary ones do not. */
const REFUSALS: readonly ProblemCode[] = ['invalid-credential', 'forbidden', 'not-found'];

/** `POST /streams/{id}/credential`: an open stream goes on by the credential of this request. */
export function renewalRoutes(app: App, service: Service): void {
  const { config, counters, limits, renewals } = service;
  app.route({
    ...at(ENDPOINTS.renewStream, config),
    schema: {
      tags: ['stream'], summary: 'Prolong an open stream by a new credential: that of this request', params, body: Renewal,
      response: { 200: json('The stream goes on by the new credential.', Renewed), ...problems('invalid-request', 'cross-origin', 'forbidden', 'not-found', 'stream-elsewhere', 'overloaded', 'unavailable') },
    },
    handler: async (request, reply) => {
      const { identity, clientAddress, holder } = request.admission;
      const { id } = request.params;
      const secret = secretIn(bodyOf(request));
      const expires = await renewals.renew(id, secret, identity, holder()).catch(async (error: unknown) => {
        // A secret is guessed no more often than a key.
        throw error instanceof Problem && REFUSALS.includes(error.code) ? await failedLogin(error, ENDPOINTS.renewStream, limits, { address: clientAddress }) : error;
      });
      counters.renewed++;
      request.log.debug({ client: clientAddress(), credential: identity.name, stream: id }, 'stream renewed');
      return sendJson(reply, { expires: expires === undefined ? undefined : new Date(expires).toISOString() });
    },
  });
}

function secretIn(body: unknown): string {
  const secret = typeof body === 'object' && body !== null ? (body as { readonly secret?: unknown }).secret : undefined;
  if (!isStreamSecret(secret)) throw new Problem('invalid-request', 'The body must be {"secret": "…"}, with the secret of the stream as its $open said it.', { field: 'secret' });
  return secret;
}
