import type { Draft } from '../../model/message.ts';
import { ownCopy } from '../../runtime/memory.ts';
import type { IdempotencyKey } from '../../store/store.ts';
import { readPublish } from '../input/publish-request.ts';
import { areSwitches, wantsReport } from '../input/stream-switches.ts';
import { problemOf } from '../output/problem-response.ts';
import { PUBLISHED_TYPE, REPLAYED_HEADERS } from '../output/published.ts';
import { publishOne } from '../publish-one.ts';
import type { Service } from '../service.ts';
import type { FastPathHandler, FastPathRequest } from './connection-host.ts';
import { headerLines, problemResponse, type Response } from './response.ts';

interface Publishing extends Pick<FastPathRequest, 'admission' | 'connection'> {
  readonly keepsAlive: boolean;
  /** Whether the answer says who would be sent the message. */
  readonly report: boolean;
}

const TYPE_LINE = headerLines({ 'content-type': PUBLISHED_TYPE });
const REPLAYED_LINES = headerLines(REPLAYED_HEADERS);

/** `POST /topics/{topic}`: the same as the route in routes/publish.ts. */
export function fastPublish(service: Service, requestId: () => string): FastPathHandler {
  const { config } = service;

  /** These arguments stay in memory until the message is stored, so the head and the bytes that were read are not among them. */
  async function publish({ admission, connection, keepsAlive, report }: Publishing, draft: Draft, key: IdempotencyKey | undefined): Promise<void> {
    let response: Response;
    try {
      const { location, json, replayed } = await publishOne(service, admission, draft, key, { wantsReport: report, requestId });
      response = { status: 201, head: `${TYPE_LINE}location: ${location}\r\n${replayed ? REPLAYED_LINES : ''}${headerLines(admission.headers)}`, body: json };
    } catch (error) {
      const problem = problemOf(error, service.logger, requestId);
      // The publisher counts its own refusals.
      if (problem.code === 'rate-limited') service.counters.refuse(problem.code);
      response = problemResponse(problem, admission.headers);
    }
    service.counters.answer(response.status);
    connection.answer(response, !keepsAlive || service.draining);
  }

  return (request) => {
    const { head: { path, query, headers, keepsAlive }, body, admission, connection } = request;
    if (query['report'] !== undefined && !areSwitches(query)) return false;
    const { draft, key } = readPublish({ topic: path[1]!, query, headers, body, scope: admission.identity.scope }, config);
    // The bytes that were read hold the head too. Copying the body lets go of the head while the message is kept.
    void publish({ admission, connection, keepsAlive, report: wantsReport(query) }, { ...draft, data: ownCopy(body) }, key);
    return true;
  };
}
