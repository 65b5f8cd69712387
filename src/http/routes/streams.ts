import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { Form } from '../../delivery/sse.ts';
import { Problem } from '../../model/problem.ts';
import type { Filter } from '../../model/topic.ts';
import { EVENT_STREAM_HEADERS, EventStream, resolveStart } from '../event-stream.ts';
import { CONTROL_VALUES, wantsControl } from '../input/control-query.ts';
import { startFromRequest } from '../input/last-event-id.ts';
import { filterFromPath, filterFromQuery } from '../input/topic-filter.ts';
import type { App, Service } from '../service.ts';
import { own } from '../socket-owner.ts';
import { claim, isClaimed, passOver, takeOver } from '../takeover.ts';
import { cursorQuery, PatternPath, problems, topicsQuery } from './schemas.ts';

/** One topic or pattern, with the data alone; and many, with the message around it. */
const URLS = { one: '/topics/:topic/events', many: '/events' } as const;
const STREAM_URLS: readonly string[] = Object.values(URLS);

const streamQuery = {
  ...cursorQuery,
  control: Type.Optional(Type.String({ enum: [...CONTROL_VALUES], description: '`0` leaves out the control events, for scripts that read every line of data.' })),
};
const headers = Type.Object({ 'last-event-id': Type.Optional(Type.String({ description: 'What an EventSource sends when it comes back.' })) });
const response = {
  200: { description: 'Events, until the client or the service ends it.', content: { 'text/event-stream': { schema: Type.String() } } },
  ...problems('invalid-request', 'invalid-topic', 'invalid-cursor', 'not-acceptable'),
};

/** `GET /topics/{topic-or-pattern}/events` and `GET /events?topic=…`: Server-Sent Events. */
export function streamRoutes(app: App, service: Service): void {
  const { config, streams } = service;

  async function stream(request: FastifyRequest, reply: FastifyReply, filter: Filter, form: Form): Promise<void> {
    const wanted = startFromRequest(request);
    const control = wantsControl(request.query);
    void reply.headers(EVENT_STREAM_HEADERS);
    if (request.method === 'HEAD') {
      void reply.send();
      return;
    }
    const start = streams.isFull ? undefined : await resolveStart(service, wanted);
    // From here on the response is not the framework's; a client that has left meanwhile gets nothing.
    reply.hijack();
    if (reply.raw.destroyed) return;
    reply.sse.keepAlive();
    if (request.raw.httpVersionMinor !== 0) void reply.header('connection', 'keep-alive');
    reply.sse.sendHeaders();
    takeOver(reply.raw, (socket) => {
      const stream = new EventStream(socket, service);
      own(socket, stream);
      stream.begin(filter, { form, control, chunked: reply.raw.chunkedEncoding }, wanted, start);
    });
  }

  // Runs in the turn in which a request's head is parsed, before anything that is pipelined after it.
  app.addHook('onRequest', (request, reply, done) => {
    const { socket } = request.raw;
    const isStream = request.method === 'GET' && request.routeOptions.url !== undefined && STREAM_URLS.includes(request.routeOptions.url);
    if (isStream ? !claim(socket) : isClaimed(socket)) {
      reply.hijack();
      passOver(socket);
      return;
    }
    // If it is refused, requests that were sent after it were not carried out: the end of the connection tells the client so.
    if (isStream) void reply.header('connection', 'close');
    done();
  });

  const common = {
    method: ['GET', 'HEAD'],
    sse: { kind: 'only', heartbeat: false },
    // The one answer that the plugin gives by itself: here it looks like every other refusal.
    preSerialization: (_request: FastifyRequest, reply: FastifyReply, _payload: unknown, done: (error: Error | null) => void): void => {
      done(reply.statusCode === 406 ? new Problem('not-acceptable', 'This is a stream of text/event-stream, which Accept refuses.', { field: 'Accept' }) : null);
    },
  } as const;
  app.route({
    ...common, method: [...common.method], url: URLS.one,
    schema: {
      tags: ['stream'], summary: 'Stream a topic or pattern: each event is the data of a message', params: PatternPath,
      querystring: Type.Object(streamQuery), headers, response,
    },
    handler: (request, reply) => stream(request, reply, filterFromPath(request.params.topic), 'data'),
  });
  app.route({
    ...common, method: [...common.method], url: URLS.many,
    schema: {
      tags: ['stream'], summary: 'Stream many topics and patterns: each event is a message as JSON',
      querystring: Type.Object({ ...topicsQuery(config.TOPICS_PER_STREAM), ...streamQuery }), headers, response,
    },
    handler: (request, reply) => stream(request, reply, filterFromQuery(request.query, config.TOPICS_PER_STREAM), 'object'),
  });
}
