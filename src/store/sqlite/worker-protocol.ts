import type { SourceStep } from '../contracts/connector-store.ts';
import type { Wiped } from '../contracts/erasure-store.ts';
import type { FoundBack, NewestBegin, NewestBounds, Sought, StoreErrorKind, Trimmed, TrimPolicy } from '../store.ts';
import type { KeyCall, KeyCalls } from './records/api-keys.ts';
import type { PackedAppended } from './messages/append.ts';
import type { ConnectorCall, ConnectorCalls } from './records/connectors.ts';
import type { FileIdentity } from './files/database-files.ts';
import type { ErasureCall, ErasureCalls } from './records/erasures.ts';
import type { AnswerWith, Snapshot } from './files/log-state.ts';
import type { LostEpochCall, LostEpochCalls } from './messages/lost-epochs.ts';
import type { PackedBackQuery, PackedPage, PackedQuery } from './messages/query.ts';
import type { RevocationCall, RevocationCalls } from './records/revocations.ts';
import type { SessionCall, SessionCalls } from './records/sessions.ts';
import type { Opener } from './shared-files.ts';
import type { TicketCall, TicketCalls } from './records/tickets.ts';
import type { TopicCall, TopicCalls } from './records/topics.ts';
import type { UsageCall, UsageCalls } from './records/usage.ts';
import type { WebhookCall, WebhookCalls } from './records/webhooks.ts';
import type { PackedRequests } from './messages/worker-packing.ts';

/** Calls beside the log: of keys, sessions, tickets, revocations, usage, topics, webhooks and connectors, and of what the log has lost. */
export type SideCalls = KeyCalls & SessionCalls & TicketCalls & RevocationCalls & UsageCalls & TopicCalls & LostEpochCalls & WebhookCalls & ConnectorCalls;
export type SideCall = KeyCall | SessionCall | TicketCall | RevocationCall | UsageCall | TopicCall | LostEpochCall | WebhookCall | ConnectorCall;

type SideWorkerCalls = { readonly [Name in SideCall]: { argument: SideCalls[Name]['argument']; value: AnswerWith<Snapshot, { answer: SideCalls[Name]['answer'] }> } };

type ErasureWorkerCalls = { readonly [Name in ErasureCall]: { argument: ErasureCalls[Name]['argument']; value: AnswerWith<Snapshot, { answer: ErasureCalls[Name]['answer'] }> } };

/** The jobs that the main thread sends to its workers, with one reply to each. */
export interface Calls extends SideWorkerCalls, ErasureWorkerCalls {
  open: { argument: undefined; value: { opened: Opened; log: Snapshot } };
  append: { argument: PackedRequests; value: AnswerWith<Snapshot, PackedAppended> };
  /** One request, which is a step of a source. */
  appendStep: { argument: { readonly request: PackedRequests; readonly step: SourceStep }; value: AnswerWith<Snapshot, PackedAppended> };
  read: { argument: PackedQuery; value: AnswerWith<Snapshot, PackedPage> };
  /** With the number of names that the database file has, and the length of the write-ahead log's file. */
  state: { argument: undefined; value: { log: Snapshot; links: number; walBytes: number } };
  newestWithin: { argument: NewestBounds; value: AnswerWith<Snapshot, NewestBegin> };
  seek: { argument: { time: number }; value: AnswerWith<Snapshot, Sought> };
  findBack: { argument: PackedBackQuery; value: AnswerWith<Snapshot, FoundBack> };
  trim: { argument: TrimPolicy; value: AnswerWith<Snapshot, Trimmed> };
  wipe: { argument: undefined; value: { log: Snapshot; wiped: Wiped } };
  /** Closes a connection whose files are lost, so that the other thread can connect again. */
  look: { argument: undefined; value: undefined };
  close: { argument: undefined; value: undefined };
}

export type Call = keyof Calls;

/** Jobs whose outcome the caller must know (invariant 1). A job that began, and has no answer, may have happened. */
export const ACKNOWLEDGED: ReadonlySet<Call> = new Set<Call>(['append', 'appendStep', 'createKey', 'rotateKey', 'revokeKey', 'createSession', 'endSession', 'createTicket', 'useTickets', 'renewTicket', 'revoke', 'eraseMessage', 'eraseTopic', 'createWebhook', 'changeWebhook', 'deleteWebhook']);

export interface Job<Name extends Call> {
  readonly id: number;
  readonly name: Name;
  readonly argument: Calls[Name]['argument'];
  /** When it stops waiting for a lock, by `monotonic`. */
  readonly deadline: number;
}

/** `value` or `failure`. */
export interface Reply {
  readonly id: number;
  readonly value?: Calls[Call]['value'];
  readonly failure?: { readonly kind: StoreErrorKind; readonly message: string; readonly isDamage: boolean; readonly isLost: boolean };
}

/** Identifies the database that a store has opened, for workers that boot later. */
export interface Opened {
  readonly identity: FileIdentity;
  readonly logId: string;
}

export interface WorkerData {
  readonly file: string;
  readonly opener: Opener;
  /** `SharedFiles.shared`. */
  readonly sharedFiles: SharedArrayBuffer;
  /** `JobClaims.shared`. */
  readonly claims: SharedArrayBuffer;
  readonly opened: Opened | undefined;
}
