import { EVENT_MAX_BYTES } from '../../config/content-limits.ts';
import type { Draft } from '../../model/message.ts';
import { TOPIC_MAX_BYTES } from '../../model/topic.ts';
import { ownCopy } from '../../runtime/memory.ts';
import { CONNECTOR_NAME_MAX_BYTES, SOURCE_MAX_PARTS, type PositionMove, type SourcePosition, type SourceStep } from '../../store/connector-store.ts';
import type { Appended, AppendRequest, IdempotencyKey, Outcome, StoreError, StoreErrorKind } from '../../store/store.ts';
import { Argument, MalformedCall } from './argument.ts';
import { HANDED } from './frames.ts';

/**
 * How requests go to the worker that writes, and what became of them back:
 *
 *     requests: length of the JSON u32 | JSON: for each request its key and its step, where it has them, and its drafts | fingerprints and data, one after the other
 *     answer: JSON
 */

const LENGTH_BYTES = 4;

/** Requests in one commit, and messages in one request. */
const APPENDED_MAX_REQUESTS = 10_000;

/** The longest scope or name of an idempotency key. */
const APPENDED_KEY_MAX_CHARACTERS = 2_000;

/** What the writer says of the log. Its epochs are those that the other workers read from the log themselves. */
export interface WrittenLog {
  /** The newest epoch, which a worker has to know. */
  readonly epoch: string;
  readonly oldest: number;
  readonly head: number;
  readonly now: number;
  readonly erasures?: number;
}

export interface Written {
  readonly outcomes: readonly Outcome[];
  readonly log: WrittenLog;
  readonly isTold?: boolean;
}

interface Answer {
  readonly written?: Written;
  readonly failure?: { readonly kind: StoreErrorKind; readonly message: string };
}

/** Leaves room for a number in front. */
export function packAppend(number: number, requests: readonly AppendRequest[]): Buffer {
  const parts: Uint8Array[] = [];
  const shape = requests.map(({ drafts, key, step }) => {
    if (key !== undefined) parts.push(key.fingerprint);
    return {
      ...(key === undefined ? {} : { key: { scope: key.scope, key: key.key, window: key.window, bytes: key.fingerprint.length } }),
      ...(step === undefined ? {} : { step }),
      drafts: drafts.map(({ topic, event, json, ttl, data }) => {
        parts.push(data);
        return { topic, event, json, ttl, bytes: data.length };
      }),
    };
  });
  const json = Buffer.from(JSON.stringify(shape));
  const head = Buffer.alloc(2 * LENGTH_BYTES);
  head.writeUInt32BE(number);
  head.writeUInt32BE(json.length, LENGTH_BYTES);
  return Buffer.concat([head, json, ...parts]);
}

/** Requests that another worker handed on; undefined where they cannot be read. */
export interface UnpackedAppend {
  readonly number: number;
  readonly requests: readonly AppendRequest[] | undefined;
}

/** Any program of the same user may have sent it. */
export function unpackAppend(body: Buffer): UnpackedAppend {
  const number = body.readUInt32BE();
  try {
    return { number, requests: readRequests(body.subarray(LENGTH_BYTES)) };
  } catch (error) {
    if (!(error instanceof MalformedCall) && !(error instanceof SyntaxError) && !(error instanceof RangeError)) throw error;
    return { number, requests: undefined };
  }
}

function readRequests(body: Buffer): readonly AppendRequest[] {
  const dataAt = LENGTH_BYTES + body.readUInt32BE();
  // The tail keeps messages. Without a copy, a small one would hold all of one large read from the socket.
  const data = ownCopy(body.subarray(dataAt));
  let at = 0;
  const take = (length: number): Buffer => {
    if (at + length > data.length) throw new MalformedCall('data');
    return data.subarray(at, at += length);
  };
  return new Argument({ requests: JSON.parse(body.toString('utf8', LENGTH_BYTES, dataAt)) as unknown }).list('requests', APPENDED_MAX_REQUESTS, (request): AppendRequest => ({
    key: request.has('key') ? readKey(request.inner('key'), take) : undefined,
    ...(request.has('step') ? { step: readStep(request.inner('step')) } : {}),
    drafts: request.list('drafts', APPENDED_MAX_REQUESTS, (draft): Draft => ({
      topic: draft.text('topic', TOPIC_MAX_BYTES), event: draft.optionalText('event', EVENT_MAX_BYTES), json: draft.flag('json'), ttl: draft.count('ttl'), data: take(draft.count('bytes')),
    })),
  }));
}

function readKey(key: Argument, take: (length: number) => Buffer): IdempotencyKey {
  return { scope: key.text('scope', APPENDED_KEY_MAX_CHARACTERS), key: key.text('key', APPENDED_KEY_MAX_CHARACTERS), window: key.count('window'), fingerprint: take(key.count('bytes')) };
}

function readStep(step: Argument): SourceStep {
  return {
    connector: step.text('connector', CONNECTOR_NAME_MAX_BYTES), fence: step.count('fence'), origin: step.text('origin', CONNECTOR_NAME_MAX_BYTES),
    moves: step.list('moves', SOURCE_MAX_PARTS, (move): PositionMove => ({ part: move.text('part', CONNECTOR_NAME_MAX_BYTES), from: move.has('from') ? readPosition(move.inner('from')) : undefined, to: readPosition(move.inner('to')) })),
  };
}

function readPosition(position: Argument): SourcePosition {
  return { identity: position.text('identity', CONNECTOR_NAME_MAX_BYTES), position: position.count('position') };
}

/** Leaves room for a number, and for what the hub says. */
export function packAppended(number: number, { outcomes, log: { lineage, oldest, head, now, erasures }, isTold }: Appended): Buffer {
  const epoch = lineage.epochs.at(-1)?.epoch ?? '';
  return packAnswer(number, { written: { outcomes, log: { epoch, oldest, head, now, ...(erasures === undefined ? {} : { erasures }) }, ...(isTold === undefined ? {} : { isTold }) } });
}

export function packFailure(number: number, { kind, message }: StoreError): Buffer {
  return packAnswer(number, { failure: { kind, message } });
}

function packAnswer(number: number, answer: Answer): Buffer {
  const head = Buffer.alloc(LENGTH_BYTES + 1);
  head.writeUInt32BE(number);
  return Buffer.concat([head, Buffer.from(JSON.stringify(answer))]);
}

/** @returns What the hub says, and what the writer says. An answer that nobody can read counts as lost: any program of the same user may have sent it. */
export function unpackAppended(body: Buffer): { readonly number: number; readonly handed: number; readonly answer: Answer } {
  const text = body.toString('utf8', LENGTH_BYTES + 1);
  const [number, handed] = [body.readUInt32BE(), body[LENGTH_BYTES]!];
  if (text === '') return { number, handed, answer: {} };
  try {
    return { number, handed, answer: JSON.parse(text) as Answer };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return { number, handed: HANDED.lost, answer: {} };
  }
}
