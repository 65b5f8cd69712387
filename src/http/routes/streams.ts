import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Socket } from 'node:net';
import { Type } from 'typebox';
import type { Reader, StreamOptions } from '../../delivery/reader.ts';
import type { Form } from '../../delivery/sse.ts';
import type { StartRequest } from '../../log/start.ts';
import type { Start } from '../../model/gap.ts';
import { Problem } from '../../model/problem.ts';
import type { Filter } from '../../model/topic.ts';
import { StoreError } from '../../store/store.ts';
import type { DirectConnection } from '../fast-path/connections.ts';
import type { PlainRequest } from '../fast-path/plain-request.ts';
import { problemResponse, streamHead } from '../fast-path/response.ts';
import { filterFromPath, filterFromQuery, startFromRequest } from '../input/cursor-query.ts';
import { originHeaders } from '../origin.ts';
import { problemOf } from '../output/problem-response.ts';
import type { App, Service } from '../service.ts';
import { own, type Owner } from '../socket-owner.ts';
import { claim, isClaimed, passOver, takeOver } from '../takeover.ts';
import { cursorQuery, PatternPath, problems, topicsQuery } from './schemas.ts';

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

  async function stream(request: FastifyRequest, reply: FastifyReply, filter: Filter, form: Form): Promise<void> {
    const wanted = startFromRequest(request);
    const control = readControl(request.query);
    void reply.headers(HEADERS);
    if (request.method === 'HEAD') {
      void reply.send();
      return;
    }
    const start = streams.isFull ? undefined : await resolve(service, wanted);
    // From here on the response is not the framework's; a client that has left meanwhile gets nothing.
    reply.hijack();
    if (reply.raw.destroyed) return;
    reply.sse.keepAlive();
    if (request.raw.httpVersionMinor !== 0) void reply.header('connection', 'keep-alive');
    reply.sse.sendHeaders();
    takeOver(reply.raw, (socket) => {
      const stream = new Stream(socket, service);
      own(socket, stream);
      stream.begin(filter, { form, control, chunked: reply.raw.chunkedEncoding }, wanted, start);
    });
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

/** What the schema of the query says, of one that is all right. */
const CONTROLS: readonly unknown[] = [undefined, '0', '1'];
/** What browsers and common clients send; other words of `Accept` are weighed by the framework. */
const ACCEPTED: readonly unknown[] = [undefined, 'text/event-stream', '*/*'];

/** Both stream routes on the short way (direct/connections.ts): the same, where there is nothing to refuse. */
export function directStream(service: Service, requestId: () => string): (request: PlainRequest, connection: DirectConnection) => boolean {
  const { config, streams } = service;

  async function open(connection: DirectConnection, filter: Filter, options: StreamOptions, wanted: StartRequest, head: string): Promise<void> {
    const start = streams.isFull ? undefined : await resolve(service, wanted);
    const socket = connection.begin(head);
    if (socket === undefined) return;
    const stream = new Stream(socket, service);
    // What was refused is closed a little later; until then the server can close it too.
    if (stream.begin(filter, options, wanted, start)) connection.give(stream);
  }

  return ({ path, query, headers }, connection) => {
    const one = path.length === 3 && path[0] === 'topics' && path[2] === 'events';
    if (!one && !(path.length === 1 && path[0] === 'events')) return false;
    if (!CONTROLS.includes(query.control) || !ACCEPTED.includes(headers.accept)) return false;
    if (Array.isArray(query.after) || Array.isArray(query.lastEventId) || Array.isArray(query.since)) return false;
    const request = { headers, query, params: { topic: path[1] } };
    const filter = one ? filterFromPath(request) : filterFromQuery(request, config.TOPICS_PER_STREAM);
    const wanted = startFromRequest(request);
    const options = { form: one ? 'data' : 'object', control: readControl(query), chunked: true } as const;
    const common = { ...HEADERS, ...originHeaders(headers.origin, config.CORS_ORIGINS) };
    open(connection, filter, options, wanted, streamHead(common)).catch((error: unknown) => {
      connection.answer(problemResponse(problemOf(error, service.logger, requestId), common), true);
    });
    return true;
  };
}

/** Where a stream begins; undefined where the log cannot be asked. */
async function resolve({ starts }: Service, wanted: StartRequest): Promise<Start | undefined> {
  if (!starts.isReady) return undefined;
  try {
    return await starts.resolve(wanted);
  } catch (error) {
    if (error instanceof StoreError) return undefined;
    throw error;
  }
}

/** A socket and its reader, once there is one: refused streams have none. */
class Stream implements Owner {
  readonly socket: Socket;
  readonly #service: Service;
  #reader: Reader | undefined;

  constructor(socket: Socket, service: Service) {
    this.socket = socket;
    this.#service = service;
  }

  /** Begins behind the head of the response, which was written. False where it was refused, and ends by itself. */
  begin(filter: Filter, options: StreamOptions, wanted: StartRequest, start: Start | undefined): boolean {
    const { streams, logger } = this.#service;
    // Asked again: others were opened since.
    if (start === undefined || streams.isFull) {
      streams.refuse(options, this.socket);
      return false;
    }
    this.#reader = streams.start(filter, options, this.socket, start);
    logger.debug({ topics: filter.key, at: start.at.seq, start: wanted.kind, gap: start.gap?.reason }, 'stream opened');
    return true;
  }

  received(): void {
    // Nothing that a client sends on its stream means anything.
  }

  ended(): void {
    this.socket.destroySoon();
  }

  idle(): void {
    // A stream may be quiet for as long as it likes.
  }

  drained(): void {
    if (this.#reader !== undefined) this.#service.streams.drained(this.#reader);
  }

  closed(): void {
    if (this.#reader === undefined) return;
    this.#service.streams.closed(this.#reader);
    this.#service.logger.debug({ at: this.#reader.position().seq }, 'stream closed');
  }
}

/** `?control=0` leaves the control events out, for scripts that read every line of data. */
function readControl(query: unknown): boolean {
  return (query as { control?: '0' | '1' }).control !== '0';
}
