import type { MemberPage, PresenceChange, PresenceChanges, PresenceCount, PresencePage } from '../place.ts';

/** The calls of the place to its thread: one reply to each. */
export interface Calls {
  /** Begins a lease that does not count yet. The value is its number, which no other has. */
  begin: { argument: { readonly process: string; readonly leaseMs: number }; value: number };
  /** False where the lease has ended: nothing was written. */
  write: { argument: { readonly lease: number; readonly changes: readonly PresenceChange[] }; value: boolean };
  /** From now on the lease counts, in the place of those before of the same process. False where it has ended. */
  activate: { argument: { readonly lease: number; readonly leaseMs: number }; value: boolean };
  look: { argument: { readonly lease: number; readonly leaseMs: number }; value: Seen };
  /** Removes a part of what a lease that has ended had written. The value is whether there is more. */
  sweep: { argument: { readonly lease: number }; value: boolean };
  /** How much longer than its lease a record counts. */
  end: { argument: { readonly lease: number; readonly lingerMs: number }; value: undefined };
  page: { argument: { readonly topic: string; readonly after: string; readonly limit: number }; value: PresencePage };
  counts: { argument: { readonly topics: readonly string[] }; value: readonly PresenceCount[] };
  topicsOf: { argument: { readonly member: string; readonly after: string; readonly limit: number }; value: MemberPage };
  changes: { argument: { readonly after: number }; value: PresenceChanges };
}

export type Call = keyof Calls;

/** The leases, as one process sees them. */
export interface Seen {
  /** Whether its own was prolonged. It has ended otherwise. */
  readonly isAlive: boolean;
  /** The processes whose leases count. */
  readonly told: readonly string[];
  /** The first few leases that have ended. */
  readonly ended: readonly number[];
  /** Whether there is any other lease, ended or not. */
  readonly hasOthers: boolean;
}

export interface Job {
  readonly id: number;
  readonly name: Call;
  readonly argument: Calls[Call]['argument'];
}

/** `value` or `failure`, which is for the logs. */
export interface Reply {
  readonly id: number;
  readonly value?: Calls[Call]['value'];
  readonly failure?: string;
}

export interface WorkerData {
  readonly file: string;
}
