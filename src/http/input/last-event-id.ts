import type { IncomingHttpHeaders } from 'node:http';
import { parseSince } from '../../log/history/since-time.ts';
import type { StartRequest } from '../../log/history/start-position.ts';
import { parseId, type Position } from '../../model/position.ts';
import { Problem } from '../../model/problem.ts';

/** The parts of a request that say where reading starts: the same for streams and for history, on both edges. */
export interface CursorParts {
  readonly headers: IncomingHttpHeaders;
  readonly query: unknown;
}

/** How many of the newest messages may be asked for: stops one URL from reading a large part of the log each time it is opened. */
export const LAST_MAX_MESSAGES = 1_000;

const WHOLE_NUMBER = /^[0-9]{1,15}$/;

/** The word for the oldest message held, where an id could stand. */
const START = 'start';

/**
 * Where the client asks to start: the header `Last-Event-ID`, else `lastEventId`, else one of `after`, `since` and `last`. An empty value
 * counts as absent, but for that of `last`.
 *
 * A header or `lastEventId` that is no id of ours is not an error. A browser's EventSource would never come back from a 400. And pages pass on what they
 * remember, which may be `null`. It gives way to what comes after it. If nothing does, reading starts where it would have without it, with a `$gap`.
 *
 * It reads the header and all of these parameters, also where the endpoint does not take them. A route that takes only some passes on only these.
 *
 * @param otherwise Where to start when the client does not say.
 * @throws Problem `invalid-cursor`
 */
export function startFromRequest(request: CursorParts, otherwise: 'now' | 'start' = 'now'): StartRequest {
  const count = lastCount(request);
  const remembered = [lastOf(request.headers['last-event-id']), single(request, 'lastEventId')].filter((value) => value !== '');
  for (const value of remembered) {
    const start = startAfter(value);
    if (start !== undefined) return start;
  }
  const after = single(request, 'after');
  if (after !== '') {
    const start = startAfter(after);
    if (start === undefined) throw new Problem('invalid-cursor', `after must be the id of a message, a cursor, or ${START}.`, { field: 'after' });
    return start;
  }
  const since = single(request, 'since');
  if (count !== undefined) return { kind: 'last', count };
  if (since === '') return remembered.length === 0 ? { kind: otherwise } : { kind: 'unknown', otherwise };
  const start = parseSince(since);
  if (start === undefined) throw new Problem('invalid-cursor', 'since must be a duration such as 90s, 10m, 2h30m or 7d, or a time such as 2026-11-22T10:15:30Z.', { field: 'since' });
  return start;
}

/**
 * The last place that a page of history may have; undefined where the client names none.
 *
 * @throws Problem `invalid-cursor`
 */
export function untilFromRequest(request: CursorParts): Position | undefined {
  const until = single(request, 'until');
  if (until === '') return undefined;
  const position = parseId(until);
  if (position === undefined) throw new Problem('invalid-cursor', 'until must be the id of a message, or a cursor.', { field: 'until' });
  return position;
}

/** Whether the header `Last-Event-ID` is an id: then reading starts there. A URL that somebody found does not bring it. */
export function bringsPosition({ headers }: CursorParts): boolean {
  return startAfter(lastOf(headers['last-event-id']))?.kind === 'after';
}

/**
 * How many of the newest messages the client asks for. Where else the URL says to begin contradicts it. The id that a browser's EventSource brings back does not: it wins.
 * On the ordinary way the schema has made it a number.
 */
function lastCount(request: CursorParts): number | undefined {
  const { last } = request.query as { readonly last?: string | number };
  if (last === undefined) return undefined;
  const count = WHOLE_NUMBER.test(String(last)) ? Number(last) : NaN;
  if (!(count <= LAST_MAX_MESSAGES)) throw new Problem('invalid-cursor', `last must be a whole number from 0 to ${LAST_MAX_MESSAGES}.`, { field: 'last' });
  const other = ['after', 'since'].find((field) => single(request, field) !== '');
  if (other !== undefined) throw new Problem('invalid-cursor', `last and ${other} each say where to begin; give one of them.`, { field: 'last' });
  return count;
}

function startAfter(value: string): StartRequest | undefined {
  if (value === START) return { kind: 'start' };
  const position = parseId(value);
  return position === undefined ? undefined : { kind: 'after', position };
}

/** Two such headers arrive joined by a comma. A library adds its own, with the newest id, to the one that the page set. */
function lastOf(header: string | readonly string[] | undefined): string {
  return header === undefined ? '' : String(header).split(',').findLast((part) => part.trim() !== '')?.trim() ?? '';
}

/** The value of a parameter, which admission lets through once; empty when it is absent. */
function single({ query }: CursorParts, field: string): string {
  return (query as Readonly<Record<string, string | undefined>>)[field] ?? '';
}
