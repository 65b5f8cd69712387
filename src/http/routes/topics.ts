import { TOPIC_SORTS, type TopicSort } from '../../fleet/topic-list.ts';
import { RATE_WINDOW_MS } from '../../fleet/topic-rates.ts';
import { COUNTED_MAX_MESSAGES, RECENT_MAX_MESSAGES, TOPICS_PAGE_MAX_ENTRIES } from '../../log/history/topic-reads.ts';
import { checkPrefix } from '../../model/topic.ts';
import { ENDPOINTS } from '../admission/endpoints.ts';
import { Type } from '../input/json-schema.ts';
import type { App, Service } from '../service.ts';
import { sendJson } from './answers.ts';
import { at, json, problems, whole } from './schemas.ts';

const Topic = Type.Object({
  topic: Type.String(),
  streams: Type.Integer({ description: 'The streams of all instances that get its messages, by its name or by a pattern.' }),
  messages: Type.Integer({ description: `The messages that the log holds, up to ${COUNTED_MAX_MESSAGES}.` }),
  more: Type.Optional(Type.Literal(true, { description: 'It holds more than were counted.' })),
  bytes: Type.Integer({ description: 'About how much those messages add to the size of the log.' }),
  newest: Type.Optional(Type.String({ description: 'The id of the newest message; absent without one.' })),
  time: Type.Optional(Type.String({ format: 'date-time', description: 'The time of the newest message.' })),
  rate: Type.Optional(Type.Number({ description: 'With `sort=rate`: messages a second.' })),
});

/** `GET /topics`: what topics there are. */
export function topicRoutes(app: App, { config, fleet }: Service): void {
  app.route({
    ...at(ENDPOINTS.listTopics, config),
    schema: {
      tags: ['presence'], summary: 'List the topics that have messages or streams',
      querystring: Type.Object({
        after: Type.Optional(Type.String({ description: 'The `cursor` of the page before.' })),
        limit: Type.Optional(Type.Integer({ minimum: 1, maximum: TOPICS_PAGE_MAX_ENTRIES, description: `How many at most; ${TOPICS_PAGE_MAX_ENTRIES} by default.` })),
        prefix: Type.Optional(Type.String({ description: 'Only topics whose names begin with it.' })),
        sort: Type.Optional(Type.String({
          enum: [...TOPIC_SORTS],
          description: `\`name\`, which is the default: by the bytes of their names. \`newest\`: by their newest messages. \`rate\`: by their messages of the last ${RATE_WINDOW_MS / 1000} s, among the newest ${RECENT_MAX_MESSAGES}.`,
        })),
      }),
      response: {
        200: json('Topics whose listeners the request may see.', Type.Object({ topics: Type.Array(Topic), cursor: Type.Optional(Type.String()), more: Type.Boolean(), windowMs: Type.Optional(Type.Integer({ description: 'With `sort=rate`: the time in which messages were counted.' })), ...whole })),
        ...problems('invalid-request', 'invalid-topic', 'forbidden', 'overloaded', 'unavailable'),
      },
    },
    handler: async (request, reply) => {
      const { after, limit = TOPICS_PAGE_MAX_ENTRIES, prefix, sort = 'name' } = request.query;
      if (prefix !== undefined) checkPrefix(prefix, 'prefix');
      const { identity, holder } = request.admission;
      return sendJson(reply, await fleet.topics({ sort: sort as TopicSort, prefix: prefix ?? '', after, limit, grant: identity.grant, holder: holder() }));
    },
  });
}
