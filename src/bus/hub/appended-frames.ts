import type { Appended, Outcome, StoreError, StoreErrorKind } from '../../store/store.ts';
import { MalformedCall } from './argument.ts';
import { ByteReader, ByteWriter, COUNT_BYTES, F64_BYTES, FLAGS_BYTES, LIST_MAX_ENTRIES, textBytes, unlessMalformed } from './bytes.ts';
import { CALL_ID_BYTES, FRAME, FRAME_HEAD_BYTES, frameFor, HANDED } from './frames.ts';

/**
 * The frames that answer the requests of `append-frames.ts`. The writer packs them; the hub sets the byte `HANDED`.
 *
 *     appended: call id u32 | HANDED u8 | kind u8 | written or failure
 *     appended, if no writer answered: call id u32 | HANDED u8
 *     written: flags u8 | oldest f64 | head f64 | now f64 | erasures f64, if flagged | epoch | count u32 | count outcomes
 *     outcome, conflict or outdated: code u8
 *     outcome, stored or replayed: code u8 | first f64 | time f64 | epoch, if the code is flagged
 *     failure: kind u8 | message
 *
 * Numbers are big-endian. A text follows its length (u32). An outcome has the epoch of `written`, unless its code is flagged.
 * A new field needs four changes: in this layout, its size, its writing (`pack…`) and its reading (`read…`). It also needs a new `HUB_VERSION`.
 */

const HANDED_BYTES = 1;
const KIND_BYTES = 1;

const ANSWER_KIND = { written: 0, failure: 1 } as const;

const WRITTEN_FLAG = { published: 1, erasures: 2 } as const;

const OUTCOME_CODE = { conflict: 0, stored: 1, replayed: 2, outdated: 3 } as const;
/** Added to the code `stored` or `replayed`: the outcome's own epoch follows. */
const OUTCOME_FLAG = { epoch: 4 } as const;

/** The code of a failure is its index. */
const FAILURE_KINDS: readonly StoreErrorKind[] = ['unavailable', 'outcome-unknown', 'refused'];

/** The state of the log after a commit. It names only the newest epoch: a worker that does not know this epoch reads the epochs from the database. */
export interface WrittenLog {
  readonly epoch: string;
  readonly oldest: number;
  readonly head: number;
  readonly now: number;
  readonly erasures?: number;
}

export interface Written {
  readonly outcomes: readonly Outcome[];
  readonly log: WrittenLog;
  /** Whether the writer has sent these messages over the bus. */
  readonly isPublished: boolean;
}

/** Empty if no writer answered. */
interface Answer {
  readonly written?: Written;
  readonly failure?: { readonly kind: StoreErrorKind; readonly message: string };
}

/** @returns The whole frame. */
export function packAppended(callId: number, { outcomes, log: { lineage, oldest, head, now, erasures }, isPublished = false }: Appended): Buffer {
  const epoch = lineage.epochs.at(-1)?.epoch ?? '';
  const size = FLAGS_BYTES + 3 * F64_BYTES + (erasures === undefined ? 0 : F64_BYTES) + textBytes(epoch) + COUNT_BYTES + outcomes.reduce((sum, outcome) => sum + outcomeBytes(outcome, epoch), 0);
  const { frame, writer } = answerFrame(callId, ANSWER_KIND.written, size);
  writer.u8((isPublished ? WRITTEN_FLAG.published : 0) | (erasures === undefined ? 0 : WRITTEN_FLAG.erasures));
  writer.f64(oldest);
  writer.f64(head);
  writer.f64(now);
  if (erasures !== undefined) writer.f64(erasures);
  writer.text(epoch);
  writer.u32(outcomes.length);
  for (const outcome of outcomes) packOutcome(writer, outcome, epoch);
  return frame;
}

function packOutcome(writer: ByteWriter, outcome: Outcome, epoch: string): void {
  if (outcome.kind === 'conflict' || outcome.kind === 'outdated') {
    writer.u8(OUTCOME_CODE[outcome.kind]);
    return;
  }
  const hasOwnEpoch = outcome.epoch !== epoch;
  writer.u8(OUTCOME_CODE[outcome.kind] + (hasOwnEpoch ? OUTCOME_FLAG.epoch : 0));
  writer.f64(outcome.first);
  writer.f64(outcome.time);
  if (hasOwnEpoch) writer.text(outcome.epoch);
}

