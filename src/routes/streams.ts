import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Socket } from 'node:net';
import { Type } from 'typebox';
import type { App } from '../http/app.ts';
import { claim, isClaimed, passOver, takeOver } from '../connection.ts';
import type { Start } from '../cursor.ts';
import { Problem } from '../errors.ts';
import type { Reader, StreamOptions } from '../reader.ts';
import type { Service } from '../service.ts';
import type { StartRequest } from '../start.ts';
import { StoreError } from '../store/store.ts';
import type { Filter } from '../topic.ts';
import type { Form } from '../wire.ts';
import { filterFromPath, filterFromQuery, startFromRequest } from './cursor.ts';
import { cursorQuery, PatternPath, problems, topicsQuery } from './schemas.ts';

/** A socket carries its reader, so that one function serves the events of all sockets and none needs a closure. */
const READER = Symbol('reader');

interface StreamSocket extends Socket {
  [READER]?: Reader;
}

/** One topic or pattern, with the data alone; and many, with the message around it. */
const URLS = { one: '/topics/:topic/events', many: '/events' } as const;
const STREAM_URLS: readonly string[] = Object.values(URLS);

const streamQuery = {
  ...cursorQuery,
  control: Type.Optional(Type.String({ enum: ['0', '1'], description: '`0` leaves out the control events, for scripts that read every line of data.' })),
};
const headers = Type.Object({ 'last-event-id': Type.Optional(Type.String({ description: 'What an EventSource sends when it comes back.' })) });
const response = {
  200: { description: 'Events, until the client or the service ends it.', content: { 'text/event-stream': { schema: Type.String() } } },
  ...problems('invalid-request', 'invalid-topic', 'invalid-cursor', 'not-acceptable'),
};

const HEADERS = {
  'content-type': 'text/event-stream',
  // no-transform: a proxy that compresses would hold events back.
  'cache-control': 'no-cache, no-transform',
  'x-accel-buffering': 'no',
} as const;

/** `GET /topics/{topic-or-pattern}/events` and `GET /events?topic=…`: Server-Sent Events. */
export function streamRoutes(app: App, service: Service): void {
  const { config, streams } = service;

  function drained(this: StreamSocket): void {
    streams.drained(this[READER]!);
  }
  function closed(this: StreamSocket): void {
    const reader = this[READER]!;
    streams.closed(reader);
    service.log.debug({ at: reader.position().seq }, 'stream closed');
  }

  async function stream(request: FastifyRequest, reply: FastifyReply, filter: Filter, form: Form): Promise<void> {
    const wanted = startFromRequest(request);
    const control = readControl(request);
    void reply.headers(HEADERS);
    if (request.method === 'HEAD') {
      void reply.send();
      return;
    }
    const start = streams.isFull ? undefined : await resolve(wanted);
    // From here on the response is not the framework's; a client that has left meanwhile gets nothing.
    reply.hijack();
    if (reply.raw.destroyed) return;
    reply.sse.keepAlive();
    if (request.raw.httpVersionMinor !== 0) void reply.header('connection', 'keep-alive');
    reply.sse.sendHeaders();
    takeOver(reply.raw, (socket) => begin(socket, filter, { form, control, chunked: reply.raw.chunkedEncoding }, wanted, start));
  }

  /** undefined where the log cannot be asked. */
  async function resolve(wanted: StartRequest): Promise<Start | undefined> {
    if (!service.starts.isReady) return undefined;
    try {
      return await service.starts.resolve(wanted);
    } catch (error) {
      if (error instanceof StoreError) return undefined;
      throw error;
    }
  }

  function begin(socket: StreamSocket, filter: Filter, options: StreamOptions, wanted: StartRequest, start: Start | undefined): void {
    // Asked again: others were opened since.
    if (start === undefined || streams.isFull) {
      streams.refuse(options, socket);
      return;
    }
    const reader = streams.start(filter, options, socket, start);
    socket[READER] = reader;
    socket.on('drain', drained);
    socket.once('close', closed);
    service.log.debug({ topics: filter.key, at: start.at.seq, start: wanted.kind, gap: start.gap?.reason }, 'stream opened');
  }

  // Runs in the turn in which a request's head is parsed, before what is pipelined behind it.
  app.addHook('onRequest', (request, reply, done) => {
    const { socket } = request.raw;
    const isStream = request.method === 'GET' && request.routeOptions.url !== undefined && STREAM_URLS.includes(request.routeOptions.url);
    if (isStream ? !claim(socket) : isClaimed(socket)) {
      reply.hijack();
      passOver(socket);
      return;
    }
    // Should it be refused, whatever stands behind it was not carried out: the client shall see that by the end of the connection.
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
    handler: (request, reply) => stream(request, reply, filterFromPath(request), 'data'),
  });
  app.route({
    ...common, method: [...common.method], url: URLS.many,
    schema: {
      tags: ['stream'], summary: 'Stream many topics and patterns: each event is a message as JSON',
      querystring: Type.Object({ ...topicsQuery(config.TOPICS_PER_STREAM), ...streamQuery }), headers, response,
    },
    handler: (request, reply) => stream(request, reply, filterFromQuery(request, config.TOPICS_PER_STREAM), 'object'),
  });
}

/** `?control=0` leaves the control events out, for scripts that read every line of data. */
function readControl(request: FastifyRequest): boolean {
  return (request.query as { control?: '0' | '1' }).control !== '0';
}
