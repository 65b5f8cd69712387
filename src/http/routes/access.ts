import type { FastifyRequest } from 'fastify';
import { isKeyId } from '../../access/credentials/api-key.ts';
import type { Identity } from '../../access/credentials/identity.ts';
import { Problem } from '../../model/problem.ts';
import { ENDPOINTS } from '../admission/endpoints.ts';
import { ACTION_NAMES, Entitlement, readWish, type Asker, type Wish } from '../admission/entitlement.ts';
import { Type } from '../input/json-schema.ts';
import type { App, Service } from '../service.ts';
import { sendJson } from './answers.ts';
import { at, json, problems } from './schemas.ts';

const list = (description: string) => Type.Array(Type.String(), { description });
const Everything = Type.Object({
  name: Type.Optional(Type.String({ description: 'The credential, as in log lines: `key …` or `subject …`; absent without one.' })),
  expires: Type.Optional(Type.String({ format: 'date-time', description: 'When the credential ends by itself.' })),
  publish: list('Topics and patterns that it may publish to; `>` alone stands for all topics, as in the next three.'),
  subscribe: list('Topics and patterns that it may read.'),
  erase: list('Topics and patterns in which it may erase.'),
  presence: list('Topics and patterns whose listeners it may see.'),
  operate: Type.Boolean({ description: 'Whether it may read metrics, `/instances` and the OpenAPI document.' }),
  streams: Type.Boolean({ description: 'Whether it may list and close open streams.' }),
  administer: Type.Boolean({ description: 'Whether it may make and revoke keys, and drain instances.' }),
});
const Verdict = Type.Object({
  action: Type.String(),
  topic: Type.Optional(Type.String()),
  allowed: Type.Boolean(),
  code: Type.Optional(Type.String({ description: 'If it is not allowed: the code of the problem that the request would get.' })),
  detail: Type.Optional(Type.String({ description: 'The detail of that problem.' })),
});
const querystring = Type.Object({
  action: Type.Optional(Type.String({ description: `One of ${ACTION_NAMES.map((name) => `\`${name}\``).join(', ')}; without it, the answer lists all rights.` })),
  topic: Type.Optional(Type.String({ description: 'A topic, and to read or see presence also a pattern; for the first four actions.' })),
});
const response = { 200: json('Without `action` all of it, else whether that is allowed.', Type.Union([Everything, Verdict])) };

/** `GET /access` and `GET /keys/{id}/access`: who may do what, without trying. */
export function accessRoutes(app: App, service: Service): void {
  const { config, access, keyOwners } = service;
  const entitlement = new Entitlement({ config, access });

  async function everything(asker: Asker): Promise<object> {
    const { name, credential } = asker.identity;
    const [publish, read, erase, presence] = await Promise.all((['publish', 'read', 'erase', 'presence'] as const).map((action) => entitlement.grant(asker, action)));
    const [operate, streams, administer] = await Promise.all((['operate', 'streams', 'administer'] as const).map((action) => entitlement.may(asker, action)));
    return {
      name, expires: credential?.expires === undefined ? undefined : new Date(credential.expires).toISOString(),
      publish: publish && (publish.publishable ?? ALL), subscribe: read && (read.readable ?? ALL), erase: erase && (erase.erasable ?? ALL), presence: presence && (presence.presenceScope ?? ALL),
      operate, streams, administer,
    };
  }

  async function answer(asker: Asker, wish: Wish | undefined): Promise<object> {
    return wish === undefined ? everything(asker) : verdict(wish, await entitlement.problem(asker, wish));
  }

  app.route({
    ...at(ENDPOINTS.access, config),
    schema: { tags: ['session'], summary: 'What the sender may do', querystring, response: { ...response, ...problems('invalid-request', 'invalid-topic', 'cross-origin', 'unavailable') } },
    handler: async (request, reply) => sendJson(reply, await answer(askerOf(request, request.admission.identity), readWish(request.query))),
  });

  app.route({
    ...at(ENDPOINTS.keyAccess, config),
    schema: {
      tags: ['administration'], summary: 'What an API key may do', params: Type.Object({ id: Type.String({ description: 'The id of a key: the part between the two underscores.' }) }), querystring,
      response: { ...response, ...problems('invalid-request', 'invalid-topic', 'forbidden', 'not-found', 'unavailable') },
    },
    handler: async (request, reply) => {
      const { id } = request.params;
      const wish = readWish(request.query);
      const identity = isKeyId(id) ? await keyOwners.ofKey(id, () => request.admission.holder()) : undefined;
      if (identity === undefined) throw new Problem('not-found', 'There is no such key.', { field: 'id' });
      if (!(identity instanceof Problem)) return sendJson(reply, await answer(askerOf(request, identity), wish));
      if (identity.code !== 'invalid-credential') throw identity;
      return sendJson(reply, wish === undefined ? NOTHING : verdict(wish, identity));
    },
  });
}

const ALL: readonly string[] = ['>'];

/** The permissions of a key that has ended. */
const NOTHING = { publish: [], subscribe: [], erase: [], presence: [], operate: false, streams: false, administer: false };

function askerOf({ raw: { headers }, admission: { clientAddress: address } }: FastifyRequest, identity: Identity): Asker {
  return { identity, headers, address };
}

function verdict({ action, topic }: Wish, problem: Problem | undefined): object {
  return { action, topic, allowed: problem === undefined, ...(problem === undefined ? {} : { code: problem.code, detail: problem.message }) };
}
