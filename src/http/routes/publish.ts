import type { FastifyReply } from 'fastify';
import type { Draft } from '../../model/message.ts';
import { formatId } from '../../model/position.ts';
import { Problem } from '../../model/problem.ts';
import { ENDPOINTS } from '../admission/endpoints.ts';
import { keepOnly } from '../held-bodies.ts';
import { bodyOf } from '../input/body.ts';
import type { HttpMemory } from '../http-memory.ts';
import { BatchMessage, batchFormat } from '../input/batch-body.ts';
import { requestKey } from '../input/idempotency-key.ts';
import { Type } from '../input/json-schema.ts';
import { readPublish } from '../input/publish-request.ts';
import { wantsReport } from '../input/stream-switches.ts';
import { PUBLISHED_TYPE, publishedBatch, REPLAYED_HEADERS } from '../output/published.ts';
import { publishLimited } from '../limited-publish.ts';
import { publishOne } from '../publish-one.ts';
import type { App, Service } from '../service.ts';
import { at, flag, json, problems, StoredMessage, TopicPath } from './schemas.ts';

const Headers = Type.Object({
  'idempotency-key': Type.Optional(Type.String({ description: 'The same request with the same key is stored once, and gets the first answer again.' })),
});
const MessageHeaders = Type.Object({
  ...Headers.properties,
  ttl: Type.Optional(Type.String({ description: 'Seconds after which the message is not delivered any more (RFC 8030); 0 is the shortest, 1.' })),
  'tidings-event': Type.Optional(Type.String({ description: 'The SSE event name, in ASCII; or `event` in the query.' })),
});
const BatchQuery = Type.Object({
  idempotencyKey: Type.Optional(Type.String({ description: 'The same as the header Idempotency-Key, for senders that cannot set it.' })),
  idempotencyHeader: Type.Optional(Type.String({ description: 'The name of a header that takes the place of Idempotency-Key, such as X-GitHub-Delivery.' })),
});
const MessageQuery = Type.Object({
  ...BatchQuery.properties,
  event: Type.Optional(Type.String({ description: 'The SSE event name.' })),
  eventHeader: Type.Optional(Type.String({ description: 'The name of a header that takes the place of Tidings-Event, such as X-GitHub-Event.' })),
  report: flag('`1` says in the answer how many streams would be sent the message; takes the grant `presence` for the topic.'),
});
const PublishedMessage = Type.Object({
  ...StoredMessage.properties,
  report: Type.Optional(Type.Object({
    streams: Type.Integer({ description: 'Streams that want the topic, by its name or by a pattern: of this instance now, and of the others by their last report.' }),
    instances: Type.Integer({ description: 'The number of instances that have such a stream.' }),
    ageMs: Type.Integer({ description: 'The age of these reports; 0 without other instances, or without any report.' }),
    partial: Type.Optional(Type.Literal(true, { description: 'Other instances may have more.' })),
  }, { description: 'With `report=1`.' })),
});

const FAILURES = [
  'invalid-topic', 'invalid-event', 'invalid-data', 'invalid-ttl', 'invalid-key',
  'cross-origin', 'forbidden', 'length-required', 'too-large', 'unsupported-media-type', 'key-reused', 'topic-quota', 'overloaded', 'unavailable', 'outcome-unknown',
] as const;

/** `POST /topics/{topic}`, one message; and `POST /messages`, many at once. */
export function publishRoutes(app: App, service: Service, { batches, answers }: HttpMemory): void {
  const { config } = service;
  const bounds = { messages: config.BATCH_MESSAGES, messageBytes: config.MESSAGE_BYTES, eventBytes: config.EVENT_BYTES };

  app.route({
    ...at(ENDPOINTS.publish, config),
    schema: {
      tags: ['publish'], summary: 'Publish a message', params: TopicPath, querystring: MessageQuery, headers: MessageHeaders,
      body: { content: { 'application/json': { schema: Type.Unknown() }, 'text/plain': { schema: Type.String() } } },
      response: { 201: json('The message is stored, durably.', PublishedMessage), ...problems('invalid-request', ...FAILURES) },
    },
    handler: async (request, reply) => {
      const { draft, key } = readPublish({ topic: request.params.topic, query: request.query, headers: request.headers, body: bodyOf(request), scope: request.admission.identity.scope }, config);
      const { location, json: text, replayed } = await publishOne(service, request.admission, draft, key, { wantsReport: wantsReport(request.query), requestId: () => request.id });
      return reply.header('location', location).send(published(reply, replayed, text));
    },
  });

  app.route({
    ...at(ENDPOINTS.publishBatch, config),
    schema: {
      tags: ['publish'], summary: 'Publish many messages, all or none', querystring: BatchQuery, headers: Headers,
      body: { content: {
        'application/json': { schema: Type.Array(BatchMessage, { minItems: 1, maxItems: config.BATCH_MESSAGES }) },
        'application/x-ndjson': { schema: BatchMessage },
      } },
      response: { 201: json('All are stored, durably, in this order.', Type.Object({ messages: Type.Array(StoredMessage) })), ...problems('invalid-request', 'invalid-batch', ...FAILURES) },
    },
    handler: async (request, reply) => {
      const { identity: { scope, name }, clientAddress } = request.admission;
      // Admission lets no other format through.
      const format = batchFormat(request.headers)!;
      const { length } = bodyOf(request);
      const key = requestKey({ headers: request.headers, query: request.query, scope }, { kind: format, body: bodyOf(request) }, config.IDEMPOTENCY_SECONDS);
      const drafts = await batches.parse(bodyOf(request), format, bounds, request.bodyHold);
      keepOnly(request, heldBytes(drafts));
      // Once it is stored, it cannot be refused any more.
      if (!answers.isWithinBound(request.admission.holder())) throw new Problem('overloaded', 'Too many answers are waiting until their clients read them. Nothing was stored.');
      const receipt = await publishLimited(service, request.admission, drafts, key);
      if (service.logger.isLevelEnabled('debug')) request.log.debug({ client: clientAddress(), credential: name, messages: drafts.length, id: formatId(receipt.epoch, receipt.first), bytes: length, replayed: receipt.replayed }, 'published');
      return reply.send(published(reply, receipt.replayed, publishedBatch(drafts, receipt)));
    },
  });
}

/** The memory of a message of a batch besides its data and topic, about. */
const DRAFT_BYTES = 256;

/** The memory of the messages of a batch until they are stored. */
function heldBytes(drafts: readonly Draft[]): number {
  return drafts.reduce((sum, { data, topic }) => sum + data.length + topic.length + DRAFT_BYTES, 0);
}

/** The answer's text, once its status and headers are set. It is no buffer, so that Node sends it in one piece with its head. */
function published(reply: FastifyReply, replayed: boolean, text: string): string {
  void reply.code(201).type(PUBLISHED_TYPE);
  if (replayed) void reply.headers(REPLAYED_HEADERS);
  return text;
}
