import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { BatchMessage, parseBatch } from '../batch.ts';
import { formatId } from '../cursor.ts';
import { checkEvent, checkJson, checkText, parseTtl } from '../draft.ts';
import { Problem } from '../errors.ts';
import type { App } from '../http/app.ts';
import { contentProblem, mediaType } from '../http/content.ts';
import { fingerprint, parseKey, type RequestIdentity } from '../idempotency.ts';
import { describe, type Draft } from '../message.ts';
import type { Receipt } from '../publish.ts';
import type { Service } from '../service.ts';
import type { IdempotencyKey } from '../store/store.ts';
import { checkTopic } from '../topic.ts';
import { json, problems, StoredMessage, TopicPath } from './schemas.ts';

const Headers = Type.Object({
  'idempotency-key': Type.Optional(Type.String({ description: 'The same key stores once, and gets the first answer again.' })),
});
const MessageHeaders = Type.Object({
  ...Headers.properties,
  ttl: Type.Optional(Type.String({ description: 'Seconds after which the message is not delivered any more (RFC 8030).' })),
  'tidings-event': Type.Optional(Type.String({ description: 'The SSE event name, in ASCII; or `event` in the query.' })),
});
const MessageQuery = Type.Object({ event: Type.Optional(Type.String({ description: 'The SSE event name.' })) });

const FAILURES = ['cross-origin', 'too-large', 'unsupported-media-type', 'key-reused', 'overloaded', 'unavailable', 'outcome-unknown'] as const;

/** `POST /topics/{topic}`, one message; and `POST /messages`, many at once. */
export function publishRoutes(app: App, service: Service): void {
  const { config } = service;
  const onRequest = (request: FastifyRequest, _reply: FastifyReply, done: (error?: Error) => void): void => done(contentProblem(request.headers));

  app.post('/topics/:topic', {
    onRequest,
    bodyLimit: config.MESSAGE_BYTES,
    schema: {
      tags: ['publish'], summary: 'Publish a message', params: TopicPath, querystring: MessageQuery, headers: MessageHeaders,
      body: { content: { 'application/json': { schema: Type.Unknown() }, 'text/plain': { schema: Type.String() } } },
      response: { 201: json('It is stored, durably.', StoredMessage), ...problems('invalid-request', 'invalid-topic', 'invalid-event', 'invalid-data', 'invalid-ttl', 'invalid-key', ...FAILURES) },
    },
  }, async (request, reply) => {
    const topic = checkTopic(request.params.topic);
    const event = readEvent(request.query.event, request.headers['tidings-event'], config.EVENT_BYTES);
    const ttl = parseTtl(request.headers.ttl);
    const body = bodyOf(request);
    const isJson = mediaType(request.headers) === 'application/json';
    const key = readKey(request, service, { kind: isJson ? 'json' : 'text', topic, event, ttl, body });
    (isJson ? checkJson : checkText)(body);
    const draft: Draft = { topic, event, json: isJson, data: body, ttl };
    const receipt = await service.publisher.publish([draft], key);
    const id = formatId(receipt.epoch, receipt.first);
    request.log.debug({ topic, id, bytes: body.length, replayed: receipt.replayed }, 'published');
    return reply.headers({ location: `/messages/${id}` }).send(answer(reply, receipt, `${describe({ ...draft, time: receipt.time }, id)}}`));
  });

  app.post('/messages', {
    onRequest,
    bodyLimit: config.BATCH_BYTES,
    schema: {
      tags: ['publish'], summary: 'Publish many messages, all or none', headers: Headers,
      body: { content: {
        'application/json': { schema: Type.Array(BatchMessage, { minItems: 1, maxItems: config.BATCH_MESSAGES }) },
        'application/x-ndjson': { schema: BatchMessage },
      } },
      response: { 201: json('All are stored, durably, in this order.', Type.Object({ messages: Type.Array(StoredMessage) })), ...problems('invalid-batch', 'invalid-topic', 'invalid-event', 'invalid-data', 'invalid-ttl', 'invalid-key', ...FAILURES) },
    },
  }, async (request, reply) => {
    const format = batchFormat(mediaType(request.headers));
    const body = bodyOf(request);
    const key = readKey(request, service, { kind: format, body });
    const drafts = await parseBatch(body, format, { messages: config.BATCH_MESSAGES, messageBytes: config.MESSAGE_BYTES, eventBytes: config.EVENT_BYTES });
    const receipt = await service.publisher.publish(drafts, key);
    request.log.debug({ messages: drafts.length, id: formatId(receipt.epoch, receipt.first), bytes: body.length, replayed: receipt.replayed }, 'published');
    const stored = drafts.map((draft, index) => `${describe({ ...draft, time: receipt.time }, formatId(receipt.epoch, receipt.first + index))}}`);
    return reply.send(answer(reply, receipt, `{"messages":[${stored.join(',')}]}`));
  });
}

/** As a text, not as bytes: so that Node sends it in one piece with its head. The line ends, for those who read it in a terminal. */
function answer(reply: FastifyReply, { replayed }: Receipt, json: string): string {
  void reply.code(201).type('application/json; charset=utf-8');
  if (replayed) void reply.header('idempotency-replayed', 'true');
  return `${json}\n`;
}

/** What was sent as the body: nothing at all is the empty text. */
function bodyOf({ body }: FastifyRequest): Buffer {
  return Buffer.isBuffer(body) ? body : Buffer.alloc(0);
}

function readEvent(query: string | undefined, header: string | undefined, maxBytes: number): string | undefined {
  // Node reads the bytes of a header as Latin-1, so what is beyond ASCII would be something else than was meant.
  if (header !== undefined && /[^\x20-\x7e]/.test(header)) throw new Problem('invalid-event', 'The event name in a header must be ASCII; in the query it may be any.', { field: 'Tidings-Event' });
  if (query !== undefined && header !== undefined && query !== header) throw new Problem('invalid-event', 'The event name in the query is not the one in the header.', { field: 'event' });
  if (query !== undefined) return checkEvent(query, maxBytes);
  return header === undefined ? undefined : checkEvent(header, maxBytes, 'Tidings-Event');
}

function readKey(request: FastifyRequest, { config }: Service, identity: RequestIdentity): IdempotencyKey | undefined {
  if (request.headers['idempotency-key'] === undefined) return undefined;
  // Two headers of one name arrive joined by a comma, which a key may contain.
  const { rawHeaders } = request.raw;
  const key = parseKey(rawHeaders.filter((_, index) => index % 2 === 1 && rawHeaders[index - 1]!.toLowerCase() === 'idempotency-key'));
  return key === undefined ? undefined : { scope: '', key, fingerprint: fingerprint(identity), window: config.IDEMPOTENCY_SECONDS * 1000 };
}

function batchFormat(type: string): 'array' | 'ndjson' {
  if (type === 'application/json') return 'array';
  if (type === 'application/x-ndjson' || type === 'application/ndjson') return 'ndjson';
  throw new Problem('unsupported-media-type', 'A batch is application/json or application/x-ndjson.', { field: 'Content-Type' });
}