function outcomeBytes(outcome: Outcome, epoch: string): number {
  if (outcome.kind === 'conflict' || outcome.kind === 'outdated') return FLAGS_BYTES;
  return FLAGS_BYTES + 2 * F64_BYTES + (outcome.epoch === epoch ? 0 : textBytes(outcome.epoch));
}

/** @returns The whole frame. */
export function packFailure(callId: number, { kind, message }: StoreError): Buffer {
  const { frame, writer } = answerFrame(callId, ANSWER_KIND.failure, KIND_BYTES + textBytes(message));
  writer.u8(FAILURE_KINDS.indexOf(kind));
  writer.text(message);
  return frame;
}

function answerFrame(callId: number, kind: number, size: number): { readonly frame: Buffer; readonly writer: ByteWriter } {
  const frame = frameFor(FRAME.appended, CALL_ID_BYTES + HANDED_BYTES + KIND_BYTES + size);
  const writer = new ByteWriter(frame, FRAME_HEAD_BYTES);
  writer.u32(callId);
  writer.u8(HANDED.answered);
  writer.u8(kind);
  return { frame, writer };
}

/**
 * Reads an answer. It is untrusted: any program of the same user can connect to the hub. A malformed answer counts as lost.
 * @returns The number of the call, the hub's verdict (`HANDED`), and the writer's answer.
 */
export function unpackAppended(body: Buffer): { readonly callId: number; readonly handed: number; readonly answer: Answer } {
  const callId = body.readUInt32BE();
  const handed = body[CALL_ID_BYTES]!;
  if (body.length === CALL_ID_BYTES + HANDED_BYTES && handed !== HANDED.answered) return { callId, handed, answer: {} };
  const answer = unlessMalformed(() => readAnswer(new ByteReader(body.subarray(CALL_ID_BYTES + HANDED_BYTES))));
  return answer === undefined ? { callId, handed: HANDED.lost, answer: {} } : { callId, handed, answer };
}

function readAnswer(reader: ByteReader): Answer {
  const kind = reader.u8();
  if (kind !== ANSWER_KIND.written && kind !== ANSWER_KIND.failure) throw new MalformedCall('kind');
  const answer = kind === ANSWER_KIND.written ? { written: readWritten(reader) } : { failure: readFailure(reader) };
  reader.end();
  return answer;
}

function readFailure(reader: ByteReader): Answer['failure'] {
  const kind = FAILURE_KINDS[reader.u8()];
  if (kind === undefined) throw new MalformedCall('failure');
  return { kind, message: reader.text('message', Infinity) };
}

function readWritten(reader: ByteReader): Written {
  const flags = reader.u8();
  const oldest = reader.wholeNumber('oldest');
  const head = reader.wholeNumber('head');
  const now = reader.wholeNumber('now');
  const erasures = (flags & WRITTEN_FLAG.erasures) === 0 ? {} : { erasures: reader.wholeNumber('erasures') };
  const epoch = reader.text('epoch', Infinity);
  const outcomes = reader.list('outcomes', LIST_MAX_ENTRIES, () => readOutcome(reader, epoch));
  return { outcomes, log: { epoch, oldest, head, now, ...erasures }, isPublished: (flags & WRITTEN_FLAG.published) !== 0 };
}

function readOutcome(reader: ByteReader, epoch: string): Outcome {
  const code = reader.u8();
  if (code === OUTCOME_CODE.conflict) return { kind: 'conflict' };
  if (code === OUTCOME_CODE.outdated) return { kind: 'outdated' };
  const hasOwnEpoch = (code & OUTCOME_FLAG.epoch) !== 0;
  const bare = code & ~OUTCOME_FLAG.epoch;
  if (bare !== OUTCOME_CODE.stored && bare !== OUTCOME_CODE.replayed) throw new MalformedCall('outcome');
  const first = reader.wholeNumber('first');
  const time = reader.wholeNumber('time');
  return { kind: bare === OUTCOME_CODE.stored ? 'stored' : 'replayed', epoch: hasOwnEpoch ? reader.text('epoch', Infinity) : epoch, first, time };
}
