import { parseId } from '../../model/position.ts';
import { Problem } from '../../model/problem.ts';
import { checkLiteral } from '../../model/topic.ts';
import { ENDPOINTS } from '../admission/endpoints.ts';
import { readBefore } from '../input/erase-before.ts';
import { Type } from '../input/json-schema.ts';
import type { App, Service } from '../service.ts';
import { actorOf, sendJson } from './answers.ts';
import { at, json, problems, TopicPath } from './schemas.ts';

const tags = ['erasing'];
const FAILURES = ['forbidden', 'cross-origin', 'message-not-found', 'level-too-low', 'unavailable', 'outcome-unknown'] as const;

/** `DELETE /messages/{id}` and `DELETE /topics/{topic}/messages?before=`: take back messages that were published by mistake. */
export function eraseRoutes(app: App, { config, eraser }: Service): void {
  app.route({
    ...at(ENDPOINTS.eraseMessage, config),
    schema: {
      tags, summary: 'Erase one message: its data and event name', params: Type.Object({ id: Type.String() }),
      response: { 204: { description: 'The message is erased, now or earlier.', type: 'null' }, ...problems('overloaded', ...FAILURES) },
    },
    handler: async (request, reply) => {
      const position = parseId(request.params.id);
      if (position === undefined || position.seq < 1) throw new Problem('message-not-found', 'There is no message with this id, or not any more.', { field: 'id' });
      await eraser.message(request.admission.identity.grant, position, actorOf(request), request.admission.holder());
      return reply.code(204).send(null);
    },
  });

  app.route({
    ...at(ENDPOINTS.eraseTopic, config),
    schema: {
      tags, summary: 'Erase the messages of a topic before a message or a time', params: TopicPath,
      querystring: Type.Object({ before: Type.Optional(Type.String({ description: 'An id: all messages before that one. Or a time of RFC 3339, or a duration back from now (`10m`; `0s`: all messages until now).' })) }),
      response: {
        200: json('They are erased.', Type.Object({
          erased: Type.Integer({ description: 'The number of messages that this request erased.' }),
          more: Type.Boolean({ description: 'Whether messages remain: make the same request again.' }),
        })),
        ...problems('invalid-request', 'invalid-topic', 'invalid-cursor', 'overloaded', ...FAILURES),
      },
    },
    handler: async (request, reply) => {
      const topic = checkLiteral(request.params.topic);
      const erased = await eraser.topic(request.admission.identity.grant, topic, readBefore(request.query.before), actorOf(request), request.admission.holder());
      return sendJson(reply, erased);
    },
  });
}
