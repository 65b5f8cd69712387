import type { TSchema } from 'typebox';
import type { Config } from '../../config/config.ts';
import { PROBLEMS, type ProblemCode } from '../../model/problem.ts';
import { PATTERN_MAX_SEGMENTS, WILDCARD_MAX_SEGMENTS } from '../../model/topic.ts';
import { bodyMaxBytes } from '../admission/body-rules.ts';
import type { Endpoint, Method } from '../admission/endpoints.ts';
import { Type } from '../input/json-schema.ts';
import { LAST_MAX_MESSAGES } from '../input/last-event-id.ts';
import { SWITCH_VALUES } from '../input/stream-switches.ts';
import { PROBLEM_TYPE } from '../output/problem-response.ts';

/** Schemas that several routes share, for checks and for the OpenAPI document. */

/** Where a route is, as the framework wants it. Admission finds the endpoint there: a route without one is refused. */
export function at(endpoint: Endpoint, config: Config): { method: Method[]; url: string; bodyLimit: number; config: { endpoint: Endpoint } } {
  return { method: [...endpoint.methods], url: endpoint.url, bodyLimit: bodyMaxBytes(endpoint, config), config: { endpoint } };
}

const members = {
  id: Type.String({ description: 'Opaque. A client can go on from it.' }),
  topic: Type.String(),
  event: Type.String(),
  time: Type.String({ format: 'date-time' }),
};

/** The answer to a publish. */
export const StoredMessage = Type.Object(members);

export const FullMessage = Type.Object({ ...members, data: Type.Unknown({ description: 'The JSON that was published, or a string if text was.' }) });

/** An erased message on a page. */
export const Tombstone = Type.Object({ id: members.id, topic: members.topic, time: members.time, erased: Type.Literal(true) }, { description: 'An erased message.' });

export const Gap = Type.Object({
  requested: Type.Union([Type.String(), Type.Null()]),
  resumed: Type.String(),
  oldest: Type.String(),
  reason: Type.Union([Type.Literal('expired'), Type.Literal('unknown-log'), Type.Literal('ahead'), Type.Literal('forked')]),
}, { description: 'A gap: messages may be missing before the first one.' });

const ProblemDetails = Type.Object({
  type: Type.String(),
  title: Type.String(),
  status: Type.Integer(),
  code: Type.String({ description: 'Stable, for programs.' }),
  detail: Type.String({ description: 'For people; it may change.' }),
  field: Type.Optional(Type.String({ description: 'The part of the request that is wrong.' })),
}, { description: 'RFC 9457' });

export const TopicPath = Type.Object({ topic: Type.String({ description: 'A topic, percent-encoded.' }) });
const PATTERN_BOUNDS = `A pattern has at most ${PATTERN_MAX_SEGMENTS} segments, and * only among the first ${WILDCARD_MAX_SEGMENTS}.`;

export const PatternPath = Type.Object({ topic: Type.String({ description: `A topic, or a pattern with * and >, percent-encoded. ${PATTERN_BOUNDS}` }) });

export function topicsQuery(max: number) {
  return { topic: Type.Array(Type.String(), { minItems: 1, maxItems: max, description: `Topics and patterns. ${PATTERN_BOUNDS}` }) };
}

/** The parts that an answer about all instances may lack. */
export const whole = {
  partial: Type.Optional(Type.Literal(true, { description: 'Other instances did not answer, or may exist.' })),
  missing: Type.Optional(Type.Array(Type.String(), { description: 'The ids of known instances that did not answer.' })),
};

/** A parameter that switches something off. */
export function flag(description: string) {
  return Type.Optional(Type.String({ enum: [...SWITCH_VALUES], description }));
}

export const cursorQuery = {
  after: Type.Optional(Type.String({ description: 'An id or cursor to go on after, or `start`: the oldest message held.' })),
  lastEventId: Type.Optional(Type.String({ description: 'The same as the header Last-Event-ID.' })),
  since: Type.Optional(Type.String({ description: 'A duration (`10m`) back from now, or a time of RFC 3339.' })),
  last: Type.Optional(Type.Integer({
    minimum: 0, maximum: LAST_MAX_MESSAGES,
    description: 'This number of the newest matching messages, oldest first; 0: only new messages. An id in Last-Event-ID takes precedence. Not together with `after` or `since`.',
  })),
  pattern: flag('`0` takes a topic as it is: one with a wildcard is refused.'),
};

/** A response with a JSON body. Routes send bytes that they assembled themselves: this is for the document. */
export function json(description: string, schema: TSchema): object {
  return { description, content: { 'application/json': { schema } } };
}

/** The responses for problems, by status. Every request may be for a host that is not served, or have a credential that is not good, perhaps one of too many. */
export function problems(...codes: readonly ProblemCode[]): Record<number, object> {
  const byStatus = Map.groupBy([...new Set([...codes, 'unauthorized', 'invalid-credential', 'rate-limited', 'unknown-host'] as const)], (code) => PROBLEMS[code][0]);
  return Object.fromEntries([...byStatus].map(([status, some]) => [status, {
    description: some.map((code) => `\`${code}\`: ${PROBLEMS[code][1]}`).join('. '),
    content: { [PROBLEM_TYPE]: { schema: ProblemDetails } },
  }]));
}
