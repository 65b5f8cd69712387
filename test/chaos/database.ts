import type { Link } from '../support/link.ts';
import type { Fault, FaultKind } from './faults.ts';
import type { Fleet } from './fleet.ts';

/** How long an epoch lasts at least before it is lost: messages get a 201 in it, and each instance hears of it. Milliseconds. */
export const LOST_EPOCH_MS = 2_000;

/** What is done to a database; resolves when it is well again. */
export type Hurt = (fault: Fault, fleet: Fleet) => Promise<void>;

/** The database under a fleet, whichever it is: how instances reach it, and what can befall it. */
export interface FleetDatabase {
  /** DATABASE_URL of an instance. */
  url(instance: number): string;
  /** A command that every instance has to be started by, and that becomes it. */
  readonly by: readonly string[];
  /** Where the instances see it, if it is a file. */
  readonly file?: string;
  readonly faults: ReadonlyMap<FaultKind, Hurt>;
  /** Connections to it, by what they lie between. */
  readonly links: ReadonlyMap<string, Link>;
  /** What cannot be done here, and why. */
  readonly skipped: readonly string[];
}
