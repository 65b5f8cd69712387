import type { Row } from './report/results.ts';
import type { Case, Round, Scenario } from './scenarios/scenario.ts';
import type { Peer } from './types.ts';

/**
 * One scenario: case by case, and in each the peers take turns, round after round, so that all of them see the
 * same machine; it may be slower in an hour, or while something else runs. A peer that fails is named and left
 * out of the rounds that follow; the others go on.
 */

export interface Measuring {
  readonly peers: readonly Peer[];
  readonly all: boolean;
  readonly rounds: number;
  readonly quick: boolean;
  readonly scratch: string;
  readonly say: (progress: string) => void;
}

export async function measure(scenario: Scenario, measuring: Measuring): Promise<Row[]> {
  const rows: Row[] = [];
  for (const one of scenario.cases) rows.push(...await measureCase(scenario, one, measuring));
  return rows;
}

/** Those that take part in a case, whether they can run here or not. */
export function peersOf(scenario: Scenario, one: Case, measuring: Pick<Measuring, 'peers' | 'all'>): Peer[] {
  const named = one.peers ?? one.usual ?? scenario.peers;
  return measuring.peers.filter((peer) => named.includes(peer.name) || (measuring.all && one.peers === undefined));
}

interface Line {
  readonly peer: Peer;
  readonly rounds: Round[];
  readonly missing: string | undefined;
  failed: string | undefined;
}

/** For the table; all of it is told as it goes. */
function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n', 1)[0] ?? '';
}

async function measureCase(scenario: Scenario, one: Case, measuring: Measuring): Promise<Row[]> {
  const { rounds, quick, scratch, say } = measuring;
  const lines = peersOf(scenario, one, measuring).map((peer): Line => ({ peer, rounds: [], missing: peer.missing() ?? one.missing?.(), failed: undefined }));
  for (let round = 0; round < rounds; round += 1) {
    for (const line of lines) {
      if (line.missing !== undefined || line.failed !== undefined) continue;
      const told = `${scenario.name}: ${one.title}: ${line.peer.name}, round ${round + 1} of ${rounds}`;
      say(told);
      try {
        line.rounds.push(await one.run(line.peer, { quick, round, scratch, before: [...line.rounds], say: (progress) => say(`${told}: ${progress}`) }));
      } catch (error) {
        line.failed = `failed in round ${round + 1}: ${firstLine(error)}`;
        say(`${told}: ${error instanceof Error ? error.stack ?? error.message : String(error)}`);
      }
    }
  }
  return lines.map(({ peer, rounds: measured, missing, failed }) => ({
    case: one.title, peer: peer.name, rounds: measured, ...missing === undefined ? {} : { missing }, ...failed === undefined ? {} : { failed },
  }));
}
