import { EVENT_MAX_BYTES } from '../../config/content-limits.ts';
import type { Draft } from '../../model/message.ts';
import { TOPIC_MAX_BYTES } from '../../model/topic.ts';
import { ownCopy } from '../../runtime/memory.ts';
import { CONNECTOR_NAME_MAX_BYTES, SOURCE_MAX_PARTS, type PositionMove, type SourcePosition, type SourceStep } from '../../store/contracts/connector-store.ts';
import type { Appended, AppendRequest, IdempotencyKey, Outcome, StoreError, StoreErrorKind } from '../../store/store.ts';
import { MalformedCall } from './argument.ts';
import { ByteReader, ByteWriter, textBytes } from './bytes.ts';
import { FRAME, FRAME_HEAD_BYTES, frameFor, HANDED } from './frames.ts';

/**
 * The wire between a worker that publishes and the worker that writes. Numbers are big-endian.
 *
 *     requests: number u32 | count u32 | count requests
 *     request: flags u8 | count u32 | key, if flagged | step of a source, if flagged | count messages
 *     key: window f64 | scope | name | fingerprint, each after its length u32
 *     step: fence f64 | connector | origin | count u32 | count moves
 *     move: flags u8 | part | the position before, if flagged | the position after; each position is identity and f64
 *     message: flags u8 | ttl f64 | topic | data | event, if flagged, each after its length u32
 *
 *     answer: number u32 | HANDED u8 | kind u8 | what was written, or the failure; nothing after HANDED where only the hub answers
 *     written: flags u8 | oldest, head, now f64 | erasures f64, if flagged | epoch, after its length u32 | count u32 | count outcomes
 *     outcome: code u8 | first, time f64 | epoch, after its length u32, where it is not that of the log
 *     failure: kind u8 | message, after its length u32
 */

const APPEND_NUMBER_BYTES = 4;
const COUNT_BYTES = 4;
const FLAGS_BYTES = 1;
const F64_BYTES = 8;

/** Requests in one commit, and messages in one request. */
const APPENDED_MAX_REQUESTS = 10_000;

/** The longest scope or name of an idempotency key. */
const APPENDED_KEY_MAX_CHARACTERS = 2_000;

/** The flags of each part that has some. */
const REQUEST_FLAG = { key: 1, step: 2 } as const;
const MOVE_FLAG = { before: 1 } as const;
const MESSAGE_FLAG = { json: 1, event: 2 } as const;
const WRITTEN_FLAG = { told: 1, erasures: 2 } as const;

const ANSWER_WRITTEN_CODE = 0;
const ANSWER_FAILURE_CODE = 1;

const OUTCOME_CONFLICT_CODE = 0;
const OUTCOME_STORED_CODE = 1;
const OUTCOME_REPLAYED_CODE = 2;
const OUTCOME_OUTDATED_CODE = 3;
/** Added to the code of a stored or replayed request whose epoch is not that of the log: its epoch follows. */
const OUTCOME_FLAG = { epoch: 4 } as const;

const FAILURE_KINDS: readonly StoreErrorKind[] = ['unavailable', 'outcome-unknown', 'refused'];

/** The state of the log after a commit, from the writer. Its epochs are those that the other workers read from the log themselves. */
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
  readonly isTold: boolean;
}

interface Answer {
  readonly written?: Written;
  readonly failure?: { readonly kind: StoreErrorKind; readonly message: string };
}

/** @returns The whole frame. */
export function packAppend(number: number, requests: readonly AppendRequest[]): Buffer {
  const frame = frameFor(FRAME.append, APPEND_NUMBER_BYTES + COUNT_BYTES + requests.reduce((sum, request) => sum + requestBytes(request), 0));
  const to = new ByteWriter(frame, FRAME_HEAD_BYTES);
  to.u32(number);
  to.u32(requests.length);
  for (const { drafts, key, step } of requests) {
    to.u8((key === undefined ? 0 : REQUEST_FLAG.key) | (step === undefined ? 0 : REQUEST_FLAG.step));
    to.u32(drafts.length);
    if (key !== undefined) {
      to.f64(key.window);
      to.text(key.scope);
      to.text(key.key);
      to.bytes(key.fingerprint);
    }
    if (step !== undefined) packStep(to, step);
    for (const { topic, event, json, ttl, data } of drafts) {
      to.u8((json ? MESSAGE_FLAG.json : 0) | (event === undefined ? 0 : MESSAGE_FLAG.event));
      to.f64(ttl);
      to.text(topic);
      to.bytes(data);
      if (event !== undefined) to.text(event);
    }
  }
  return frame;
}

function packStep(to: ByteWriter, { connector, fence, origin, moves }: SourceStep): void {
  to.f64(fence);
  to.text(connector);
  to.text(origin);
  to.u32(moves.length);
  for (const { part, from, to: after } of moves) {
    to.u8(from === undefined ? 0 : MOVE_FLAG.before);
    to.text(part);
    for (const position of from === undefined ? [after] : [from, after]) {
      to.text(position.identity);
      to.f64(position.position);
    }
  }
}

