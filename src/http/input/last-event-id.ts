import type { IncomingHttpHeaders } from 'node:http';
import type { StartRequest } from '../../log/start-position.ts';
import { parseId } from '../../model/position.ts';
import { Problem } from '../../model/problem.ts';
import { parseSince } from './since-time.ts';

/** The parts of a request that say where reading starts: the same for streams and for history, on both edges. */
export interface CursorParts {
  readonly headers: IncomingHttpHeaders;
  readonly query: unknown;
}

/** The word for the oldest message held, where an id could stand. */
const START = 'start';

/**
 * Where the client asks to start: the header `Last-Event-ID`, else `lastEventId`, else `after`, else `since`. An empty value
 * counts as absent.
 *
 * A header or `lastEventId` that is no id of ours is not an error, but a position that nobody knows. A browser's EventSource would never
 * come back from a 400, and pages pass on what they remember, which may be `null`. (Two such headers arrive joined by a comma: no id either.)
 *
 * @param otherwise Where to start when the client does not say.
 * @throws Problem `invalid-cursor`
 */
export function startFromRequest(request: CursorParts, otherwise: StartRequest = { kind: 'now' }): StartRequest {
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

/** The value of a parameter, which admission lets through once; empty when it is absent. */
function single({ query }: CursorParts, field: string): string {
  return (query as Readonly<Record<string, string | undefined>>)[field] ?? '';
}
