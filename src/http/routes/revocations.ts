import { describeRevocation } from '../../access/credentials/revocation-administration.ts';
import { Problem } from '../../model/problem.ts';
import { orProblem } from '../../store/change-problem.ts';
import { ENDPOINTS } from '../admission/endpoints.ts';
import { Type } from '../input/json-schema.ts';
import type { App, Service } from '../service.ts';
import { actorOf, bodyOf, sendJson } from './answers.ts';
import { at, json, problems } from './schemas.ts';

/** Stops one page from taking much memory and a long read. */
const PAGE_MAX_REVOCATIONS = 500;
const PAGE_DEFAULT_REVOCATIONS = 100;

const tags = ['administration'];
const which = {
  jti: Type.Optional(Type.String({ description: 'The token with this id.' })),
  sub: Type.Optional(Type.String({ description: 'The tokens of this subject.' })),
  issuedBefore: Type.Optional(Type.String({ format: 'date-time', description: 'Only tokens that were issued before this time, of the subject or of everybody. With a subject it is now by default.' })),
};
const RevocationRequest = Type.Object(which);
const Revocation = Type.Object({
  ...which,
  revoked: Type.String({ format: 'date-time' }),
  forgotten: Type.String({ format: 'date-time', description: 'The time when the last token that it can concern has expired.' }),
});
const FAILURES = ['invalid-request', 'forbidden', 'unavailable'] as const;

/** `/revocations`: tokens that are not good any more, for administrators. The rules are in access/. */
export function revocationRoutes(app: App, service: Service): void {
  const { config, revocations } = service;

  app.route({
    ...at(ENDPOINTS.listRevocations, config),
    schema: {
      tags, summary: 'List revocations of tokens',
      querystring: Type.Object({
        after: Type.Optional(Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description: 'The `cursor` of the page before.' })),
        limit: Type.Optional(Type.Integer({ minimum: 1, maximum: PAGE_MAX_REVOCATIONS, description: `How many at most; ${PAGE_DEFAULT_REVOCATIONS} by default.` })),
      }),
      response: { 200: json('In the order of their last changes.', Type.Object({ revocations: Type.Array(Revocation), cursor: Type.Integer(), more: Type.Boolean() })), ...problems('invalid-cursor', ...FAILURES) },
    },
    handler: async (request, reply) => {
      const { after = 0, limit = PAGE_DEFAULT_REVOCATIONS } = request.query;
      const { revocations: found } = await asked(revocations.list({ after, limit: limit + 1 }));
      const page = found.slice(0, limit);
      return sendJson(reply, { revocations: page.map(describeRevocation), cursor: page.at(-1)?.version ?? after, more: found.length > limit });
    },
  });

  app.route({
    ...at(ENDPOINTS.revoke, config),
    schema: { tags, summary: 'Revoke tokens', body: RevocationRequest, response: { 201: json('The tokens are revoked, durably.', Revocation), ...problems(...FAILURES) } },
    handler: async (request, reply) => {
      const revocation = await asked(revocations.revoke(bodyOf(request), actorOf(request)));
      if (revocation === undefined) throw new Problem('forbidden', 'There are too many revocations: revoke all tokens that were issued before a time.');
      return sendJson(reply.code(201), describeRevocation(revocation));
    },
  });
}

function asked<Answer>(answer: Promise<Answer>): Promise<Answer> {
  return orProblem(answer, { unknown: 'It is not known whether the revocation was stored: list the revocations, or ask for it again.', unavailable: 'Revocations cannot be read or made now. Nothing was changed.' });
}