function stepBytes({ connector, origin, moves }: SourceStep): number {
  let size = F64_BYTES + textBytes(connector) + textBytes(origin) + COUNT_BYTES;
  for (const { part, from, to } of moves) size += FLAGS_BYTES + textBytes(part) + (from === undefined ? 0 : positionBytes(from)) + positionBytes(to);
  return size;
}

function positionBytes({ identity }: SourcePosition): number {
  return textBytes(identity) + F64_BYTES;
}

function requestBytes({ drafts, key, step }: AppendRequest): number {
  let size = FLAGS_BYTES + COUNT_BYTES + (step === undefined ? 0 : stepBytes(step));
  if (key !== undefined) size += F64_BYTES + textBytes(key.scope) + textBytes(key.key) + COUNT_BYTES + key.fingerprint.length;
  for (const { topic, event, data } of drafts) size += FLAGS_BYTES + F64_BYTES + textBytes(topic) + COUNT_BYTES + data.length + (event === undefined ? 0 : textBytes(event));
  return size;
}

/** Requests that another worker handed on; undefined where they cannot be read. */
export interface UnpackedAppend {
  readonly number: number;
  readonly requests: readonly AppendRequest[] | undefined;
}

/** Any program of the same user may have sent it. */
export function unpackAppend(body: Buffer): UnpackedAppend {
  const number = body.readUInt32BE();
  // The tail keeps messages. Without a copy, a small one would hold all of one large read from the socket.
  return { number, requests: unlessMalformed(() => readRequests(new ByteReader(ownCopy(body.subarray(APPEND_NUMBER_BYTES))))) };
}

function readRequests(from: ByteReader): readonly AppendRequest[] {
  const requests = listOf(from, APPENDED_MAX_REQUESTS, 'requests', readRequest);
  from.end();
  return requests;
}

function readRequest(from: ByteReader): AppendRequest {
  const flags = from.u8();
  const count = countOf(from, APPENDED_MAX_REQUESTS, 'drafts');
  const key = (flags & REQUEST_FLAG.key) === 0 ? undefined : readKey(from);
  const step = (flags & REQUEST_FLAG.step) === 0 ? undefined : readStep(from);
  const drafts: Draft[] = [];
  for (let index = 0; index < count; index++) drafts.push(readDraft(from));
  return step === undefined ? { drafts, key } : { drafts, key, step };
}

function readKey(from: ByteReader): IdempotencyKey {
  const window = from.wholeNumber('window');
  return { scope: from.text('scope', APPENDED_KEY_MAX_CHARACTERS), key: from.text('key', APPENDED_KEY_MAX_CHARACTERS), window, fingerprint: from.bytes() };
}

function readStep(from: ByteReader): SourceStep {
  const fence = from.wholeNumber('fence');
  const [connector, origin] = [from.text('connector', CONNECTOR_NAME_MAX_BYTES), from.text('origin', CONNECTOR_NAME_MAX_BYTES)];
  return { connector, fence, origin, moves: listOf(from, SOURCE_MAX_PARTS, 'moves', readMove) };
}

function readMove(from: ByteReader): PositionMove {
  const flags = from.u8();
  const part = from.text('part', CONNECTOR_NAME_MAX_BYTES);
  const before = (flags & MOVE_FLAG.before) === 0 ? undefined : readPosition(from);
  return { part, from: before, to: readPosition(from) };
}

function readPosition(from: ByteReader): SourcePosition {
  return { identity: from.text('identity', CONNECTOR_NAME_MAX_BYTES), position: from.wholeNumber('position') };
}

function readDraft(from: ByteReader): Draft {
  const flags = from.u8();
  const ttl = from.wholeNumber('ttl');
  const topic = from.text('topic', TOPIC_MAX_BYTES);
  const data = from.bytes();
  return { topic, event: (flags & MESSAGE_FLAG.event) === 0 ? undefined : from.text('event', EVENT_MAX_BYTES), json: (flags & MESSAGE_FLAG.json) !== 0, ttl, data };
}

/** @returns The whole frame. The hub may replace its HANDED byte. */
export function packAppended(number: number, { outcomes, log: { lineage, oldest, head, now, erasures }, isTold = false }: Appended): Buffer {
  const epoch = lineage.epochs.at(-1)?.epoch ?? '';
  const size = FLAGS_BYTES + 3 * F64_BYTES + (erasures === undefined ? 0 : F64_BYTES) + textBytes(epoch) + COUNT_BYTES + outcomes.reduce((sum, outcome) => sum + outcomeBytes(outcome, epoch), 0);
  const { frame, to } = answerFrame(number, ANSWER_WRITTEN_CODE, size);
  to.u8((isTold ? WRITTEN_FLAG.told : 0) | (erasures === undefined ? 0 : WRITTEN_FLAG.erasures));
  for (const value of [oldest, head, now]) to.f64(value);
  if (erasures !== undefined) to.f64(erasures);
  to.text(epoch);
  to.u32(outcomes.length);
  for (const outcome of outcomes) {
    if (outcome.kind === 'conflict' || outcome.kind === 'outdated') {
      to.u8(outcome.kind === 'conflict' ? OUTCOME_CONFLICT_CODE : OUTCOME_OUTDATED_CODE);
      continue;
    }
    const hasEpoch = outcome.epoch !== epoch;
    to.u8((outcome.kind === 'stored' ? OUTCOME_STORED_CODE : OUTCOME_REPLAYED_CODE) + (hasEpoch ? OUTCOME_FLAG.epoch : 0));
    to.f64(outcome.first);
    to.f64(outcome.time);
    if (hasEpoch) to.text(outcome.epoch);
  }
  return frame;
}

