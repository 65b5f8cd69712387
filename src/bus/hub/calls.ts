import type { Balance, Debit, Holding, TopicCount } from '../../limits/ledger.ts';
import type { MemberPage, PresenceChange, PresenceChanges, PresenceCount, PresencePage } from '../../presence/place.ts';

/** What a worker asks the hub. A connection stands for one log: the first call that names one decides. */
export interface HubCalls {
  /** Begins a connection. The answer is the hub's version: where that is another, nothing more is asked. */
  readonly hello: Call<{ readonly version: number }, { readonly version: number }>;
  readonly ping: Call<object, null>;

  /** From now on commits and notes of this log come, also those for this instance alone. Those that are sent reach all others that joined it. */
  readonly 'bus.join': Call<{ readonly log: string; readonly instance: string }, null>;
  readonly 'bus.leave': Call<object, null>;

  /** Begins a lease under a new name, before anything is told. */
  readonly 'presence.begin': Call<{ readonly log: string; readonly name: string; readonly leaseMs: number }, null>;
  /** The answer is whether the lease has not ended. */
  readonly 'presence.write': Call<{ readonly name: string; readonly changes: readonly PresenceChange[] }, boolean>;
  /** Everything was told: the name counts from now on, and the one before it no longer. The answer is whether the lease has not ended. */
  readonly 'presence.activate': Call<{ readonly name: string; readonly before: string; readonly leaseMs: number }, boolean>;
  /** Prolongs a lease, or sets its end. The answer is whether it had not ended. */
  readonly 'presence.renew': Call<{ readonly name: string; readonly leaseMs: number }, boolean>;
  /** Those below answer with null where the asker's lease has ended. */
  readonly 'presence.page': Call<{ readonly name: string; readonly topic: string; readonly after: string; readonly limit: number }, PresencePage | null>;
  readonly 'presence.counts': Call<{ readonly name: string; readonly topics: readonly string[] }, readonly PresenceCount[] | null>;
  readonly 'presence.topicsOf': Call<{ readonly name: string; readonly member: string; readonly after: string; readonly limit: number }, MemberPage | null>;
  readonly 'presence.changes': Call<{ readonly after: number }, PresenceChanges>;

  /** What this worker holds of limits ends with its connection. */
  readonly 'limits.join': Call<{ readonly log: string; readonly instance: string }, null>;
  readonly 'limits.spend': Call<{ readonly debits: readonly Debit[] }, readonly Balance[]>;
  readonly 'limits.addTopics': Call<{ readonly owner: string; readonly topics: readonly string[]; readonly windowMs: number }, TopicCount>;
  readonly 'limits.hold': Call<{ readonly holdings: readonly Holding[] }, readonly boolean[]>;
  readonly 'limits.leave': Call<object, null>;

  /** Stands ready to write for all workers: the one that has stood so for the longest does. */
  readonly 'writer.join': Call<{ readonly log: string }, null>;
  /** This worker still answers the requests that were handed to it before. */
  readonly 'writer.leave': Call<object, null>;
}

interface Call<Argument, Value> {
  readonly argument: Argument;
  readonly value: Value;
}

export type HubCall = keyof HubCalls;
