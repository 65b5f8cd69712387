import type { Peer } from '../types.ts';

/** What a scenario is made of. The runner alternates the peers and repeats; a scenario measures one peer once. */

/** A column of a scenario's table. */
export interface Figure {
  readonly key: string;
  /** As the table's head says it, unit included. */
  readonly title: string;
  /** Digits after the point. */
  readonly digits: number;
}

/** What one measurement of one peer gave. */
export interface Round {
  readonly figures: Readonly<Record<string, number>>;
  readonly faults: Faults;
  /** The share of a core that the busiest load process used; 0 where none could have been the limit. */
  readonly busy: number;
  /** The share of a core that anything else in the machine used meanwhile; absent where that cannot be told. */
  readonly others?: number;
}

/** What must be zero. Publishes that were refused are told apart, since a service may say no and keep its promise. */
export interface Faults {
  readonly lost: number;
  readonly doubled: number;
  readonly reordered: number;
  readonly refused: number;
  /** Streams that ended though nobody cut them, and that were told of a gap. */
  readonly ended: number;
}

export const NO_FAULTS: Faults = { lost: 0, doubled: 0, reordered: 0, refused: 0, ended: 0 };

/** What a case is given besides the peer. */
export interface Setting {
  /** Smaller numbers, to see that everything works; the figures mean nothing. */
  readonly quick: boolean;
  /** Counts from 0. */
  readonly round: number;
  /** A folder that lives as long as the run: logs that several rounds read from. */
  readonly scratch: string;
  /** What the same case gave for the same peer in the rounds before: where a search begins. */
  readonly before: readonly Round[];
  readonly say: (progress: string) => void;
}

/** One line of the table for each peer. */
export interface Case {
  readonly title: string;
  /** The heading of the table that it stands in, where a scenario has more than one; a table shows the columns that its cases fill. */
  readonly table?: string;
  /** The only peers that can do this; `--all` does not widen it. */
  readonly peers?: readonly string[];
  /** The peers of this case, where a target names fewer of them than of the scenario. */
  readonly usual?: readonly string[];
  /** What this case needs beyond the peer and is not installed, with the line that installs it. */
  missing?(): string | undefined;
  run(peer: Peer, setting: Setting): Promise<Round>;
}

/** Something that was to be reached, found out from the rounds of the same run. */
export interface Target {
  /** Its number in the list of what was to be reached. */
  readonly number: number;
  /** "CPU per delivered event, over Nchan's" */
  readonly says: string;
  readonly at: 'most' | 'least';
  readonly limit: number;
  readonly unit: string;
  readonly digits: number;
  /** One value for each round, or one for all of them; undefined where something that it needs was not measured. */
  value(rounds: Lookup): readonly number[] | undefined;
  /** Tried for, but not demanded. */
  readonly wish?: boolean;
}

/** The rounds of one case and peer; undefined if they were not measured. */
export type Lookup = (caseTitle: string, peer: string) => readonly Round[] | undefined;

export interface Scenario {
  readonly name: string;
  readonly title: string;
  /** One paragraph: what is done, and what counts from when to when. */
  readonly how: string;
  /** What to know before the figures are believed. */
  readonly caveats: readonly string[];
  /** Names of peers, as in their list. */
  readonly peers: readonly string[];
  readonly figures: readonly Figure[];
  readonly cases: readonly Case[];
  readonly targets: readonly Target[];
  /** Not part of a run that names no scenario. */
  readonly onDemand?: boolean;
  /** Where one measurement is long: how many, whatever the command line says. */
  readonly rounds?: number;
}
