import { isInstanceId, readStreamId } from '../../access/leases/stream-handles.ts';
import { FIGURES_EVERY_MS, FIGURES_MAX_ENTRIES } from '../../fleet/figures.ts';
import { LACKING_MAX_STREAMS } from '../../fleet/message-delivery.ts';
import { PAGE_MAX_STREAMS } from '../../fleet/stream-list.ts';
import { FULL_GRANT } from '../../model/grant.ts';
import { parseId } from '../../model/position.ts';
import { Problem } from '../../model/problem.ts';
import { checkWish } from '../../model/topic.ts';
import { ENDPOINTS } from '../admission/endpoints.ts';
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
  member: Type.Optional(Type.String({ description: 'The member that listens, as in `GET /topics/{topic}/presence`; absent if the stream names nobody.' })),
  credential: Type.Optional(Type.String({ description: 'The name of its credential, as in log lines: `key …` or `subject …`; absent without one.' })),
  topics: Type.Array(Type.String(), { description: 'Its topics and patterns.' }),
  moreTopics: Type.Optional(Type.Integer({ description: 'The number of its further topics.' })),
  instance: Type.String(),
  opened: time('When it was opened.'),
  address: Type.Optional(Type.String({ description: 'The address of the client, as a trusted proxy told it.' })),
  client: Type.Optional(Type.String({ description: 'The beginning of its `User-Agent`.' })),
  cursor: Type.String({ description: 'Its position in the log.' }),
  behind: Type.Integer({ description: 'How many numbers of the log it has yet to read; 0 while it is live.' }),
  bytes: Type.Integer({ description: 'Bytes that were written to its connection.' }),
});
const Delivery = Type.Object({
  id: Type.String(),
  topic: Type.String(),
  streams: Type.Integer({ description: 'The streams of all instances that get the messages of its topic now.' }),
  passed: Type.Integer({ description: 'Streams that are at its position or beyond it: they were sent the message, or began later.' }),
  instances: Type.Integer({ description: 'The number of instances that have one of these streams.' }),
  lacking: Type.Array(Type.Object({
    id: Type.String(), instance: Type.String(), member: Type.Optional(Type.String()), credential: Type.Optional(Type.String()),
    lacks: Type.Integer({ description: 'How many numbers of the log it has yet to read up to the message.' }),
  }), { description: `The other streams, the furthest behind first: at most ${LACKING_MAX_STREAMS}.` }),
  more: Type.Boolean({ description: 'Whether further streams lack the message.' }),
  ...whole,
});
const state = {
  id: Type.String(),
  version: Type.String(),
  since: time('When its process began.'),
  status: Type.String({ description: '`ready`, `degraded`, `starting`, `draining` or `unavailable`, as `/readyz` says.' }),
  streams: Type.Integer(),
  publishesPerSecond: Type.Number({ description: 'The rate of the last ten seconds, as for the next two.' }),
  deliveriesPerSecond: Type.Number(),
  loopDelayMs: Type.Integer({ description: 'The longest delay of its event loop.' }),
  position: Type.Integer({ description: 'The last number of the log that its streams may have been sent.' }),
  residentBytes: Type.Integer(),
  heapBytes: Type.Integer(),
  database: Type.String({ description: '`up`, `opening` or `unavailable`.' }),
  bus: Type.String({ description: '`up`, `degraded`, or `local` without Redis.' }),
  host: Type.Optional(Type.String({ description: 'The name of its machine, for one of several workers.' })),
  worker: Type.Optional(Type.Integer({ description: 'The number of the worker.' })),
};
const Instance = Type.Object({ ...state, lag: Type.Integer({ description: 'How many numbers of the log it is behind the furthest instance.' }) });
const column = (description: string) => Type.Array(Type.Number(), { description });
const Figures = Type.Object({
  time: column('Seconds since 1970.'),
  streams: column('Streams open.'),
  publishesPerSecond: column('Of the time since the figure before, as the next two.'),
  deliveriesPerSecond: column('Messages written to streams, once for each stream.'),
  bytesPerSecond: column('Bytes handed to the sockets of streams.'),
  lag: column('How many numbers of the log it knew of that its streams could not have been sent.'),
  readersBehind: column('Streams that read from the log.'),
  loopDelayMs: column('The 99th percentile of the delay of its event loop.'),
  residentBytes: column('Its memory.'),
  errors: column('Answers with a status of 500 or above.'),
}, { description: `Of at most ${FIGURES_MAX_ENTRIES} moments, the oldest first: each list has one number for each moment.` });
const Warning = Type.Object({
  level: Type.String({ description: '`warn`, `error` or `fatal`.' }),
  message: Type.String({ description: 'The sentence of the line in the log.' }),
  time: time('When it was last logged.'),
  first: time('When it was first logged, as far as that is known.'),
  count: Type.Integer({ description: 'How often the sentence came.' }),
  worker: Type.Optional(Type.Literal('supervisor', { description: 'The supervisor of several workers logged it.' })),
});
const InstanceDetail = Type.Object({
  ...state, everySeconds: Type.Integer({ description: 'The time between two figures.' }), figures: Figures,
  warnings: Type.Array(Warning, { description: 'The warnings and errors in its log, the newest first: each sentence once.' }),
});
const Rebalance = Type.Object({
  moving: Type.Integer({ description: 'The number of streams that all instances together send away.' }),
  instances: Type.Array(Type.Object({
    id: Type.String(),
    streams: Type.Integer({ description: 'The number of its streams.' }),
    moving: Type.Integer({ description: 'The number of streams that it sends away.' }),
    off: Type.Optional(Type.Literal(true, { description: 'Its setting REBALANCE is off.' })),
  }), { description: 'All instances, in the order of their ids.' }),
  ...whole,
});

