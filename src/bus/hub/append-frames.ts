import { EVENT_MAX_BYTES } from '../../config/content-limits.ts';
import type { Draft } from '../../model/message.ts';
import { TOPIC_MAX_BYTES } from '../../model/topic.ts';
import { ownCopy } from '../../runtime/memory.ts';
import { CONNECTOR_NAME_MAX_BYTES, SOURCE_MAX_PARTS, type PositionMove, type SourcePosition, type SourceStep } from '../../store/contracts/connector-store.ts';
import type { AppendRequest, IdempotencyKey } from '../../store/store.ts';
import { ByteReader, ByteWriter, COUNT_BYTES, F64_BYTES, FLAGS_BYTES, LIST_MAX_ENTRIES, textBytes, unlessMalformed } from './bytes.ts';
import { CALL_ID_BYTES, FRAME, FRAME_HEAD_BYTES, frameFor } from './frames.ts';

/**
 * The frames with which a worker hands its requests to the writer, the worker that writes for all. `appended-frames.ts` has the writer's answers.
 *
 *     append: call id u32 | count u32 | count requests
 *     request: flags u8 | count u32 | key, if flagged | step of a source, if flagged | count messages
 *     key: window f64 | scope | key | fingerprint
 *     step: fence f64 | connector | origin | count u32 | count moves
 *     move: flags u8 | part | position before the step, if flagged | position after it
 *     position: identity | position f64
 *     message: flags u8 | ttl f64 | topic | data | event, if flagged
 *
 * Numbers are big-endian. A text, and bytes such as `fingerprint` and `data`, follow their length (u32).
 * A new field needs four changes: in this layout, its size (`…Bytes`), its writing (`pack…`) and its reading (`read…`). It also needs a new `HUB_VERSION`.
 */

/** The longest scope or key of an idempotency key. */
const APPENDED_KEY_MAX_CHARACTERS = 2_000;

const REQUEST_FLAG = { key: 1, step: 2 } as const;
const MOVE_FLAG = { before: 1 } as const;
const MESSAGE_FLAG = { json: 1, event: 2 } as const;

/** @returns The whole frame. */
export function packAppend(callId: number, requests: readonly AppendRequest[]): Buffer {
  const frame = frameFor(FRAME.append, CALL_ID_BYTES + COUNT_BYTES + requests.reduce((sum, request) => sum + requestBytes(request), 0));
  const writer = new ByteWriter(frame, FRAME_HEAD_BYTES);
  writer.u32(callId);
  writer.u32(requests.length);
  for (const { drafts, key, step } of requests) {
    writer.u8((key === undefined ? 0 : REQUEST_FLAG.key) | (step === undefined ? 0 : REQUEST_FLAG.step));
    writer.u32(drafts.length);
    if (key !== undefined) packKey(writer, key);
    if (step !== undefined) packStep(writer, step);
    for (const draft of drafts) packDraft(writer, draft);
  }
  return frame;
}

function packKey(writer: ByteWriter, { window, scope, key, fingerprint }: IdempotencyKey): void {
  writer.f64(window);
  writer.text(scope);
  writer.text(key);
  writer.bytes(fingerprint);
}

function packStep(writer: ByteWriter, { connector, fence, origin, moves }: SourceStep): void {
  writer.f64(fence);
  writer.text(connector);
  writer.text(origin);
  writer.u32(moves.length);
  for (const { part, from, to } of moves) {
    writer.u8(from === undefined ? 0 : MOVE_FLAG.before);
    writer.text(part);
    if (from !== undefined) packPosition(writer, from);
    packPosition(writer, to);
  }
}

function packPosition(writer: ByteWriter, { identity, position }: SourcePosition): void {
  writer.text(identity);
  writer.f64(position);
}

function packDraft(writer: ByteWriter, { topic, event, json, ttl, data }: Draft): void {
  writer.u8((json ? MESSAGE_FLAG.json : 0) | (event === undefined ? 0 : MESSAGE_FLAG.event));
  writer.f64(ttl);
  writer.text(topic);
  writer.bytes(data);
  if (event !== undefined) writer.text(event);
}

