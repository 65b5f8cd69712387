import type { FastifyRequest } from 'fastify';
import type { StartRequest } from '../../log/start.ts';
import { parseId } from '../../model/position.ts';
import { Problem } from '../../model/problem.ts';
import { checkPattern, Filter } from '../../model/topic.ts';
import { ownText } from '../../runtime/memory.ts';
import { parseSince } from './since.ts';

/** What a route that reads is asked: which topics, and from where on. The same for streams and for history. */
type ReadRequest = Pick<FastifyRequest, 'headers' | 'params' | 'query'>;

/** The word for the oldest message held, where an id could stand. */
const START = 'start';

/**
 * Where the client asks to begin: the header `Last-Event-ID`, else `lastEventId`, else `after`, else `since`; what is
 * empty counts as absent.
 *
 * A header or `lastEventId` that is no id of ours is a position that nobody knows, not an error: a browser's EventSource would never come
 * back from a 400, and pages pass on what they remember, which may be `null`. (Two such headers arrive joined by a comma: no id either.)
 *
 * @param otherwise Where to begin when the client does not say.
 * @throws Problem `invalid-cursor`
 */
export function startFromRequest(request: ReadRequest, otherwise: StartRequest = { kind: 'now' }): StartRequest {
  const header = request.headers['last-event-id'];
  const last = header === undefined || header === '' ? single(request, 'lastEventId') : String(header);
  if (last !== '') return last === START ? { kind: 'start' } : { kind: 'after', position: parseId(last) };
  const after = single(request, 'after');
  if (after === START) return { kind: 'start' };
  if (after !== '') {
    const position = parseId(after);
    if (position === undefined) throw new Problem('invalid-cursor', `after must be the id of a message, a cursor, or ${START}.`, { field: 'after' });
    return { kind: 'after', position };
  }
  const since = single(request, 'since');
  if (since === '') return otherwise;
  const start = parseSince(since);
  if (start === undefined) throw new Problem('invalid-cursor', 'since must be a duration such as 90s, 10m, 2h30m or 7d, or a time such as 2026-11-22T10:15:30Z.', { field: 'since' });
  return start;
}

/** The value of a parameter that may be given once; empty when it is absent. */
function single({ query }: ReadRequest, field: string): string {
  const value = (query as Readonly<Record<string, unknown>>)[field] ?? '';
  if (typeof value !== 'string') throw new Problem('invalid-cursor', `${field} was given more than once.`, { field });
  return value;
}

/** The topic or pattern in the path. Throws `invalid-topic`. */
export function filterFromPath({ params }: ReadRequest): Filter {
  return new Filter([ownText(checkPattern((params as { readonly topic: string }).topic))]);
}

/** The topics and patterns of `?topic=…&topic=…`, at least one and at most so many. Throws `invalid-topic`. */
export function filterFromQuery({ query }: ReadRequest, max: number): Filter {
  const { topic } = query as { readonly topic?: string | readonly string[] };
  const names = topic === undefined ? [] : typeof topic === 'string' ? [topic] : topic;
  if (names.length === 0) throw new Problem('invalid-topic', 'topic is missing.', { field: 'topic' });
  if (names.length > max) {
    throw new Problem('invalid-topic', `There are ${names.length} topics, and ${max} are allowed.`, { field: 'topic' });
  }
  return new Filter(names.map((name) => ownText(checkPattern(name))));
}
