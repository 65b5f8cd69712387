import type { IncomingHttpHeaders } from 'node:http';
import type { Config } from '../../config/config.ts';
import { checkEvent, checkJson, checkText } from '../../model/content.ts';
import type { Draft } from '../../model/message.ts';
import { Problem } from '../../model/problem.ts';
import { checkTopic } from '../../model/topic.ts';
import { ownText } from '../../runtime/memory.ts';
import type { IdempotencyKey } from '../../store/store.ts';
import { isJson as saysJson } from './content-headers.ts';
import { requestKey } from './idempotency-key.ts';
import { EVENT_HEADER, readNamedHeader } from './named-header.ts';
import type { Query } from './query-string.ts';
import { parseTtl } from './ttl.ts';

/** The parts of a request that publishes one message, as they were sent. */
export interface PublishParts {
  readonly topic: string;
  readonly query: Query;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** The owner of the request's idempotency keys. */
  readonly scope: string;
}

/** The request after its checks. */
export interface PublishRequest {
  readonly draft: Draft;
  readonly key: IdempotencyKey | undefined;
}

/**
 * Reads a request that publishes one message. The draft's data is the body itself, not a copy.
 * @throws Problem
 */
export function readPublish({ topic: name, query, headers, body, scope }: PublishParts, config: Config): PublishRequest {
  const topic = ownText(checkTopic(name));
  const named = readEvent(headers, query, config.EVENT_BYTES);
  const event = named && ownText(named);
  const ttl = parseTtl(headers.ttl as string | undefined);
  const isJson = saysJson(headers);
  const key = requestKey({ headers, query, scope }, { kind: isJson ? 'json' : 'text', topic, event, ttl, body }, config.IDEMPOTENCY_SECONDS);
  (isJson ? checkJson : checkText)(body);
  return { draft: { topic, event, json: isJson, data: body, ttl }, key };
}

function readEvent(headers: IncomingHttpHeaders, query: Query, maxBytes: number): string | undefined {
  const named = readNamedHeader(headers, query, EVENT_HEADER);
  if (query['event'] === undefined && named === undefined && headers['tidings-event'] === undefined) return undefined;
  const given: readonly (readonly [field: string, event: string | undefined])[] = [
    ['event', query['event'] as string | undefined],
    [EVENT_HEADER.parameter, named],
    ['Tidings-Event', headers['tidings-event'] as string | undefined],
  ];
  let first: (typeof given)[number] | undefined;
  for (const [field, event] of given) {
    if (event === undefined) continue;
    // Node reads the bytes of a header as Latin-1: a name beyond ASCII would arrive as another name.
    if (field !== 'event' && /[^\x20-\x7e]/.test(event)) throw new Problem('invalid-event', 'The event name in a header must be ASCII; in the query it may be any.', { field });
    if (first !== undefined && first[1] !== event) throw new Problem('invalid-event', `The event name of ${first[0]} is not the one of ${field}.`, { field: first[0] });
    first ??= [field, event];
  }
  return first === undefined ? undefined : checkEvent(first[1]!, maxBytes, first[0]);
}
