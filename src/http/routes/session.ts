import { stringifySetCookie } from 'cookie';
import type { FastifyRequest } from 'fastify';
import type { Credential } from '../../access/credentials/identity.ts';
import { orProblem } from '../../store/change-problem.ts';
import { networkOf } from '../admission/client-address.ts';
import { ENDPOINTS } from '../admission/endpoints.ts';
import { cookieValues } from '../input/credential.ts';
import { Type } from '../input/json-schema.ts';
import type { App, Service } from '../service.ts';
import { sendJson } from './answers.ts';
import { at, json, problems } from './schemas.ts';

const tags = ['session'];
const Session = Type.Object({
  expiresAt: Type.Optional(Type.String({ format: 'date-time', description: 'When it ends by itself; absent if it does not.' })),
  subject: Type.Optional(Type.String({ description: 'The subject of the token that it is, or was made of.' })),
  key: Type.Optional(Type.String({ description: 'The id of the API key that it is, or was made of.' })),
});
const FAILURES = ['not-found', 'cross-origin', 'unavailable', 'outcome-unknown'] as const;

/** `/session`: what a browser is given for a key or token, in a cookie that no script can read. */
export function sessionRoutes(app: App, service: Service): void {
  const { config, limits, sessions } = service;
  const cookie = (value: string, maxAge: number): string => stringifySetCookie({
    // Without Domain, no neighbouring host gets it. On http, browsers take a Secure cookie from this machine only.
    name: nameOf(config.AUTH_COOKIE), value, maxAge, path: '/', httpOnly: true, secure: true, sameSite: 'strict',
  });

  app.route({
    ...at(ENDPOINTS.createSession, config),
    schema: {
      tags, summary: 'Exchange a key or token for a session, in the cookie that AUTH_COOKIE names',
      response: { 201: json('The cookie is set.', Session), ...problems('level-too-low', ...FAILURES) },
    },
    handler: async (request, reply) => {
      const { identity, clientAddress } = request.admission;
      const [before] = cookiesOf(request, config.AUTH_COOKIE);
      const { session: { created, expires }, text } = await asked(sessions.make(identity, before, clientAddress()));
      void reply.code(201).header('set-cookie', cookie(text, Math.floor((expires - created) / 1000)));
      return sendJson(reply, describe({ owner: identity.credential!.owner, expires }));
    },
  });

  app.route({
    ...at(ENDPOINTS.session, config),
    schema: { tags, summary: 'Whose the session, or another credential, is', response: { 200: json('The credential is good.', Session), ...problems('not-found', 'cross-origin', 'unavailable') } },
    handler: (request, reply) => sendJson(reply, describe(request.admission.identity.credential!)),
  });

  app.route({
    ...at(ENDPOINTS.endSession, config),
    schema: { tags, summary: 'End the session, and delete its cookie', response: { 204: { description: 'The session is gone.' }, ...problems(...FAILURES) } },
    handler: async (request, reply) => {
      const client = request.admission.clientAddress();
      const texts = cookiesOf(request, config.AUTH_COOKIE).filter((text) => text !== '');
      const hasEnded = await asked(sessions.end(texts, client));
      // A refusal deletes the cookie, too: it holds no session any more.
      void reply.header('set-cookie', cookie('', 0));
      const refusal = hasEnded || texts.length === 0 ? undefined : await limits.failedLogin(networkOf(client));
      if (refusal !== undefined) throw refusal;
      return reply.code(204).header('cache-control', 'no-store').send();
    },
  });
}

/** Admission lets no request through without the setting. */
function nameOf(name: string | undefined): string {
  if (name === undefined) throw new Error('AUTH_COOKIE is not set');
  return name;
}

function cookiesOf({ headers: { cookie = '' } }: FastifyRequest, name: string | undefined): readonly string[] {
  return cookieValues(cookie, nameOf(name));
}

function describe({ owner, expires }: Credential): object {
  return { expiresAt: expires === undefined ? undefined : new Date(expires).toISOString(), ...(owner.kind === 'key' ? { key: owner.id } : { subject: owner.subject }) };
}

function asked<Answer>(answer: Promise<Answer>): Promise<Answer> {
  return orProblem(answer, {
    tooLow: 'There are no sessions yet', unknown: 'It is not known whether the session was made, or ended: try again.', unavailable: 'Sessions cannot be made or ended now. Nothing was changed.',
  });
}
