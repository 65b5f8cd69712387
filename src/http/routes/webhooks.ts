import { Problem } from '../../model/problem.ts';
import { KEPT_MAX_ATTEMPTS } from '../../store/contracts/webhook-store.ts';
import type { ShownWebhook } from '../../webhooks/administration.ts';
import { FORMATS } from '../../webhooks/settings.ts';
import { ENDPOINTS } from '../admission/endpoints.ts';
import { Type } from '../input/json-schema.ts';
import type { App, Service } from '../service.ts';
import { actorOf, bodyOf, sendJson } from './answers.ts';
import { at, json, problems } from './schemas.ts';

/** Stops one page from taking much memory and a long read. */
const PAGE_MAX_WEBHOOKS = 100;

const tags = ['webhooks'];
const params = Type.Object({ id: Type.String({ description: 'The id of a webhook.' }) });
const text = (description: string) => Type.Optional(Type.String({ description }));
const time = (description: string) => Type.Optional(Type.String({ format: 'date-time', description }));
const format = Type.Optional(Type.String({ enum: [...FORMATS], description: '`json`: the message, as streams of many topics have it. `cloudevents`: an event of CloudEvents 1.0, structured.' }));
const topics = Type.Array(Type.String(), { minItems: 1, description: 'Topics and patterns.' });
const events = Type.Optional(Type.Array(Type.String(), { description: 'Event names; all without it.' }));
const from = Type.Optional(Type.String({ description: 'Begins after an id or cursor. `start`: with the oldest message held. `now`: with the next one. A duration such as `10m`, or a time of RFC 3339: with the messages since then.' }));
const Attempt = Type.Object({
  number: Type.Integer(), delivery: Type.String({ description: 'The `webhook-id`.' }), time: Type.String({ format: 'date-time' }), status: Type.Optional(Type.Integer()), error: text('Why there was no answer.'),
  milliseconds: Type.Integer(), answer: text('The first bytes of the answer.'),
});
const members = {
  id: Type.String(), url: Type.String(), topics, events, format, deadTopic: Type.String({ description: 'The topic for messages that could not be delivered.' }),
  status: Type.String({ enum: ['active', 'paused', 'disabled'] }),
  reason: text('Why it is disabled.'),
  created: Type.String({ format: 'date-time' }),
  cursor: Type.String({ description: 'Up to this cursor every message was delivered, given up, or left out.' }),
  behind: Type.Optional(Type.Integer({ description: 'How many messages of the log come after the cursor, of other topics too. The cursor of a webhook without messages moves on once a minute. Absent if it is unknown.' })),
  owner: text('The instance that delivers it.'),
  circuit: Type.String({ enum: ['open', 'closed'], description: '`open`: the last attempts have failed, and there is one after each pause.' }),
  failures: Type.Integer({ description: 'The number of failed attempts since the last success.' }),
  failingSince: time('When the message that cannot be delivered was first attempted.'),
  nextAttempt: time('When it is attempted again.'),
  lastError: Type.Optional(Type.Object(Attempt.properties, { description: 'The newest attempt, if it failed.' })),
  oldSecretUntil: time('Until when deliveries are signed with the secret before, too.'),
};
const Webhook = Type.Object(members);
const NewWebhook = Type.Object({ ...members, secret: Type.String({ description: 'The secret that signs deliveries. It is shown this once.' }) });
const secret = text('`whsec_` and 24 to 64 bytes as base64; one is made without it.');
const WebhookRequest = Type.Object({ url: Type.String(), topics, events, format, deadTopic: text('The topic for messages that could not be delivered.'), secret, from });
const WebhookChange = Type.Object({ url: text('Where it goes.'), topics: Type.Optional(topics), events: Type.Optional(Type.Union([Type.Array(Type.String()), Type.Null()])), format, deadTopic: Type.Optional(Type.Union([Type.String(), Type.Null()])) });
const Test = Type.Object({ delivery: Type.String(), delivered: Type.Boolean(), status: Type.Optional(Type.Integer()), error: text('Why there was no answer.'), milliseconds: Type.Integer(), answer: text('The first bytes of the answer.') });
const FAILURES = ['forbidden', 'unavailable', 'outcome-unknown'] as const;
const found = (description: string) => ({ 200: json(description, Webhook), ...problems('not-found', ...FAILURES) });

