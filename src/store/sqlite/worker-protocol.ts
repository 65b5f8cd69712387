import type { StoreErrorKind, TrimPolicy } from '../store.ts';
import type { FileIdentity } from './connection.ts';
import type { Snapshot } from './log-state.ts';
import type { PackedMessages, PackedOutcomes, PackedRequests } from './worker-packing.ts';
import type { PackedQuery } from './query.ts';

/** What the store's threads say to each other: jobs to a worker, one reply to each. */
export interface Calls {
  open: { argument: undefined; value: { opened: Opened; log: Snapshot } };
  append: { argument: PackedRequests; value: { outcomes: PackedOutcomes; log: Snapshot } };
  read: { argument: PackedQuery; value: { messages: PackedMessages; scanned: number; examined: number; log: Snapshot } };
  state: { argument: undefined; value: { log: Snapshot } };
  seek: { argument: { time: number }; value: { seq: number; missing: boolean; log: Snapshot } };
  trim: { argument: TrimPolicy; value: { messages: number; keys: number; more: boolean; bytes: number; clock: number; log: Snapshot } };
  close: { argument: undefined; value: undefined };
}

export type Call = keyof Calls;

export interface Job<Name extends Call> {
  readonly id: number;
  readonly name: Name;
  readonly argument: Calls[Name]['argument'];
  /** Until when it may wait for a lock, by `monotonic`. */
  readonly deadline: number;
}

/** `value` or `failure`. */
export interface Reply {
  readonly id: number;
  readonly value?: Calls[Call]['value'];
  readonly failure?: { readonly kind: StoreErrorKind; readonly message: string };
}

/** The database that a store has opened, by which a worker that boots later knows it again. */
export interface Opened {
  readonly identity: FileIdentity;
  readonly logId: string;
}

export interface WorkerData {
  readonly file: string;
  readonly opened: Opened | undefined;
}