function requestBytes({ drafts, key, step }: AppendRequest): number {
  let size = FLAGS_BYTES + COUNT_BYTES + (step === undefined ? 0 : stepBytes(step));
  if (key !== undefined) size += F64_BYTES + textBytes(key.scope) + textBytes(key.key) + COUNT_BYTES + key.fingerprint.length;
  for (const { topic, event, data } of drafts) size += FLAGS_BYTES + F64_BYTES + textBytes(topic) + COUNT_BYTES + data.length + (event === undefined ? 0 : textBytes(event));
  return size;
}

function stepBytes({ connector, origin, moves }: SourceStep): number {
  let size = F64_BYTES + textBytes(connector) + textBytes(origin) + COUNT_BYTES;
  for (const { part, from, to } of moves) size += FLAGS_BYTES + textBytes(part) + (from === undefined ? 0 : positionBytes(from)) + positionBytes(to);
  return size;
}

function positionBytes({ identity }: SourcePosition): number {
  return textBytes(identity) + F64_BYTES;
}

export interface UnpackedAppend {
  readonly callId: number;
  /** Undefined if the frame is malformed. */
  readonly requests: readonly AppendRequest[] | undefined;
}

/** Reads the requests of another worker. They are untrusted: any program of the same user can connect to the hub. */
export function unpackAppend(body: Buffer): UnpackedAppend {
  const callId = body.readUInt32BE();
  // Copy the bytes, because the tail keeps the messages: a slice would keep the whole read from the socket in memory.
  return { callId, requests: unlessMalformed(() => readRequests(new ByteReader(ownCopy(body.subarray(CALL_ID_BYTES))))) };
}

function readRequests(reader: ByteReader): readonly AppendRequest[] {
  const requests = reader.list('requests', LIST_MAX_ENTRIES, readRequest);
  reader.end();
  return requests;
}

function readRequest(reader: ByteReader): AppendRequest {
  const flags = reader.u8();
  const count = reader.count('drafts', LIST_MAX_ENTRIES);
  const key = (flags & REQUEST_FLAG.key) === 0 ? undefined : readKey(reader);
  const step = (flags & REQUEST_FLAG.step) === 0 ? undefined : readStep(reader);
  const drafts: Draft[] = [];
  for (let index = 0; index < count; index++) drafts.push(readDraft(reader));
  return step === undefined ? { drafts, key } : { drafts, key, step };
}

function readKey(reader: ByteReader): IdempotencyKey {
  const window = reader.wholeNumber('window');
  return { scope: reader.text('scope', APPENDED_KEY_MAX_CHARACTERS), key: reader.text('key', APPENDED_KEY_MAX_CHARACTERS), window, fingerprint: reader.bytes() };
}

function readStep(reader: ByteReader): SourceStep {
  const fence = reader.wholeNumber('fence');
  const connector = reader.text('connector', CONNECTOR_NAME_MAX_BYTES);
  const origin = reader.text('origin', CONNECTOR_NAME_MAX_BYTES);
  return { connector, fence, origin, moves: reader.list('moves', SOURCE_MAX_PARTS, readMove) };
}

function readMove(reader: ByteReader): PositionMove {
  const flags = reader.u8();
  const part = reader.text('part', CONNECTOR_NAME_MAX_BYTES);
  const from = (flags & MOVE_FLAG.before) === 0 ? undefined : readPosition(reader);
  return { part, from, to: readPosition(reader) };
}

function readPosition(reader: ByteReader): SourcePosition {
  return { identity: reader.text('identity', CONNECTOR_NAME_MAX_BYTES), position: reader.wholeNumber('position') };
}

function readDraft(reader: ByteReader): Draft {
  const flags = reader.u8();
  const ttl = reader.wholeNumber('ttl');
  const topic = reader.text('topic', TOPIC_MAX_BYTES);
  const data = reader.bytes();
  return { topic, event: (flags & MESSAGE_FLAG.event) === 0 ? undefined : reader.text('event', EVENT_MAX_BYTES), json: (flags & MESSAGE_FLAG.json) !== 0, ttl, data };
}
