import type { FastifyReply, FastifyRequest } from 'fastify';
import type { IncomingHttpHeaders } from 'node:http';
import { Type } from 'typebox';
import { describe, type Draft } from '../../model/message.ts';
import { formatId } from '../../model/position.ts';
import { Problem } from '../../model/problem.ts';
import { checkTopic } from '../../model/topic.ts';
import { ownCopy, ownText } from '../../runtime/memory.ts';
import type { IdempotencyKey } from '../../store/store.ts';
import type { DirectConnection } from '../fast-path/connections.ts';
import type { PlainRequest } from '../fast-path/plain-request.ts';
import { problemResponse, type Response } from '../fast-path/response.ts';
import { BatchMessage, parseBatch } from '../input/batch-body.ts';
import { contentProblem, mediaType } from '../input/content-headers.ts';
import { fingerprint, parseKey, type RequestIdentity } from '../input/idempotency-key.ts';
import { checkEvent, checkJson, checkText, parseTtl } from '../input/message-fields.ts';
import { isForeignPage, originHeaders } from '../origin.ts';
import { problemOf } from '../output/problem-response.ts';
import type { App, Service } from '../service.ts';
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
    const { draft, key } = readPublish({ topic: request.params.topic, event: request.query.event, headers: request.headers, keys: keyHeaders(request), body: bodyOf(request) }, config);
    const { location, json: text, replayed } = await store(service, draft, key, () => request.id);
    return reply.header('location', location).send(answer(reply, replayed, text));
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
    refuseHeadersOfOne(request.headers);
    const body = bodyOf(request);
    const key = readKey(keyHeaders(request), config, { kind: format, body });
    const drafts = await parseBatch(body, format, { messages: config.BATCH_MESSAGES, messageBytes: config.MESSAGE_BYTES, eventBytes: config.EVENT_BYTES });
    const receipt = await service.publisher.publish(drafts, key);
    request.log.debug({ messages: drafts.length, id: formatId(receipt.epoch, receipt.first), bytes: body.length, replayed: receipt.replayed }, 'published');
    const stored = drafts.map((draft, index) => `${describe({ ...draft, time: receipt.time }, formatId(receipt.epoch, receipt.first + index))}}`);
    return reply.send(answer(reply, receipt.replayed, `{"messages":[${stored.join(',')}]}\n`));
  });
}

/** A media type that needs no second look. */
const PLAIN_TYPE = /^[a-z]+\/[a-z0-9.+-]+(?:; ?charset=utf-8)?$/i;

/** `POST /topics/{topic}` on the short way (direct/connections.ts): the same, where there is nothing to refuse. */
export function directPublish(service: Service, requestId: () => string): (request: PlainRequest, connection: DirectConnection) => boolean {
  const { config } = service;

  async function publish(draft: Draft, key: IdempotencyKey | undefined, connection: DirectConnection, common: Readonly<Record<string, string>>): Promise<void> {
    let response: Response;
    try {
      const { location, json: body, replayed } = await store(service, draft, key, requestId);
      response = { status: 201, headers: { 'content-type': JSON_TYPE, location, ...(replayed ? REPLAYED : {}), ...common }, body };
    } catch (error) {
      response = problemResponse(problemOf(error, service.logger, requestId), common);
    }
    connection.answer(response, service.draining);
  }

  return ({ path, query, headers, body }, connection) => {
    const [collection, topic] = path;
    if (collection !== 'topics' || topic === undefined || path.length !== 2) return false;
    // An empty one is none, for which there is an answer elsewhere.
    if (headers['content-type'] !== undefined && !PLAIN_TYPE.test(headers['content-type'])) return false;
    if (body.length > config.MESSAGE_BYTES || Array.isArray(query.event) || isForeignPage(headers, config.CORS_ORIGINS) || contentProblem(headers) !== undefined) return false;
    const key = headers['idempotency-key'];
    const given = readPublish({ topic, event: query.event as string | undefined, headers, keys: key === undefined ? undefined : [String(key)], body }, config);
    // In memory of its own: what was read holds the head too, and would hold it for as long as the message is in memory.
    void publish({ ...given.draft, data: ownCopy(body) }, given.key, connection, originHeaders(headers.origin, config.CORS_ORIGINS));
    return true;
  };
}

