import type { FastifyReply, FastifyRequest } from 'fastify';
import type { LeaseUser } from '../../access/leases/lease.ts';
import { LONG_POLL_MAX_SECONDS, type HistoryPage } from '../../delivery/long-polls.ts';
import { FREE_PLACE, type Place } from '../../limits/stream-places.ts';
import { unavailable } from '../../log/history/history-pages.ts';
import type { StartRequest } from '../../log/history/start-position.ts';
import { readProblem } from '../../model/grant.ts';
import { toJson } from '../../model/message.ts';
import { formatId, parseId } from '../../model/position.ts';
import { Problem } from '../../model/problem.ts';
import type { Filter } from '../../model/topic.ts';
import { Hold } from '../../runtime/sharing/budget.ts';
import { ENDPOINTS } from '../admission/endpoints.ts';
import type { HttpMemory } from '../http-memory.ts';
import { limitedSender } from '../admission/limited-sender.ts';
import { Type } from '../input/json-schema.ts';
import { startFromRequest, untilFromRequest } from '../input/last-event-id.ts';
import { filterFromPath, filterFromQuery } from '../input/topic-filter.ts';
import type { App, Service } from '../service.ts';
import { at, cursorQuery, FullMessage, Gap, json, PatternPath, problems, Tombstone, topicsQuery } from './schemas.ts';

/** Stops one page from taking much memory and a long read. */
const PAGE_MAX_MESSAGES = 1000;
const PAGE_DEFAULT_MESSAGES = 100;

const pageQuery = {
  ...cursorQuery,
  until: Type.Optional(Type.String({ description: 'An id or cursor: the last position to read. The request then does not wait.' })),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: PAGE_MAX_MESSAGES, description: `The most messages of a page; by default ${PAGE_DEFAULT_MESSAGES}, or the value of \`last\`.` })),
  wait: Type.Optional(Type.Integer({ minimum: 0, maximum: LONG_POLL_MAX_SECONDS, description: 'Seconds to wait for a message if the page is empty.' })),
};
const Page = Type.Object({
  messages: Type.Array(Type.Union([FullMessage, Tombstone])),
  cursor: Type.String({ description: 'The value of `after` for the next request.' }),
  more: Type.Boolean(),
  gap: Type.Optional(Gap),
});

/** The `cursor` of the answer, for pages that are rendered from it by a program that does not read it. */
const headers = { 'tidings-cursor': { type: 'string', description: 'The same as `cursor`.' } };

const response = { 200: { ...json('Oldest first.', Page), headers }, ...problems('invalid-request', 'invalid-topic', 'invalid-cursor', 'forbidden', 'overloaded', 'unavailable') };

