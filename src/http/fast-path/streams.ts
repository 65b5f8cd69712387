import type { StreamOptions } from '../../delivery/reader/stream-socket.ts';
import type { StartRequest } from '../../log/history/start-position.ts';
import type { Filter } from '../../model/topic.ts';
import { ENDPOINTS } from '../admission/endpoints.ts';
import { EVENT_STREAM_HEADERS, EventStream, resolveStart } from '../event-stream.ts';
import { bringsPosition, startFromRequest } from '../input/last-event-id.ts';
import { areSwitches, formOf, isOn, wantsPresence } from '../input/stream-switches.ts';
import { filterFromPath, filterFromQuery } from '../input/topic-filter.ts';
import { problemOf } from '../output/problem-response.ts';
import { streamHead } from '../output/response-head.ts';
import type { Service } from '../service.ts';
import { streamFraming } from '../stream-framing.ts';
import type { FastPathHandler, FastPathRequest } from './connection-host.ts';
import { problemResponse } from './response.ts';

/** `GET /topics/{topic-or-pattern}/events` and `GET /events?topic=…`: the same as the routes in routes/streams.ts. */
export function fastStreams(service: Service, requestId: () => string): FastPathHandler {
  const { config } = service;

  async function open({ head, admission, connection }: Omit<FastPathRequest, 'body'>, filter: Filter, options: StreamOptions, wanted: StartRequest): Promise<void> {
    const start = await resolveStart(service, admission, wanted, { filter, hasLeft: () => connection.isGone, control: options.control, presence: options.presence === true, bringsPosition: bringsPosition(head) });
    const socket = connection.begin();
    if (socket === undefined) {
      if (typeof start !== 'string') start.place.release();
      return;
    }
    const stream = new EventStream(socket, service);
    const beginning = { admission, head: streamHead({ ...EVENT_STREAM_HEADERS, ...admission.headers }, options, head.keepsAlive), filter, options, wanted, agent: head.headers['user-agent'], start };
    // A refused stream is closed a little later; until then the server must find its connection to close it.
    if (stream.begin(beginning)) connection.give(stream);
  }

  return (request) => {
    const { head, admission, connection } = request;
    const { path, query } = head;
    if (!areSwitches(query)) return false;
    const isTopic = head.endpoint === ENDPOINTS.streamTopic;
    const filter = isTopic ? filterFromPath(path[1]!, query) : filterFromQuery(query, config.TOPICS_PER_STREAM);
    const wanted = startFromRequest(head);
    const options = { form: formOf(query, isTopic ? 'data' : 'object'), control: isOn(query, 'control'), presence: wantsPresence(query), ...streamFraming(head) };
    open({ head, admission, connection }, filter, options, wanted).catch((error: unknown) => {
      const response = problemResponse(problemOf(error, service.logger, requestId), admission.headers);
      service.counters.answer(response.status);
      connection.answer(response, true);
    });
    return true;
  };
}