/** `/webhooks`: for administrators. The rules are in webhooks/; no answer but the first has a secret. */
export function webhookRoutes(app: App, { config, webhooks }: Service): void {
  app.route({
    ...at(ENDPOINTS.listWebhooks, config),
    schema: {
      tags, summary: 'List webhooks',
      querystring: Type.Object({ after: text('The last id of the page before.'), limit: Type.Optional(Type.Integer({ minimum: 1, maximum: PAGE_MAX_WEBHOOKS, description: `How many webhooks at most; ${PAGE_MAX_WEBHOOKS} by default.` })) }),
      response: { 200: json('The webhooks, in the order of their ids.', Type.Object({ webhooks: Type.Array(Webhook), more: Type.Boolean() })), ...problems('invalid-request', ...FAILURES) },
    },
    handler: async (request, reply) => {
      const { after = '', limit = PAGE_MAX_WEBHOOKS } = request.query;
      if (after !== '' && !isWebhookId(after)) throw new Problem('invalid-request', 'after must be the id of a webhook.', { field: 'after' });
      const page = await webhooks.list({ after, limit: limit + 1 });
      return sendJson(reply, { webhooks: page.slice(0, limit), more: page.length > limit });
    },
  });

  app.route({
    ...at(ENDPOINTS.createWebhook, config),
    schema: { tags, summary: 'Make a webhook', body: WebhookRequest, response: { 201: json('The secret is shown this once.', NewWebhook), ...problems('invalid-request', 'invalid-topic', 'invalid-cursor', ...FAILURES) } },
    handler: async (request, reply) => {
      const made = await webhooks.create(bodyOf(request), actorOf(request));
      return sendJson(reply.code(201), shown(made));
    },
  });

  app.route({
    ...at(ENDPOINTS.webhook, config),
    schema: { tags, summary: 'One webhook', params, response: found('The webhook, without its secret.') },
    handler: async (request, reply) => sendJson(reply, await webhooks.find(idOf(request.params))),
  });

  app.route({
    ...at(ENDPOINTS.changeWebhook, config),
    schema: { tags, summary: 'Change a webhook', description: 'It goes on from its cursor, and its next attempt is at once.', params, body: WebhookChange, response: { 200: json('The webhook is changed.', Webhook), ...problems('invalid-request', 'invalid-topic', 'not-found', ...FAILURES) } },
    handler: async (request, reply) => sendJson(reply, await webhooks.change(idOf(request.params), bodyOf(request), actorOf(request))),
  });

  app.route({
    ...at(ENDPOINTS.deleteWebhook, config),
    schema: { tags, summary: 'Delete a webhook', params, response: { 204: { description: 'The webhook is deleted.', type: 'null' }, ...problems('not-found', ...FAILURES) } },
    handler: async (request, reply) => {
      await webhooks.remove(idOf(request.params), actorOf(request));
      return reply.code(204).send(null);
    },
  });

  app.route({
    ...at(ENDPOINTS.pauseWebhook, config),
    schema: { tags, summary: 'Pause a webhook', params, response: found('The webhook is paused; its cursor stays.') },
    handler: async (request, reply) => sendJson(reply, await webhooks.pause(idOf(request.params), actorOf(request))),
  });

  app.route({
    ...at(ENDPOINTS.resumeWebhook, config),
    schema: { tags, summary: 'Resume a webhook that was paused or disabled', params, response: found('The webhook goes on from its cursor.') },
    handler: async (request, reply) => sendJson(reply, await webhooks.resume(idOf(request.params), actorOf(request))),
  });

  app.route({
    ...at(ENDPOINTS.replayWebhook, config),
    schema: { tags, summary: 'Move a webhook to another position of the log', params, body: Type.Object({ from }), response: { 200: json('The webhook goes on from there.', Webhook), ...problems('invalid-request', 'invalid-cursor', 'not-found', ...FAILURES) } },
    handler: async (request, reply) => sendJson(reply, await webhooks.replay(idOf(request.params), bodyOf(request), actorOf(request))),
  });

  app.route({
    ...at(ENDPOINTS.rotateWebhook, config),
    schema: {
      tags, summary: 'Give a webhook a new secret', params, body: Type.Object({ overlapSeconds: Type.Optional(Type.Integer({ minimum: 0, description: 'Seconds for which the old secret signs deliveries, too; 0 by default.' })), secret }),
      response: { 201: json('The webhook with its new secret, shown this once.', NewWebhook), ...problems('invalid-request', 'not-found', ...FAILURES) },
    },
    handler: async (request, reply) => sendJson(reply.code(201), shown(await webhooks.rotate(idOf(request.params), bodyOf(request) ?? {}, actorOf(request)))),
  });

  app.route({
    ...at(ENDPOINTS.testWebhook, config),
    schema: { tags, summary: 'Send a test delivery', params, response: { 200: json('The outcome of the delivery.', Test), ...problems('not-found', 'overloaded', ...FAILURES) } },
    handler: async (request, reply) => {
      const left = new AbortController();
      const leave = (): void => left.abort();
      request.raw.socket.once('close', leave);
      try {
        return await sendJson(reply, await webhooks.test(idOf(request.params), left.signal));
      } finally {
        request.raw.socket.removeListener('close', leave);
      }
    },
  });

  app.route({
    ...at(ENDPOINTS.webhookAttempts, config),
    schema: {
      tags, summary: 'The newest attempts of a webhook', params,
      querystring: Type.Object({ limit: Type.Optional(Type.Integer({ minimum: 1, maximum: KEPT_MAX_ATTEMPTS, description: `How many at most; all ${KEPT_MAX_ATTEMPTS} that are kept by default.` })) }),
      response: { 200: json('The newest first.', Type.Object({ attempts: Type.Array(Attempt) })), ...problems('invalid-request', 'not-found', ...FAILURES) },
    },
    handler: async (request, reply) => sendJson(reply, { attempts: await webhooks.attempts(idOf(request.params), request.query.limit ?? KEPT_MAX_ATTEMPTS) }),
  });
}

function shown({ webhook, secret }: ShownWebhook): object {
  return { ...webhook, secret };
}

function isWebhookId(id: string): boolean {
  return /^[a-z0-9]{1,64}$/.test(id);
}

/** An id that cannot be one of ours is not looked up in the database. */
function idOf({ id }: { readonly id: string }): string {
  if (!isWebhookId(id)) throw new Problem('not-found', 'There is no such webhook.', { field: 'id' });
  return id;
}
