import { isInstanceId, readStreamId } from '../../access/stream-handles.ts';
import { PAGE_MAX_STREAMS } from '../../fleet/stream-list.ts';
import { Problem } from '../../model/problem.ts';
import { checkWish } from '../../model/topic.ts';
import { ENDPOINTS } from '../endpoints.ts';
import { senderOf } from '../holder.ts';
import { Type } from '../input/json-schema.ts';
import { retryFrom } from '../input/retry.ts';
import type { App, Service } from '../service.ts';
import { actorOf, sendJson } from './answers.ts';
import { at, flag, json, problems, whole } from './schemas.ts';

const PAGE_DEFAULT_STREAMS = 100;

const tags = ['administration'];
const time = (description: string) => Type.String({ format: 'date-time', description });
const params = (description: string) => Type.Object({ id: Type.String({ description }) });
const Stream = Type.Object({
  id: Type.String(),
  member: Type.Optional(Type.String({ description: 'Who is present by it, as in `GET /topics/{topic}/presence`; absent where that is nobody in particular.' })),
  credential: Type.Optional(Type.String({ description: 'The name of its credential, as in log lines: `key …` or `subject …`; absent where it has none.' })),
  topics: Type.Array(Type.String(), { description: 'Its topics and patterns.' }),
  moreTopics: Type.Optional(Type.Integer({ description: 'How many more it has than are shown.' })),
  instance: Type.String(),
  opened: time('When it was opened.'),
  address: Type.Optional(Type.String({ description: 'Of the client, as a trusted proxy told it.' })),
  client: Type.Optional(Type.String({ description: 'The beginning of its `User-Agent`.' })),
  cursor: Type.String({ description: 'Where it is.' }),
  behind: Type.Integer({ description: 'How many numbers of the log it lacks; 0 while it is live.' }),
  bytes: Type.Integer({ description: 'Bytes that were written to its connection.' }),
});
const Instance = Type.Object({
  id: Type.String(),
  version: Type.String(),
  since: time('When its process began.'),
  status: Type.String({ description: '`ready`, `degraded`, `starting`, `draining` or `unavailable`, as `/readyz` says.' }),
  streams: Type.Integer(),
  publishesPerSecond: Type.Number({ description: 'Of the last ten seconds, as the next two.' }),
  deliveriesPerSecond: Type.Number(),
  loopDelayMs: Type.Integer({ description: 'The longest delay of its event loop.' }),
  position: Type.Integer({ description: 'The last number of the log that its streams may have been sent.' }),
  lag: Type.Integer({ description: 'How many numbers it lacks of those that the furthest instance has.' }),
  residentBytes: Type.Integer(),
  heapBytes: Type.Integer(),
  database: Type.String({ description: '`up`, `opening` or `unavailable`.' }),
  bus: Type.String({ description: '`up`, `degraded`, or `local` where there is no Redis.' }),
  host: Type.Optional(Type.String({ description: 'The name of its machine, where it is one of several workers there.' })),
  worker: Type.Optional(Type.Integer({ description: 'Its number among them.' })),
});

/** `/streams` and `/instances`: all instances, seen and steered from any of them. */
export function fleetRoutes(app: App, service: Service): void {
  const { config, fleet } = service;

  app.route({
    ...at(ENDPOINTS.listStreams, config),
    schema: {
      tags, summary: 'List the open streams of all instances',
      querystring: Type.Object({
        after: Type.Optional(Type.String({ description: 'The `cursor` of the page before.' })),
        limit: Type.Optional(Type.Integer({ minimum: 1, maximum: PAGE_MAX_STREAMS, description: `How many at most; ${PAGE_DEFAULT_STREAMS} by default.` })),
        member: Type.Optional(Type.String({ description: 'Only those of this member, by its id.' })),
        credential: Type.Optional(Type.String({ description: 'Only those of this credential, by its name: `key …` or `subject …`.' })),
        topic: Type.Optional(Type.String({ description: 'Only those that have this topic or pattern in their list, or get the messages of this topic.' })),
        instance: Type.Optional(Type.String({ description: 'Only those of this instance.' })),
        behind: flag('`1`: only those that are behind.'),
      }),
      response: {
        200: json('By their instances, then by the order in which they were opened.', Type.Object({ streams: Type.Array(Stream), cursor: Type.Optional(Type.String()), more: Type.Boolean(), ...whole })),
        ...problems('invalid-request', 'invalid-topic', 'forbidden', 'overloaded', 'unavailable'),
      },
    },
    handler: async (request, reply) => {
      const { after, limit = PAGE_DEFAULT_STREAMS, member, credential, topic, instance, behind } = request.query;
      const place = after === undefined ? undefined : readStreamId(after);
      if (after !== undefined && place === undefined) throw new Problem('invalid-request', 'after must be the cursor of a page before.', { field: 'after' });
      if (instance !== undefined && !isInstanceId(instance)) throw new Problem('invalid-request', 'instance must be the id of an instance, as GET /instances lists them.', { field: 'instance' });
      for (const [field, value] of Object.entries({ member, credential })) if (value === '') throw new Problem('invalid-request', `${field} is empty; leave it out for all.`, { field });
      if (topic !== undefined) checkWish(topic);
      const { identity, clientAddress } = request.admission;
      return sendJson(reply, await fleet.streams({ after: place, limit, member, credential, topic, instance, isBehind: behind === '1' }, senderOf(identity, clientAddress)));
    },
  });

  app.route({
    ...at(ENDPOINTS.closeStream, config),
    schema: {
      tags, summary: 'Close a stream, on whichever instance it is', params: params('The id of a stream.'),
      querystring: Type.Object({ retry: Type.Optional(Type.String({ description: 'When its client may come back, in seconds, or `never`, where it was opened by a ticket or session of its own, which ends; by default it is told as at a drain.' })) }),
      response: { 204: { description: 'It is closed.' }, ...problems('invalid-request', 'forbidden', 'not-found', 'cross-origin', 'stream-without-identity', 'unavailable', 'outcome-unknown') },
    },
    handler: async (request, reply) => {
      await fleet.close(request.params.id, retryFrom(request.query.retry), actorOf(request));
      return reply.code(204).header('cache-control', 'no-store').send();
    },
  });

  app.route({
    ...at(ENDPOINTS.instances, config),
    schema: {
      tags: ['operations'], summary: 'How all instances are',
      response: { 200: json('By their ids.', Type.Object({ instances: Type.Array(Instance), ...whole })), ...problems('forbidden', 'overloaded') },
    },
    handler: async ({ admission: { identity, clientAddress } }, reply) => sendJson(reply, await fleet.instances(senderOf(identity, clientAddress))),
  });

  app.route({
    ...at(ENDPOINTS.drainInstance, config),
    schema: {
      tags, summary: 'End an instance, as SIGTERM does', params: params('The id of an instance.'),
      response: { 202: json('It has begun to drain.', Type.Object({ id: Type.String(), status: Type.Literal('draining') })), ...problems('forbidden', 'not-found', 'cross-origin', 'outcome-unknown') },
    },
    handler: async (request, reply) => {
      const { id } = request.params;
      await fleet.drain(id, actorOf(request));
      return sendJson(reply.code(202), { id, status: 'draining' });
    },
  });
}
