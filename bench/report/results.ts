import { readFile, rename, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Lookup, Round } from '../scenarios/scenario.ts';
import type { Machine } from './machine.ts';

/** What bench/results.json holds: every round of the newest full run of each scenario, and what it was run on. */

const RESULTS = fileURLToPath(new URL('../results.json', import.meta.url));

export interface Row {
  readonly case: string;
  readonly peer: string;
  readonly rounds: readonly Round[];
  /** What is not installed here, so that there are no rounds. */
  readonly missing?: string;
  /** Why it ended before its last round. */
  readonly failed?: string;
}

export interface Outcome {
  /** When it was begun, and by which command. */
  readonly date: string;
  readonly command: string;
  /** The commit of the service; with "+" where files of it were changed. */
  readonly commit: string;
  readonly seconds: number;
  /** As the scenario told it when it ran: its numbers may have changed since. */
  readonly how: string;
  readonly machine: Machine;
  readonly versions: Readonly<Record<string, string>>;
  readonly rows: readonly Row[];
}

export type Results = Readonly<Record<string, Outcome>>;

export async function readResults(): Promise<Results> {
  try {
    return JSON.parse(await readFile(RESULTS, 'utf8')) as Results;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return {};
    throw error;
  }
}

/** Written beside it and moved, so that a run that is ended leaves a whole file. */
export async function writeResults(results: Results): Promise<void> {
  await writeFile(`${RESULTS}.new`, `${JSON.stringify(results, undefined, 1)}\n`);
  await rename(`${RESULTS}.new`, RESULTS);
}

export function lookup(rows: readonly Row[]): Lookup {
  return (title, peer) => {
    const rounds = rows.find((row) => row.case === title && row.peer === peer)?.rounds;
    return rounds === undefined || rounds.length === 0 ? undefined : rounds;
  };
}
