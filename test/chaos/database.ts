import type { Link } from '../support/link.ts';
import type { Fault, FaultKind } from './faults.ts';

/** What is done to a database; resolves when it is well again. */
export type Hurt = (fault: Fault) => Promise<void>;

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
