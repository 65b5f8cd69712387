import type { Balance, Debit, Holding, TopicCount } from '../../limits/ledger.ts';
import type { MemberPage, PresenceChange, PresenceChanges, PresenceCount, PresencePage } from '../../presence/place.ts';

/** The questions of a worker to the hub. A connection stands for one log: the first call that names one decides. */
export interface HubCalls {
  /** Begins a connection. The answer is the hub's version; a worker of another version asks nothing more. */
  readonly hello: Call<{ readonly version: number }, { readonly version: number }>;
  readonly ping: Call<object, null>;

  /** Joins the bus of the log: its commits and notes come from now on, also notes for this instance alone. Sent ones reach all others that joined. */
  readonly 'bus.join': Call<{ readonly log: string; readonly instance: string }, null>;
  readonly 'bus.leave': Call<object, null>;

  /** Begins a lease under a new name, before anything is written under it. */
  readonly 'presence.begin': Call<{ readonly log: string; readonly name: string; readonly leaseMs: number }, null>;
  /** Answers whether the lease still runs. */
  readonly 'presence.write': Call<{ readonly name: string; readonly changes: readonly PresenceChange[] }, boolean>;
  /** Everything was written: the new name counts from now on, and the old one no longer. Answers whether the lease still runs. */
  readonly 'presence.activate': Call<{ readonly name: string; readonly before: string; readonly leaseMs: number }, boolean>;
  /** Prolongs a lease, or sets its end. Answers whether it still ran. */
  readonly 'presence.renew': Call<{ readonly name: string; readonly leaseMs: number }, boolean>;
  /** This call and the ones below answer null if the lease of the asking worker has ended. */
  readonly 'presence.page': Call<{ readonly name: string; readonly topic: string; readonly after: string; readonly limit: number }, PresencePage | null>;
  readonly 'presence.counts': Call<{ readonly name: string; readonly topics: readonly string[] }, readonly PresenceCount[] | null>;
  readonly 'presence.topicsOf': Call<{ readonly name: string; readonly member: string; readonly after: string; readonly limit: number }, MemberPage | null>;
  readonly 'presence.changes': Call<{ readonly after: number }, PresenceChanges>;

  /** Joins the limits. The holdings of this worker end with its connection. */
  readonly 'limits.join': Call<{ readonly log: string; readonly instance: string }, null>;
  readonly 'limits.spend': Call<{ readonly debits: readonly Debit[] }, readonly Balance[]>;
  readonly 'limits.addTopics': Call<{ readonly owner: string; readonly topics: readonly string[]; readonly windowMs: number }, TopicCount>;
  readonly 'limits.hold': Call<{ readonly holdings: readonly Holding[] }, readonly boolean[]>;
  readonly 'limits.leave': Call<object, null>;

  /** Offers to write for all workers. The worker that offered first does. */
  readonly 'writer.join': Call<{ readonly log: string }, null>;
  /** This worker still answers the requests that were handed to it before. */
  readonly 'writer.leave': Call<object, null>;
}

interface Call<Argument, Value> {
  readonly argument: Argument;
  readonly value: Value;
}

export type HubCall = keyof HubCalls;