function outcomeBytes(outcome: Outcome, epoch: string): number {
  return FLAGS_BYTES + (outcome.kind === 'conflict' || outcome.kind === 'outdated' ? 0 : 2 * F64_BYTES + (outcome.epoch === epoch ? 0 : textBytes(outcome.epoch)));
}

/** @returns The whole frame. The hub may replace its HANDED byte. */
export function packFailure(number: number, { kind, message }: StoreError): Buffer {
  const { frame, to } = answerFrame(number, ANSWER_FAILURE_CODE, FLAGS_BYTES + textBytes(message));
  to.u8(FAILURE_KINDS.indexOf(kind));
  to.text(message);
  return frame;
}

function answerFrame(number: number, kind: number, size: number): { readonly frame: Buffer; readonly to: ByteWriter } {
  const frame = frameFor(FRAME.appended, APPEND_NUMBER_BYTES + 2 * FLAGS_BYTES + size);
  const to = new ByteWriter(frame, FRAME_HEAD_BYTES);
  to.u32(number);
  to.u8(HANDED.answered);
  to.u8(kind);
  return { frame, to };
}

/** @returns What the hub says, and what the writer says. An answer that nobody can read counts as lost: any program of the same user may have sent it. */
export function unpackAppended(body: Buffer): { readonly number: number; readonly handed: number; readonly answer: Answer } {
  const [number, handed] = [body.readUInt32BE(), body[APPEND_NUMBER_BYTES]!];
  if (body.length === APPEND_NUMBER_BYTES + FLAGS_BYTES && handed !== HANDED.answered) return { number, handed, answer: {} };
  const answer = unlessMalformed(() => readAnswer(new ByteReader(body.subarray(APPEND_NUMBER_BYTES + FLAGS_BYTES))));
  return answer === undefined ? { number, handed: HANDED.lost, answer: {} } : { number, handed, answer };
}

function readAnswer(from: ByteReader): Answer {
  const kind = from.u8();
  if (kind !== ANSWER_WRITTEN_CODE && kind !== ANSWER_FAILURE_CODE) throw new MalformedCall('kind');
  const answer = kind === ANSWER_WRITTEN_CODE ? { written: readWritten(from) } : { failure: readFailure(from) };
  from.end();
  return answer;
}

function readFailure(from: ByteReader): Answer['failure'] {
  const kind = FAILURE_KINDS[from.u8()];
  if (kind === undefined) throw new MalformedCall('failure');
  return { kind, message: from.text('message', Infinity) };
}

function readWritten(from: ByteReader): Written {
  const flags = from.u8();
  const [oldest, head, now] = [from.wholeNumber('oldest'), from.wholeNumber('head'), from.wholeNumber('now')];
  const erasures = (flags & WRITTEN_FLAG.erasures) === 0 ? {} : { erasures: from.wholeNumber('erasures') };
  const epoch = from.text('epoch', Infinity);
  const outcomes = listOf(from, APPENDED_MAX_REQUESTS, 'outcomes', (outcome) => readOutcome(outcome, epoch));
  return { outcomes, log: { epoch, oldest, head, now, ...erasures }, isTold: (flags & WRITTEN_FLAG.told) !== 0 };
}

function readOutcome(from: ByteReader, epoch: string): Outcome {
  const code = from.u8();
  if (code === OUTCOME_CONFLICT_CODE) return { kind: 'conflict' };
  if (code === OUTCOME_OUTDATED_CODE) return { kind: 'outdated' };
  const kind = code & ~OUTCOME_FLAG.epoch;
  if (kind !== OUTCOME_STORED_CODE && kind !== OUTCOME_REPLAYED_CODE) throw new MalformedCall('outcome');
  const [first, time] = [from.wholeNumber('first'), from.wholeNumber('time')];
  return { kind: kind === OUTCOME_STORED_CODE ? 'stored' : 'replayed', epoch: kind === code ? epoch : from.text('epoch', Infinity), first, time };
}

function listOf<Item>(from: ByteReader, max: number, name: string, read: (from: ByteReader) => Item): Item[] {
  const items: Item[] = [];
  for (let left = countOf(from, max, name); left > 0; left--) items.push(read(from));
  return items;
}

function countOf(from: ByteReader, max: number, name: string): number {
  const count = from.u32();
  if (count > max) throw new MalformedCall(name);
  return count;
}

function unlessMalformed<Value>(read: () => Value): Value | undefined {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof MalformedCall)) throw error;
    return undefined;
  }
}
