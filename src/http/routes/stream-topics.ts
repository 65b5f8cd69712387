import { Problem } from '../../model/problem.ts';
import { failedLogin } from '../admission/access-rules.ts';
import { ENDPOINTS } from '../admission/endpoints.ts';
import { Type } from '../input/json-schema.ts';
import { readTopicChange } from '../input/topic-change.ts';
import type { App, Service } from '../service.ts';
import { bodyOf, sendJson } from './answers.ts';
import { at, cursorQuery, json, problems } from './schemas.ts';

const params = Type.Object({ id: Type.String({ description: 'The id of a stream, from its `$open`.' }) });
const names = (description: string) => Type.Optional(Type.Array(Type.String(), { description }));
const Change = Type.Object({
  secret: Type.String({ description: 'The secret of the stream, from its `$open`.' }),
  add: names('Topics and patterns that the stream is to have.'),
  remove: names('Topics and patterns to give up, as the stream asked for them.'),
});
const Changed = Type.Object({
  topics: Type.Array(Type.String(), { description: 'All topics and patterns that the stream has now: with these and the cursor it can be opened anew.' }),
  cursor: Type.String({ description: 'Up to this cursor the stream has the old topics, after it the new ones.' }),
});

/** `PATCH /streams/{id}`: an open stream goes on with other topics. */
export function streamTopicsRoutes(app: App, service: Service): void {
  const { config, counters, fleet, limits } = service;
  app.route({
    ...at(ENDPOINTS.changeStream, config),
    schema: {
      tags: ['stream'], summary: 'Change the topics of an open stream, on any instance', params, body: Change, querystring: Type.Object({ pattern: cursorQuery.pattern }),
      response: { 200: json('The stream goes on with these topics.', Changed), ...problems('invalid-request', 'invalid-topic', 'cross-origin', 'forbidden', 'not-found', 'overloaded', 'outcome-unknown') },
    },
    handler: async (request, reply) => {
      const { identity, clientAddress, holder } = request.admission;
      const { id } = request.params;
      const { secret, change } = readTopicChange(bodyOf(request), request.query, config.TOPICS_PER_STREAM);
      const changed = await fleet.changeTopics(id, secret, change, identity, holder()).catch(async (error: unknown) => {
        // A secret is guessed no more often than a key.
        throw error instanceof Problem && error.field === 'secret' ? await failedLogin(error, ENDPOINTS.changeStream, limits, { address: clientAddress }) : error;
      });
      counters.topicsChanged++;
      request.log.debug({ client: clientAddress(), credential: identity.name, stream: id, topics: changed.topics.length, at: changed.cursor }, 'stream changed');
      return sendJson(reply, changed);
    },
  });
}
