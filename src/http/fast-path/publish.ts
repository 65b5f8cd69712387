import type { Draft } from '../../model/message.ts';
import { ownCopy } from '../../runtime/memory.ts';
import type { IdempotencyKey } from '../../store/store.ts';
import { contentProblem } from '../input/content-headers.ts';
import { readPublish } from '../input/publish-request.ts';
import { isForeignPage, originHeaders } from '../origin.ts';
import { problemOf } from '../output/problem-response.ts';
import { PUBLISHED_TYPE, REPLAYED_HEADERS } from '../output/published.ts';
import { publishOne } from '../publish-one.ts';
import type { Service } from '../service.ts';
import type { FastPathConnection, FastPathHandler } from './connections.ts';
import { problemResponse, type Response } from './response.ts';

/** A media type that needs no second look. */
const PLAIN_TYPE = /^[a-z]+\/[a-z0-9.+-]+(?:; ?charset=utf-8)?$/i;

/** `POST /topics/{topic}`, where there is nothing to refuse: the same as the route in routes/publish.ts. */
export function fastPublish(service: Service, requestId: () => string): FastPathHandler {
  const { config } = service;

  async function publish(draft: Draft, key: IdempotencyKey | undefined, connection: FastPathConnection, common: Readonly<Record<string, string>>): Promise<void> {
    let response: Response;
    try {
      const { location, json, replayed } = await publishOne(service, draft, key, requestId);
      response = { status: 201, headers: { 'content-type': PUBLISHED_TYPE, location, ...(replayed ? REPLAYED_HEADERS : {}), ...common }, body: json };
    } catch (error) {
      response = problemResponse(problemOf(error, service.logger, requestId), common);
    }
    connection.answer(response, service.draining);
  }

  return ({ path, query, headers, body }, connection) => {
    const [collection, topic] = path;
    if (collection !== 'topics' || topic === undefined || path.length !== 2) return false;
    // An empty type is declined too: Fastify refuses it.
    if (headers['content-type'] !== undefined && !PLAIN_TYPE.test(headers['content-type'])) return false;
    if (body.length > config.MESSAGE_BYTES || Array.isArray(query.event) || isForeignPage(headers, config.CORS_ORIGINS) || contentProblem(headers) !== undefined) return false;
    const key = headers['idempotency-key'];
    const given = readPublish({ topic, event: query.event as string | undefined, headers, keys: key === undefined ? undefined : [String(key)], body }, config);
    // The bytes that were read hold the head too. A copy keeps the head out of memory for as long as the message is there.
    void publish({ ...given.draft, data: ownCopy(body) }, given.key, connection, originHeaders(headers.origin, config.CORS_ORIGINS));
    return true;
  };
}
