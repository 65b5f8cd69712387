import type { StreamOptions } from '../../delivery/reader.ts';
import type { StartRequest } from '../../log/start-position.ts';
import type { Filter } from '../../model/topic.ts';
import { EVENT_STREAM_HEADERS, EventStream, resolveStart } from '../event-stream.ts';
import { CONTROL_VALUES, wantsControl } from '../input/control-query.ts';
import { startFromRequest } from '../input/last-event-id.ts';
import { filterFromPath, filterFromQuery } from '../input/topic-filter.ts';
import { originHeaders } from '../origin.ts';
import { problemOf } from '../output/problem-response.ts';
import type { Service } from '../service.ts';
import type { FastPathConnection, FastPathHandler } from './connections.ts';
import { problemResponse, streamHead } from './response.ts';

/** What `control` may be here, absent included. */
const CONTROLS: readonly unknown[] = [undefined, ...CONTROL_VALUES];
/** The values of `Accept` that browsers and common clients send. The framework weighs all others. */
const ACCEPTED: readonly unknown[] = [undefined, 'text/event-stream', '*/*'];

/** `GET /topics/{topic-or-pattern}/events` and `GET /events?topic=…`, where there is nothing to refuse: the same as the routes in routes/streams.ts. */
export function fastStreams(service: Service, requestId: () => string): FastPathHandler {
  const { config, streams } = service;

  async function open(connection: FastPathConnection, filter: Filter, options: StreamOptions, wanted: StartRequest, head: string): Promise<void> {
    const start = streams.isFull ? undefined : await resolveStart(service, wanted);
    const socket = connection.begin(head);
    if (socket === undefined) return;
    const stream = new EventStream(socket, service);
    // A refused stream is closed a little later; until then the server must find its connection to close it.
    if (stream.begin(filter, options, wanted, start)) connection.give(stream);
  }

  return (request, connection) => {
    const { path, query, headers } = request;
    const one = path.length === 3 && path[0] === 'topics' && path[2] === 'events';
    if (!one && !(path.length === 1 && path[0] === 'events')) return false;
    if (!CONTROLS.includes(query.control) || !ACCEPTED.includes(headers.accept)) return false;
    if (Array.isArray(query.after) || Array.isArray(query.lastEventId) || Array.isArray(query.since)) return false;
    const filter = one ? filterFromPath(path[1]!) : filterFromQuery(query, config.TOPICS_PER_STREAM);
    const wanted = startFromRequest(request);
    const options = { form: one ? 'data' : 'object', control: wantsControl(query), chunked: true } as const;
    const common = { ...EVENT_STREAM_HEADERS, ...originHeaders(headers.origin, config.CORS_ORIGINS) };
    open(connection, filter, options, wanted, streamHead(common)).catch((error: unknown) => {
      connection.answer(problemResponse(problemOf(error, service.logger, requestId), common), true);
    });
    return true;
  };
}
