import type { FastifyReply, FastifyRequest } from 'fastify';
import { presenceProblem } from '../../model/grant.ts';
import { TOPIC_MAX_BYTES, type Filter } from '../../model/topic.ts';
import { MEMBER_MAX_BYTES } from '../../presence/member.ts';
import { PRESENCE_PAGE_MAX_ENTRIES } from '../../presence/place.ts';
import type { Told } from '../../presence/presence.ts';
import { presentText } from '../../presence/present-text.ts';
import { ENDPOINTS } from '../admission/endpoints.ts';
import { Type } from '../input/json-schema.ts';
import { readAfter, readMemberId } from '../input/member-query.ts';
import { filterFromPath, filterFromQuery } from '../input/topic-filter.ts';
import type { App, Service } from '../service.ts';
import { at, flag, json, PatternPath, problems, topicsQuery } from './schemas.ts';

const PAGE_DEFAULT_ENTRIES = 100;

/** The most topics of one question for counts. Stops one question from keeping Redis busy. */
const COUNTED_MAX_ENTRIES = 100;

const tags = ['presence'];
const pattern = flag('`0` takes a topic as it is: one with a wildcard is refused.');
const pageQuery = {
  after: Type.Optional(Type.String({ description: 'The `cursor` of the page before.' })),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: PRESENCE_PAGE_MAX_ENTRIES, description: `How many at most; ${PAGE_DEFAULT_ENTRIES} by default.` })),
};
const present = {
  streams: Type.Integer({ description: '0 while its last stream may come back.' }),
  since: Type.String({ format: 'date-time' }),
  meta: Type.Optional(Type.Unknown({ description: 'The metadata of the member, from its stream or its token.' })),
};
const paged = {
  cursor: Type.Optional(Type.String({ description: 'The value of `after` for the next request.' })),
  more: Type.Boolean(),
};
const partial = { partial: Type.Optional(Type.Literal(true, { description: 'Other instances may have more: they cannot be asked now.' })) };
const streams = Type.Integer({ description: 'All streams that name it, also streams without a member.' });
const TopicPresence = Type.Object({ topic: Type.String(), streams, members: Type.Array(Type.Object({ id: Type.String(), ...present })), ...paged, ...partial });
const Counts = Type.Object({ topics: Type.Array(Type.Object({ topic: Type.String(), streams, members: Type.Integer() })), ...partial });
const MemberPresence = Type.Object({ id: Type.String(), present: Type.Boolean({ description: 'Whether it is on any topic that the request may see.' }), topics: Type.Array(Type.Object({ topic: Type.String(), ...present })), ...paged, ...partial });

/** `GET /topics/{topic-or-pattern}/presence`, `GET /presence?topic=…` and `GET /members/{id}`. */
export function presenceRoutes(app: App, { config, presence }: Service): void {
  function answer(reply: FastifyReply, members: readonly string[], { isPartial }: Pick<Told<unknown>, 'isPartial'>): FastifyReply {
    const body = Buffer.from(`{${[...members, ...(isPartial ? ['"partial":true'] : [])].join(',')}}\n`);
    return reply.type('application/json').header('cache-control', 'no-store').send(body);
  }

  function allowed(request: FastifyRequest, filter: Filter): readonly string[] {
    const forbidden = presenceProblem(request.admission.identity.grant, filter);
    if (forbidden !== undefined) throw forbidden;
    return [...filter.topics, ...filter.patterns];
  }

  app.route({
    ...at(ENDPOINTS.topicPresence, config),
    schema: {
      tags, summary: 'Who listens to a topic or pattern', params: PatternPath, querystring: Type.Object({ ...pageQuery, pattern }),
      response: { 200: json('The members whose streams name it, by the bytes of their ids.', TopicPresence), ...problems('invalid-request', 'invalid-topic', 'forbidden', 'overloaded') },
    },
    handler: async (request, reply) => {
      const { limit = PAGE_DEFAULT_ENTRIES } = request.query;
      const after = readAfter(request.query, MEMBER_MAX_BYTES);
      const [topic = ''] = allowed(request, filterFromPath(request.params.topic, request.query));
      const told = await presence.page(topic, after, limit, request.admission.holder());
      const { streams, members, next } = told.answer;
      return answer(reply, [`"topic":${JSON.stringify(topic)},"streams":${streams},"members":[${members.map((member) => presentText('id', member.id, member)).join(',')}]`, ...pageText(next)], told);
    },
  });

  app.route({
    ...at(ENDPOINTS.presence, config),
    schema: {
      tags, summary: 'How many listen to some topics and patterns', querystring: Type.Object({ ...topicsQuery(COUNTED_MAX_ENTRIES), pattern }),
      response: { 200: json('The counts of each topic and pattern, once.', Counts), ...problems('invalid-request', 'invalid-topic', 'forbidden', 'overloaded') },
    },
    handler: async (request, reply) => {
      const told = await presence.counts(allowed(request, filterFromQuery(request.query, COUNTED_MAX_ENTRIES, 'in one request')), request.admission.holder());
      return answer(reply, [`"topics":${JSON.stringify(told.answer)}`], told);
    },
  });

  app.route({
    ...at(ENDPOINTS.member, config),
    schema: {
      tags, summary: 'Where a member listens', params: Type.Object({ id: Type.String({ description: 'The subject of a token, the name of a key, or the value of `as`, percent-encoded.' }) }), querystring: Type.Object(pageQuery),
      response: { 200: json('Its topics and patterns that the request may see, by the bytes of their names.', MemberPresence), ...problems('invalid-request', 'forbidden', 'overloaded') },
    },
    handler: async (request, reply) => {
      const { limit = PAGE_DEFAULT_ENTRIES } = request.query;
      const after = readAfter(request.query, TOPIC_MAX_BYTES);
      const { identity: { grant }, holder } = request.admission;
      const id = readMemberId(request.params.id);
      const told = await presence.topicsOf(id, after, limit, (topic) => grant.maySeePresence(topic), holder());
      const { topics, next } = told.answer;
      return answer(reply, [`"id":${JSON.stringify(id)},"present":${topics.length > 0},"topics":[${topics.map((one) => presentText('topic', one.topic, one)).join(',')}]`, ...pageText(next)], told);
    },
  });
}

function pageText(next: string | undefined): string[] {
  return [...(next === undefined ? [] : [`"cursor":${JSON.stringify(next)}`]), `"more":${next !== undefined}`];
}
