import { members } from '../../access/credentials/key-request.ts';
import type { Config } from '../../config/config.ts';
import type { TopicChange } from '../../fleet/topic-changes.ts';
import { checkEvent, whyNotJson } from '../../model/content.ts';
import type { Draft } from '../../model/message.ts';
import { Problem } from '../../model/problem.ts';
import { checkTopic } from '../../model/topic.ts';
import { ownCopy, ownText } from '../../runtime/memory.ts';
import type { IdempotencyKey } from '../../store/store.ts';
import { ENDPOINTS } from '../admission/endpoints.ts';
import { requestKey } from '../input/idempotency-key.ts';
import { DuplicateMember, memberSpan } from '../input/json-source.ts';
import type { Query } from '../input/query-string.ts';
import { checkNames } from '../input/topic-change.ts';
import { TTL_MAX_SECONDS, ttlSeconds } from '../input/ttl.ts';
import type { RequestHead } from '../admission/request-head.ts';

/** The requests of a client on its WebSocket: one JSON object in each frame, with the same rules as by HTTP. */

/** The client's name for a request. The answer repeats it unchanged. */
export type RequestName = string | number;

/** Stops a client from making answers large with long names. */
const REQUEST_MAX_CHARACTERS = 64;

/** A frame after `JSON.parse`. Only `request` is checked; `readFrame` checks the rest. */
export interface ParsedFrame {
  readonly source: string;
  readonly value: object;
  readonly request: RequestName | undefined;
}

export interface PublishFrame {
  readonly kind: 'publish';
  readonly request: RequestName | undefined;
  readonly draft: Draft;
  readonly key: IdempotencyKey | undefined;
  readonly wantsReport: boolean;
}

export interface TopicsFrame {
  readonly kind: 'topics';
  readonly request: RequestName | undefined;
  readonly change: TopicChange;
}

export type ClientFrame = PublishFrame | TopicsFrame;

export interface FrameBounds {
  readonly config: Pick<Config, 'MESSAGE_BYTES' | 'EVENT_BYTES' | 'IDEMPOTENCY_SECONDS' | 'TOPICS_PER_STREAM'>;
  /** The owner of the client's idempotency keys. */
  readonly scope: string;
  readonly takesPatterns: boolean;
}

/** The headers of the handshake that admission reads. */
export type HandshakeHeaders = Pick<RequestHead['headers'], 'host' | 'origin' | 'sec-fetch-site'>;

/** @throws Problem */
export function parseFrame(data: Buffer, isBinary: boolean): ParsedFrame {
  if (isBinary) throw new Problem('invalid-request', 'The frame is binary; frames are text, each a JSON object.', { field: 'frame' });
  const source = data.toString();
  let value: unknown;
  try {
    value = JSON.parse(source);
  } catch (error) {
    throw new Problem('invalid-request', `The frame is not JSON: ${whyNotJson(error, source)}.`, { field: 'frame', cause: error });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Problem('invalid-request', 'The frame must be a JSON object.', { field: 'frame' });
  const { request } = value as { readonly request?: unknown };
  const isName = request === undefined || (typeof request === 'string' && request.length <= REQUEST_MAX_CHARACTERS && request.isWellFormed()) || Number.isSafeInteger(request);
  if (!isName) throw new Problem('invalid-request', `request must be a text of at most ${REQUEST_MAX_CHARACTERS} characters, or a whole number.`, { field: 'request' });
  return { source, value, request: request as RequestName | undefined };
}

/** @throws Problem that names the member */
export function readFrame(frame: ParsedFrame, bounds: FrameBounds): ClientFrame {
  if ('publish' in frame.value) return readPublish(frame, bounds);
  if ('add' in frame.value || 'remove' in frame.value) {
    const { add, remove } = members(frame.value, ['add', 'remove', 'request']);
    return { kind: 'topics', request: frame.request, change: checkNames({ add, remove }, bounds.takesPatterns, bounds.config.TOPICS_PER_STREAM) };
  }
  throw new Problem('invalid-request', 'The frame has no request: it needs publish, or add or remove.', { field: 'publish' });
}

function readPublish({ source, value, request }: ParsedFrame, { config, scope }: FrameBounds): PublishFrame {
  const { publish, event, ttl, idempotencyKey, text, report = false } = members(value, ['publish', 'data', 'text', 'event', 'ttl', 'idempotencyKey', 'report', 'request']);
  if (typeof publish !== 'string') throw new Problem('invalid-topic', 'publish must be the topic, a text.', { field: 'publish' });
  if (event !== undefined && typeof event !== 'string') throw new Problem('invalid-event', 'event must be a text.', { field: 'event' });
  if (ttl !== undefined && !(Number.isInteger(ttl) && Number(ttl) >= 0 && Number(ttl) <= TTL_MAX_SECONDS)) throw new Problem('invalid-ttl', `ttl must be a whole number of seconds from 0 to ${TTL_MAX_SECONDS}.`, { field: 'ttl' });
  if (idempotencyKey !== undefined && typeof idempotencyKey !== 'string') throw new Problem('invalid-key', 'idempotencyKey must be a text.', { field: 'idempotencyKey' });
  if (typeof report !== 'boolean') throw new Problem('invalid-request', 'report must be true or false.', { field: 'report' });
  if (('data' in value) === ('text' in value)) throw new Problem('invalid-data', 'A message has data, any JSON value, or text: one of the two.', { field: 'data' });
  const json = 'data' in value;
  if (!json && typeof text !== 'string') throw new Problem('invalid-data', 'text must be a text.', { field: 'text' });
  if (!json && !(text as string).isWellFormed()) throw new Problem('invalid-data', 'text is not well-formed Unicode.', { field: 'text' });
  const field = json ? 'data' : 'text';
  const body = ownCopy(Buffer.from(json ? dataSource(source) : text as string));
  if (body.length > config.MESSAGE_BYTES) throw new Problem('too-large', `The data is larger than ${config.MESSAGE_BYTES} bytes, which is what MESSAGE_BYTES allows.`, { field });
  const topic = ownText(checkTopic(publish, 'publish'));
  const name = event === undefined ? undefined : checkEvent(event, config.EVENT_BYTES);
  const named = name === undefined ? undefined : ownText(name);
  const seconds = ttlSeconds(ttl as number | undefined);
  const query: Query = idempotencyKey === undefined ? {} : { idempotencyKey };
  const key = requestKey({ headers: {}, query, scope }, { kind: json ? 'json' : 'text', topic, event: named, ttl: seconds, body }, config.IDEMPOTENCY_SECONDS);
  return { kind: 'publish', request, draft: { topic, event: named, json, data: body, ttl: seconds }, key, wantsReport: report };
}

/** The source text of `data`, which is stored without a change. */
function dataSource(source: string): string {
  try {
    const { start, end } = memberSpan(source, 'data')!;
    return source.slice(start, end);
  } catch (error) {
    if (error instanceof DuplicateMember) throw new Problem('invalid-request', `${error.member} is there twice.`, { field: error.member });
    throw error;
  }
}

/** The head of the same request by HTTP, for admission. */
export function headOf(frame: ClientFrame, headers: HandshakeHeaders): RequestHead {
  const common = { listener: 'main', httpVersion: '1.1', headers, repeated: [], allowedMethods: () => [] } as const;
  if (frame.kind === 'topics') return { ...common, method: 'PATCH', url: '/streams/this', query: {}, endpoint: ENDPOINTS.changeStream };
  return { ...common, method: 'POST', url: `/topics/${encodeURIComponent(frame.draft.topic)}`, query: frame.wantsReport ? { report: '1' } : {}, endpoint: ENDPOINTS.publish };
}
