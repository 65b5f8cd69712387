import type { SourceStep } from '../contracts/connector-store.ts';
import type { Wiped } from '../contracts/erasure-store.ts';
import type { FoundBack, NewestBegin, NewestBounds, Sought, StoreErrorKind, Trimmed, TrimPolicy } from '../store.ts';
import { KEY_EFFECTS, type KeyCalls } from './records/api-keys.ts';
import type { PackedAppended } from './messages/append.ts';
import { CONNECTOR_EFFECTS, type ConnectorCalls } from './records/connectors.ts';
import type { FileIdentity } from './files/database-files.ts';
import { ERASURE_EFFECTS, type ErasureCalls } from './records/erasures.ts';
import type { AnswerWith, Snapshot } from './files/log-state.ts';
import { LOST_EPOCH_EFFECTS, type LostEpochCalls } from './records/lost-epochs.ts';
import type { PackedBackQuery, PackedPage, PackedQuery } from './messages/query.ts';
import type { CallEffects, CallTypes, Effect } from './records/side-call.ts';
import { REVOCATION_EFFECTS, type RevocationCalls } from './records/revocations.ts';
import { SESSION_EFFECTS, type SessionCalls } from './records/sessions.ts';
import type { Opener } from './shared-files.ts';
import { TICKET_EFFECTS, type TicketCalls } from './records/tickets.ts';
import { TOPIC_EFFECTS, type TopicCalls } from './records/topics.ts';
import { USAGE_EFFECTS, type UsageCalls } from './records/usage.ts';
import { WEBHOOK_EFFECTS, type WebhookCalls } from './records/webhooks.ts';
import type { PackedRequests } from './messages/worker-packing.ts';

/** Calls about anything but messages and their erasures (side-call.ts). */
export type SideCalls = KeyCalls & SessionCalls & TicketCalls & RevocationCalls & UsageCalls & TopicCalls & LostEpochCalls & WebhookCalls & ConnectorCalls;
export type SideCall = keyof SideCalls;

export const SIDE_EFFECTS: CallEffects<SideCalls> = {
  ...KEY_EFFECTS, ...SESSION_EFFECTS, ...TICKET_EFFECTS, ...REVOCATION_EFFECTS, ...USAGE_EFFECTS, ...TOPIC_EFFECTS, ...LOST_EPOCH_EFFECTS, ...WEBHOOK_EFFECTS, ...CONNECTOR_EFFECTS,
};

/** The jobs that perform calls: each returns the call's answer, and the state of the log. */
type JobsOf<Types extends CallTypes<Types>> = { readonly [Name in keyof Types]: { argument: Types[Name]['argument']; value: AnswerWith<Snapshot, { answer: Types[Name]['answer'] }> } };

/** The jobs that the main thread sends to its workers, with one reply to each. */
export interface Calls extends JobsOf<SideCalls>, JobsOf<ErasureCalls> {
  open: { argument: undefined; value: { opened: Opened; log: Snapshot } };
  append: { argument: PackedRequests; value: AnswerWith<Snapshot, PackedAppended> };
  /** One request of a source, with its step. */
  appendStep: { argument: { readonly request: PackedRequests; readonly step: SourceStep }; value: AnswerWith<Snapshot, PackedAppended> };
  read: { argument: PackedQuery; value: AnswerWith<Snapshot, PackedPage> };
  /** Also returns how many names (hard links) the database file has, and the length of the write-ahead log. */
  state: { argument: undefined; value: { log: Snapshot; links: number; walBytes: number } };
  newestWithin: { argument: NewestBounds; value: AnswerWith<Snapshot, NewestBegin> };
  seek: { argument: { time: number }; value: AnswerWith<Snapshot, Sought> };
  findBack: { argument: PackedBackQuery; value: AnswerWith<Snapshot, FoundBack> };
  trim: { argument: TrimPolicy; value: AnswerWith<Snapshot, Trimmed> };
  wipe: { argument: undefined; value: { log: Snapshot; wiped: Wiped } };
  /** Closes the worker's connection if its files are lost. The other worker can connect again only then (shared-files.ts). */
  look: { argument: undefined; value: undefined };
  close: { argument: undefined; value: undefined };
}

export type Call = keyof Calls;

/** Jobs whose outcome the caller must know (invariant 1). A job that began, and whose answer is lost, may have happened. */
export const ACKNOWLEDGED: ReadonlySet<Call> = new Set<Call>(['append', 'appendStep', ...commitsOf(SIDE_EFFECTS), ...commitsOf(ERASURE_EFFECTS)]);

/** The names of the calls with the effect `commit`. */
function commitsOf<Name extends Call>(effects: Readonly<Partial<Record<Name, Effect>>>): Name[] {
  return (Object.keys(effects) as Name[]).filter((name) => effects[name] === 'commit');
}

/** A call on its way to a worker. */
export interface Job<Name extends Call> {
  readonly id: number;
  readonly name: Name;
  readonly argument: Calls[Name]['argument'];
  /** Until when the job waits for a lock, by `monotonic`. */
  readonly deadline: number;
}

/** Has `value` or `failure`. */
export interface Reply {
  readonly id: number;
  readonly value?: Calls[Call]['value'];
  readonly failure?: Failure;
}

/** A `StoreError` on its way between the threads, where an error would lose its class. */
export interface Failure {
  readonly kind: StoreErrorKind;
  readonly message: string;
  /** Whether it is a `DamageError`. */
  readonly isDamage: boolean;
  /** Whether it is, or is caused by, a `LostFileError`. */
  readonly isLost: boolean;
}

/** The file and the log that a store has opened. A worker that boots later must find the same. */
export interface Opened {
  readonly identity: FileIdentity;
  readonly logId: string;
}

/** The start data of a worker. */
export interface WorkerData {
  readonly file: string;
  readonly opener: Opener;
  /** `SharedFiles.shared`. */
  readonly sharedFiles: SharedArrayBuffer;
  /** `JobClaims.shared`. */
  readonly claims: SharedArrayBuffer;
  readonly opened: Opened | undefined;
}