/** `/streams` and `/instances`: all instances, seen and steered from any of them. */
export function fleetRoutes(app: App, service: Service): void {
  const { config, fleet, outlines } = service;

  app.route({
    ...at(ENDPOINTS.listStreams, config),
    schema: {
      tags, summary: 'List the open streams of all instances',
      querystring: Type.Object({
        after: Type.Optional(Type.String({ description: 'The `cursor` of the page before.' })),
        limit: Type.Optional(Type.Integer({ minimum: 1, maximum: PAGE_MAX_STREAMS, description: `How many at most; ${PAGE_DEFAULT_STREAMS} by default.` })),
        member: Type.Optional(Type.String({ description: 'Only streams of this member, by its id.' })),
        credential: Type.Optional(Type.String({ description: 'Only streams of this credential, by its name: `key …` or `subject …`.' })),
        topic: Type.Optional(Type.String({ description: 'Only streams that name this topic or pattern, or get the messages of this topic.' })),
        instance: Type.Optional(Type.String({ description: 'Only streams of this instance.' })),
        behind: flag('`1`: only streams that are behind.'),
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
      return sendJson(reply, await fleet.streams({ after: place, limit, member, credential, topic, instance, isBehind: behind === '1' }, request.admission.holder()));
    },
  });

  app.route({
    ...at(ENDPOINTS.closeStream, config),
    schema: {
      tags, summary: 'Close a stream, on any instance', params: params('The id of a stream.'),
      querystring: Type.Object({ retry: Type.Optional(Type.String({ description: 'The seconds until its client may come back. `never`: the ticket or session that opened it ends. By default the client comes back as after a drain.' })) }),
      response: { 204: { description: 'The stream is closed.' }, ...problems('invalid-request', 'forbidden', 'not-found', 'cross-origin', 'stream-without-identity', 'unavailable', 'outcome-unknown') },
    },
    handler: async (request, reply) => {
      await fleet.close(request.params.id, retryFrom(request.query.retry), actorOf(request), request.admission.holder());
      return reply.code(204).header('cache-control', 'no-store').send();
    },
  });

  app.route({
    ...at(ENDPOINTS.messageDelivery, config),
    schema: {
      tags, summary: 'Which streams a message has reached', params: params('The id of a message.'),
      response: { 200: json('As it is now: nothing is kept of deliveries.', Delivery), ...problems('forbidden', 'message-not-found', 'message-erased', 'overloaded', 'unavailable') },
    },
    handler: async (request, reply) => {
      const { holder } = request.admission;
      const position = parseId(request.params.id);
      // A sender that may see all streams sees their topics, too.
      const message = position === undefined ? undefined : await outlines.outline(FULL_GRANT, position, holder());
      if (message === undefined) throw new Problem('message-not-found', 'There is no message with this id, or not any more.', { field: 'id' });
      if (message.isErased) throw new Problem('message-erased', 'The message was erased.');
      const { topic, seq } = message;
      return sendJson(reply, { id: request.params.id, topic, ...await fleet.delivery({ topic, seq }, holder()) });
    },
  });

  app.route({
    ...at(ENDPOINTS.instances, config),
    schema: {
      tags: ['operations'], summary: 'The state of all instances',
      response: { 200: json('All instances, in the order of their ids.', Type.Object({ instances: Type.Array(Instance), ...whole })), ...problems('forbidden', 'overloaded') },
    },
    handler: async ({ admission: { holder } }, reply) => sendJson(reply, await fleet.instances(holder())),
  });

  app.route({
    ...at(ENDPOINTS.instance, config),
    schema: {
      tags: ['operations'], summary: 'One instance: its state, its last hour, and its warnings', params: params('The id of an instance.'),
      querystring: Type.Object({ after: Type.Optional(Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description: 'Only figures of later moments: the last `time` of the answer before.' })) }),
      response: { 200: json(`A figure for every ${FIGURES_EVERY_MS / 1000} s.`, InstanceDetail), ...problems('invalid-request', 'invalid-cursor', 'forbidden', 'not-found', 'overloaded', 'unavailable') },
    },
    handler: async ({ params: { id }, query: { after = 0 }, admission: { holder } }, reply) => {
      if (!isInstanceId(id)) throw new Problem('not-found', 'This is not the id of an instance; GET /instances lists those there are.', { field: 'id' });
      return sendJson(reply, await fleet.instance(id, after, holder()));
    },
  });

  app.route({
    ...at(ENDPOINTS.rebalance, config),
    schema: {
      tags, summary: 'Share streams out evenly among all instances, now',
      response: { 202: json('Each instance with more than its share has begun to send streams away.', Rebalance), ...problems('forbidden', 'cross-origin', 'overloaded', 'rebalance-off') },
    },
    handler: async (request, reply) => {
      return sendJson(reply.code(202), await fleet.rebalance(actorOf(request), request.admission.holder()));
    },
  });

  app.route({
    ...at(ENDPOINTS.drainInstance, config),
    schema: {
      tags, summary: 'End an instance, as SIGTERM does', params: params('The id of an instance.'),
      response: { 202: json('It has begun to drain.', Type.Object({ id: Type.String(), status: Type.Literal('draining') })), ...problems('forbidden', 'not-found', 'cross-origin', 'outcome-unknown') },
    },
    handler: async (request, reply) => {
      const { id } = request.params;
      await fleet.drain(id, actorOf(request), request.admission.holder());
      return sendJson(reply.code(202), { id, status: 'draining' });
    },
  });
}
