import { isKeyId } from '../../access/credentials/api-key.ts';
import { describeKey, type ShownKey } from '../../access/credentials/key-administration.ts';
import { readKeyRequest, readOverlap } from '../../access/credentials/key-request.ts';
import { Problem } from '../../model/problem.ts';
import { orProblem } from '../../store/change-problem.ts';
import { ENDPOINTS } from '../admission/endpoints.ts';
import { Type } from '../input/json-schema.ts';
import type { App, Service } from '../service.ts';
import { actorOf, bodyOf, sendJson } from './answers.ts';
import { at, json, problems } from './schemas.ts';

/** Stops one page from taking much memory and a long read. */
const PAGE_MAX_KEYS = 500;
const PAGE_DEFAULT_KEYS = 100;

const tags = ['administration'];
const params = Type.Object({ id: Type.String({ description: 'The id of a key: the part between the two underscores.' }) });
const topics = Type.Array(Type.String(), { description: 'Topics and patterns.' });
const time = (description: string) => Type.Optional(Type.String({ format: 'date-time', description }));
const members = {
  id: Type.String(),
  name: Type.String(),
  publish: topics,
  subscribe: topics,
  erase: Type.Optional(topics),
  presence: Type.Optional(topics),
  admin: Type.Boolean(),
  operate: Type.Boolean(),
  created: Type.String({ format: 'date-time' }),
  expires: time('When the key ends by itself.'),
  revoked: time('When the key was revoked.'),
  lastUsed: time('The time of its last use, up to a minute late.'),
};
const Key = Type.Object(members);
const NewKey = Type.Object({ ...members, key: Type.String({ description: 'The key itself. It is shown this once.' }) });
const KeyRequest = Type.Object({
  name: Type.String({ description: 'A name that says the purpose of the key.' }),
  publish: Type.Optional(topics),
  subscribe: Type.Optional(topics),
  erase: Type.Optional(topics),
  presence: Type.Optional(topics),
  admin: Type.Optional(Type.Boolean({ description: 'Whether it may make and revoke keys, and read metrics.' })),
  operate: Type.Optional(Type.Boolean({ description: 'Whether it may read metrics, the details of readiness and this document.' })),
  expiresInSeconds: Type.Optional(Type.Integer({ minimum: 1 })),
});
const Rotation = Type.Object({ overlapSeconds: Type.Optional(Type.Integer({ minimum: 0, description: 'Seconds for which the old secret stays good; 0 by default.' })) });
const FAILURES = ['forbidden', 'unavailable'] as const;

/** `/keys`: API keys, for administrators. The rules are in access/; no answer but the first has a secret. */
export function keyRoutes(app: App, service: Service): void {
  const { config, keys } = service;

  app.route({
    ...at(ENDPOINTS.listKeys, config),
    schema: {
      tags, summary: 'List API keys, revoked and expired ones too',
      querystring: Type.Object({
        after: Type.Optional(Type.String({ description: 'The last id of the page before.' })),
        limit: Type.Optional(Type.Integer({ minimum: 1, maximum: PAGE_MAX_KEYS, description: `How many keys at most; ${PAGE_DEFAULT_KEYS} by default.` })),
      }),
      response: { 200: json('The keys, in the order of their ids.', Type.Object({ keys: Type.Array(Key), more: Type.Boolean() })), ...problems('invalid-request', ...FAILURES) },
    },
    handler: async (request, reply) => {
      const { after = '', limit = PAGE_DEFAULT_KEYS } = request.query;
      if (after !== '' && !isKeyId(after)) throw new Problem('invalid-request', 'after must be the id of a key.', { field: 'after' });
      const found = await asked(keys.list({ after, limit: limit + 1 }));
      return sendJson(reply, { keys: found.slice(0, limit).map(describeKey), more: found.length > limit });
    },
  });

  app.route({
    ...at(ENDPOINTS.createKey, config),
    schema: { tags, summary: 'Make an API key', body: KeyRequest, response: { 201: json('The key is shown this once.', NewKey), ...problems('invalid-request', 'invalid-topic', ...FAILURES) } },
    handler: async (request, reply) => {
      const made = await asked(keys.create(readKeyRequest(bodyOf(request)), actorOf(request)));
      if (made === undefined) throw new Problem('forbidden', 'There are too many keys: revoke some first.');
      return sendJson(reply.code(201).header('location', `/keys/${made.record.id}`), shownKey(made));
    },
  });

  app.route({
    ...at(ENDPOINTS.key, config),
    schema: { tags, summary: 'One API key', params, response: { 200: json('The key, without its secret.', Key), ...problems('not-found', ...FAILURES) } },
    handler: async (request, reply) => sendJson(reply, describeKey(there(await asked(keys.find(idOf(request.params)))))),
  });

  app.route({
    ...at(ENDPOINTS.revokeKey, config),
    schema: { tags, summary: 'Revoke an API key, for good', params, response: { 200: json('The key is revoked.', Key), ...problems('not-found', ...FAILURES) } },
    handler: async (request, reply) => sendJson(reply, describeKey(there(await asked(keys.revoke(idOf(request.params), actorOf(request)))))),
  });

  app.route({
    ...at(ENDPOINTS.rotateKey, config),
    schema: { tags, summary: 'Give an API key a new secret', params, body: Rotation, response: { 201: json('The key with its new secret, shown this once.', NewKey), ...problems('invalid-request', 'not-found', ...FAILURES) } },
    handler: async (request, reply) => {
      const overlapMs = readOverlap(bodyOf(request) ?? {});
      return sendJson(reply.code(201), shownKey(there(await asked(keys.rotate(idOf(request.params), overlapMs, actorOf(request))))));
    },
  });
}

function idOf({ id }: { readonly id: string }): string {
  if (!isKeyId(id)) throw missing();
  return id;
}

function there<Result>(result: Result | undefined): Result {
  if (result === undefined) throw missing();
  return result;
}

function missing(): Problem {
  return new Problem('not-found', 'There is no such key, or it has ended.', { field: 'id' });
}

function asked<Answer>(answer: Promise<Answer>): Promise<Answer> {
  return orProblem(answer, { unknown: 'It is not known whether the change was stored: look at the key, or list the keys.', unavailable: 'The keys cannot be read or changed now. Nothing was changed.' });
}

function shownKey({ record, text }: ShownKey): object {
  return { ...describeKey(record), key: text };
}