/** What the parts of a request say that publishes one message. */
interface Given {
  readonly topic: string;
  readonly event: string | undefined;
  readonly headers: IncomingHttpHeaders;
  /** What each `Idempotency-Key` header says. */
  readonly keys: readonly string[] | undefined;
  readonly body: Buffer;
}

interface Publish {
  readonly draft: Draft;
  readonly key: IdempotencyKey | undefined;
}

function readPublish({ topic: name, event: queried, headers, keys, body }: Given, config: Service['config']): Publish {
  const topic = ownText(checkTopic(name));
  const named = readEvent(queried, headers['tidings-event'] as string | undefined, config.EVENT_BYTES);
  const event = named && ownText(named);
  const ttl = parseTtl(headers.ttl as string | undefined);
  const isJson = mediaType(headers) === 'application/json';
  const key = readKey(keys, config, { kind: isJson ? 'json' : 'text', topic, event, ttl, body });
  (isJson ? checkJson : checkText)(body);
  return { draft: { topic, event, json: isJson, data: body, ttl }, key };
}

async function store({ publisher, logger }: Service, draft: Draft, key: IdempotencyKey | undefined, requestId: () => string): Promise<{ location: string; json: string; replayed: boolean }> {
  const { epoch, first, time, replayed } = await publisher.publish([draft], key);
  const id = formatId(epoch, first);
  if (logger.isLevelEnabled('debug')) logger.debug({ request: requestId(), topic: draft.topic, id, bytes: draft.data.length, replayed }, 'published');
  return { location: `/messages/${id}`, json: `${describe({ ...draft, time }, id)}}\n`, replayed };
}

const JSON_TYPE = 'application/json; charset=utf-8';
const REPLAYED = { 'idempotency-replayed': 'true' } as const;

/** As a text, not as bytes: so that Node sends it in one piece with its head. The line ends, for those who read it in a terminal. */
function answer(reply: FastifyReply, replayed: boolean, text: string): string {
  void reply.code(201).type(JSON_TYPE);
  if (replayed) void reply.headers(REPLAYED);
  return text;
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

/** Two headers of one name arrive joined by a comma, which a key may contain: so they are looked for where they are apart. */
function keyHeaders({ headers, raw: { rawHeaders } }: FastifyRequest): readonly string[] | undefined {
  if (headers['idempotency-key'] === undefined) return undefined;
  return rawHeaders.filter((_, index) => index % 2 === 1 && rawHeaders[index - 1]!.toLowerCase() === 'idempotency-key');
}

function readKey(values: readonly string[] | undefined, config: Service['config'], identity: RequestIdentity): IdempotencyKey | undefined {
  const key = parseKey(values);
  return key === undefined ? undefined : { scope: '', key, fingerprint: fingerprint(identity), window: config.IDEMPOTENCY_SECONDS * 1000 };
}

/** What would be ignored if it came with a batch, whose messages say it each for itself. */
function refuseHeadersOfOne({ ttl, 'tidings-event': event }: IncomingHttpHeaders): void {
  if (ttl !== undefined) throw new Problem('invalid-ttl', 'A batch takes no TTL header: each message has a member "ttl".', { field: 'TTL' });
  if (event !== undefined) throw new Problem('invalid-event', 'A batch takes no Tidings-Event header: each message has a member "event".', { field: 'Tidings-Event' });
}

function batchFormat(type: string): 'array' | 'ndjson' {
  if (type === 'application/json') return 'array';
  if (type === 'application/x-ndjson' || type === 'application/ndjson') return 'ndjson';
  throw new Problem('unsupported-media-type', 'A batch is application/json or application/x-ndjson.', { field: 'Content-Type' });
}