/** `GET /topics/{topic-or-pattern}/messages`, `GET /messages?topic=…`, and `GET /messages/{id}`. */
export function historyRoutes(app: App, service: Service, { answers, pages }: HttpMemory): void {
  const { config, history, leases, limits, starts } = service;

  function answer(reply: FastifyReply, body: Buffer): FastifyReply {
    return reply.type('application/json').header('cache-control', 'no-store').send(body);
  }

  /** A long poll counts like a stream. Its client comes back by itself, as it does where the instance has no room. */
  async function placeOf({ admission: { identity, clientAddress } }: FastifyRequest): Promise<Place> {
    const sender = limitedSender(identity, clientAddress);
    const place = sender === undefined ? FREE_PLACE : await limits.stream(sender);
    if (place === undefined) throw new Problem('overloaded', 'Too many streams and long polls of this sender are open.');
    return place;
  }

  async function page(request: FastifyRequest, reply: FastifyReply, filter: Filter): Promise<FastifyReply> {
    const { limit, wait = 0 } = request.query as { readonly limit?: number; readonly wait?: number };
    const start = startFromRequest(request, 'start');
    const until = untilFromRequest(request);
    const { identity } = request.admission;
    let isCut = false;
    const refuseEnded = (): void => {
      if (isCut || !leases.mayHold(identity, filter)) throw new Problem(identity.name === undefined ? 'unauthorized' : 'invalid-credential', 'The credential has ended while the request waited.', { field: 'Authorization' });
    };
    refuseEnded();
    const left = new AbortController();
    const leave = (): void => left.abort();
    const { socket } = request.raw;
    // A client that closes only its side looks like one that is gone, so it must not keep a place. It gets at once what there is.
    socket.once('end', leave);
    reply.raw.once('close', leave);
    const seconds = request.method === 'HEAD' || socket.readableEnded ? 0 : wait;
    const holder: LeaseUser = { filter, warn: () => undefined, cut: () => {
      isCut = true;
      leave();
    } };
    const lease = leases.hold(identity, holder);
    let place = FREE_PLACE;
    const hold = (request.answerHold = new Hold(answers, request.admission.holder()));
    let found: HistoryPage;
    try {
      if (seconds > 0) place = await placeOf(request);
      found = await history.page({ grant: identity.grant, filter, start, until, limit: pageLimit(start, limit), wait: seconds * 1000, signal: left.signal, hold, hasLeft: () => socket.destroyed, holder: request.admission.holder() });
    } finally {
      place.release();
      if (lease !== undefined) leases.release(lease, holder);
      reply.raw.off('close', leave);
      socket.off('end', leave);
    }
    const body = await pages.assemble(found, hold, () => socket.destroyed);
    refuseEnded();
    return answer(reply.header('tidings-cursor', found.cursor), body);
  }

  app.route({
    ...at(ENDPOINTS.topicHistory, config),
    schema: { tags: ['history'], summary: 'Read a topic or pattern', params: PatternPath, querystring: Type.Object(pageQuery), response },
    handler: (request, reply) => page(request, reply, filterFromPath(request.params.topic, request.query)),
  });
  app.route({
    ...at(ENDPOINTS.history, config),
    schema: { tags: ['history'], summary: 'Read many topics and patterns', querystring: Type.Object({ ...topicsQuery(config.TOPICS_PER_STREAM), ...pageQuery }), response },
    handler: (request, reply) => page(request, reply, filterFromQuery(request.query, config.TOPICS_PER_STREAM)),
  });
  app.route({
    ...at(ENDPOINTS.cursor, config),
    schema: {
      tags: ['history'], summary: 'The position at which the log ends: later messages come after it', querystring: Type.Object({ ...topicsQuery(config.TOPICS_PER_STREAM), pattern: cursorQuery.pattern }),
      response: { 200: json('The position.', Type.Object({ cursor: Type.String({ description: 'The value of `after` for a stream or a page of history.' }) })), ...problems('invalid-request', 'invalid-topic', 'forbidden', 'overloaded', 'unavailable') },
    },
    handler: async (request, reply) => {
      const filter = filterFromQuery(request.query, config.TOPICS_PER_STREAM);
      const forbidden = readProblem(request.admission.identity.grant, filter);
      if (forbidden !== undefined) throw forbidden;
      const { at: end } = await starts.resolve({ kind: 'last', count: 0 }, { filter, hasLeft: () => request.raw.socket.destroyed, holder: () => request.admission.holder() }).catch((error: unknown) => {
        throw unavailable(error);
      });
      const cursor = formatId(end.epoch, end.seq);
      return reply.header('cache-control', 'no-store').header('tidings-cursor', cursor).send({ cursor });
    },
  });
  app.route({
    ...at(ENDPOINTS.message, config),
    schema: {
      tags: ['history'], summary: 'Read one message', params: Type.Object({ id: Type.String() }),
      response: { 200: json('The message.', FullMessage), ...problems('message-not-found', 'message-erased', 'overloaded', 'unavailable') },
    },
    handler: async (request, reply) => {
      const position = parseId(request.params.id);
      const message = position === undefined ? undefined : await history.message(request.admission.identity.grant, position, request.admission.holder());
      if (message === undefined) throw new Problem('message-not-found', 'There is no message with this id, or not any more.');
      if (message.isErased) throw new Problem('message-erased', 'The message was erased.');
      return answer(reply, Buffer.concat([toJson(message), NEW_LINE]));
    },
  });
}

/** The newest messages come in one page, unless the client wants smaller ones. */
function pageLimit(start: StartRequest, limit: number | undefined): number {
  const newest = start.kind === 'last' && start.count > 0 ? start.count : undefined;
  return Math.min(limit ?? newest ?? PAGE_DEFAULT_MESSAGES, newest ?? PAGE_MAX_MESSAGES);
}

/** For people who read it in a terminal. */
const NEW_LINE = Buffer.from('\n');
