import type { Scenario, Target } from '../scenarios/scenario.ts';
import { lookup, type Row } from './results.ts';
import { spread } from './statistics.ts';
import { range } from './table.ts';

/** Whether what was to be reached was reached, by the rounds of one run. */

export interface Verdict {
  readonly target: Target;
  /** undefined where something that it needs was not measured. */
  readonly values: readonly number[] | undefined;
  readonly reached: boolean | undefined;
}

/** @param rows Of the scenario and, where a target looks at others too, of theirs. */
export function verdicts(scenario: Scenario, rows: readonly Row[]): Verdict[] {
  return scenario.targets.map((target) => {
    const values = target.value(lookup(rows));
    if (values === undefined) return { target, values, reached: undefined };
    const { median } = spread(values);
    return { target, values, reached: target.at === 'most' ? median <= target.limit : median >= target.limit };
  });
}

export function asSentence({ target, values, reached }: Verdict): string {
  const limit = `at ${target.at} ${range([target.limit], target.digits)}${target.unit}`;
  const wish = target.wish === true ? ' (tried for)' : '';
  if (values === undefined) return `target ${target.number}, ${target.says}: ${limit}${wish}: not measured here`;
  return `target ${target.number}, ${target.says}: ${limit}${wish}: ${range(values, target.digits)}${target.unit}: ${reached === true ? 'reached' : 'NOT reached'}`;
}
