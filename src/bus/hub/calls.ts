import type { Balance, Debit, Holding, TopicCount } from '../../limits/ledger.ts';
import type { MemberPage, PresenceChange, PresenceChanges, PresenceCount, PresencePage } from '../../presence/place.ts';

/** The calls of a worker to the hub. A connection belongs to one log: the first call with a `log` decides. */
export interface HubCalls {
  /** Begins a connection. Returns the hub's version; a worker of another version sends no further call. */
  readonly hello: Call<{ readonly version: number }, { readonly version: number }>;
  readonly ping: Call<object, null>;

  /** Joins the bus of the log. From now on the worker receives the commits and notes of the others, and the others receive those of this worker. */
  readonly 'bus.join': Call<{ readonly log: string; readonly instance: string }, null>;
  readonly 'bus.leave': Call<object, null>;

  /** Begins a lease. Call it before `presence.write` with its name. */
  readonly 'presence.begin': Call<{ readonly log: string; readonly name: string; readonly leaseMs: number }, null>;
  /** Returns whether the lease still runs. */
  readonly 'presence.write': Call<{ readonly name: string; readonly changes: readonly PresenceChange[] }, boolean>;
  /** Call it once all entries are written. The entries under `name` count from now on, and those under `before` do not. Returns whether the lease still runs. */
  readonly 'presence.activate': Call<{ readonly name: string; readonly before: string; readonly leaseMs: number }, boolean>;
  /** Sets the time that a lease still runs. Returns whether it still ran. */
  readonly 'presence.renew': Call<{ readonly name: string; readonly leaseMs: number }, boolean>;
  /** This call and the next two return null if the worker's lease has ended. */
  readonly 'presence.page': Call<{ readonly name: string; readonly topic: string; readonly after: string; readonly limit: number }, PresencePage | null>;
  readonly 'presence.counts': Call<{ readonly name: string; readonly topics: readonly string[] }, readonly PresenceCount[] | null>;
  readonly 'presence.topicsOf': Call<{ readonly name: string; readonly member: string; readonly after: string; readonly limit: number }, MemberPage | null>;
  readonly 'presence.changes': Call<{ readonly after: number }, PresenceChanges>;

  /** Joins the limits. The hub frees this worker's places when its connection ends. */
  readonly 'limits.join': Call<{ readonly log: string; readonly instance: string }, null>;
  readonly 'limits.spend': Call<{ readonly debits: readonly Debit[] }, readonly Balance[]>;
  readonly 'limits.addTopics': Call<{ readonly owner: string; readonly topics: readonly string[]; readonly windowMs: number }, TopicCount>;
  readonly 'limits.hold': Call<{ readonly holdings: readonly Holding[] }, readonly boolean[]>;
  readonly 'limits.leave': Call<object, null>;

  /** Offers to write for all workers. The hub takes the worker that offered first. */
  readonly 'writer.join': Call<{ readonly log: string }, null>;
  /** Withdraws the offer. The worker still answers the requests that it has received before. */
  readonly 'writer.leave': Call<object, null>;
}

interface Call<Argument, Value> {
  readonly argument: Argument;
  readonly value: Value;
}

export type HubCall = keyof HubCalls;
