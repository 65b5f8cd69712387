import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Socket } from 'node:net';
import type { NamedForm } from '../../delivery/frames/sse.ts';
import { Problem } from '../../model/problem.ts';
import type { Filter } from '../../model/topic.ts';
import { ENDPOINTS } from '../admission/endpoints.ts';
import { EVENT_STREAM_HEADERS, EventStream, resolveStart, streamProblem } from '../event-stream.ts';
import { Type } from '../input/json-schema.ts';
import { bringsPosition, startFromRequest } from '../input/last-event-id.ts';
import { formOf, isOn, wantsPresence } from '../input/stream-switches.ts';
import { filterFromPath, filterFromQuery } from '../input/topic-filter.ts';
import { streamHead } from '../output/response-head.ts';
import type { App, Service } from '../service.ts';
import { own } from '../sockets/socket-owner.ts';
import { streamFraming } from '../stream-framing.ts';
import { takeOver } from '../sockets/takeover.ts';
import { upgradeOf } from '../websocket/websocket.ts';
import { at, cursorQuery, flag, PatternPath, problems, topicsQuery } from './schemas.ts';

const streamQuery = {
  ...cursorQuery,
  control: flag('`0` leaves out the control events, for scripts that read every line of data.'),
  as: Type.Optional(Type.String({ description: 'The member that listens, without access control; otherwise the credential names it.' })),
  meta: Type.Optional(Type.String({ description: 'Shown to others with the member that listens: JSON, at most 1 KiB.' })),
  ticket: Type.Optional(Type.String({ description: 'A ticket of `POST /tickets`, for pages that can send no other credential.' })),
  presence: flag('`1` tells who listens to its topics, in `$presence` events; takes the grant `presence`.'),
  names: flag('`0` leaves out the names of events: a page gets every message in `onmessage`.'),
};
const description = 'With `Upgrade: websocket` (RFC 6455) it is the same stream as a WebSocket: the answer is 101, and each message a text frame, the message as JSON. The `Origin` of such a request must be the service\'s own, or one of `CORS_ORIGINS`.';
const headers = Type.Object({ 'last-event-id': Type.Optional(Type.String({ description: 'The id that an EventSource sends when it comes back.' })) });
const response = {
  204: { description: 'An administrator ended the stream of this ticket or session for good: the client must not come back.' },
  200: { description: 'Events, until the client or the service ends it.', content: { 'text/event-stream': { schema: Type.String() } } },
  ...problems('invalid-request', 'invalid-topic', 'invalid-cursor', 'forbidden', 'not-acceptable'),
};

/** `GET /topics/{topic-or-pattern}/events` and `GET /events?topic=…`: Server-Sent Events, or a WebSocket. */
export function streamRoutes(app: App, service: Service): void {
  const { config } = service;

  async function stream(request: FastifyRequest, reply: FastifyReply, filter: Filter, form: NamedForm): Promise<void> {
    const wanted = startFromRequest(request);
    const control = isOn(request.query, 'control');
    const presence = wantsPresence(request.query);
    if (request.method === 'HEAD') {
      if (request.admission.outcome.kind === 'busy') throw new Problem('unavailable', 'No stream can begin now.');
      const forbidden = streamProblem(request.admission.identity.grant, filter, presence);
      if (forbidden !== undefined) throw forbidden;
      void reply.headers(EVENT_STREAM_HEADERS).send();
      return;
    }
    const { admission } = request;
    const upgrade = upgradeOf(request.raw);
    const start = await resolveStart(service, admission, wanted, { filter, hasLeft: () => request.raw.socket.destroyed, control, presence, bringsPosition: bringsPosition(request) });
    if (upgrade !== undefined) {
      reply.hijack();
      const options = { form: 'websocket', control, presence, chunked: false, lastChunk: false } as const;
      upgrade.begin({ admission, filter, options, wanted, agent: request.headers['user-agent'], start, takesPatterns: isOn(request.query, 'pattern') });
      return;
    }
    // The client may leave before the stream begins.
    if (typeof start !== 'string') onceClosed(request.raw.socket, () => start.place.release());
    // From here on the response is not the framework's; a client that has left meanwhile gets nothing.
    reply.hijack();
    reply.sse.keepAlive();
    const framing = streamFraming(request.raw);
    const head = streamHead({ ...EVENT_STREAM_HEADERS, ...admission.headers }, framing, reply.raw.shouldKeepAlive);
    takeOver(reply.raw, (socket) => {
      const stream = new EventStream(socket, service);
      own(socket, stream);
      stream.begin({ admission, head, filter, options: { form: formOf(request.query, form), control, presence, ...framing }, wanted, agent: request.headers['user-agent'], start });
    });
  }

  const common = {
    // Admission has settled what the client accepts.
    sse: { kind: 'manual', heartbeat: false },
  } as const;
  app.route({
    ...at(ENDPOINTS.streamTopic, config), ...common,
    schema: {
      tags: ['stream'], summary: 'Stream a topic or pattern: each event is the data of a message', description, params: PatternPath,
      querystring: Type.Object(streamQuery), headers, response,
    },
    handler: (request, reply) => stream(request, reply, filterFromPath(request.params.topic, request.query), 'data'),
  });
  app.route({
    ...at(ENDPOINTS.streamTopics, config), ...common,
    schema: {
      tags: ['stream'], summary: 'Stream many topics and patterns: each event is a message as JSON', description,
      querystring: Type.Object({ ...topicsQuery(config.TOPICS_PER_STREAM), ...streamQuery }), headers, response,
    },
    handler: (request, reply) => stream(request, reply, filterFromQuery(request.query, config.TOPICS_PER_STREAM), 'object'),
  });
}

/** The takeover lets go of the listener, and calls it as if the connection had ended: then the stream begins. */
function onceClosed(socket: Socket, task: () => void): void {
  if (socket.closed) task();
  else socket.once('close', () => {
    if (socket.destroyed) task();
  });
}
