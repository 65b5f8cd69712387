import fc from 'fast-check';
import { check, type Fault } from './checker.ts';
import { describe, schedules, type Schedule } from './schedule.ts';
import { shrink } from './shrink.ts';
import { simulate } from './simulation.ts';

/** What the search for the shortest schedule may cost. Counted in happenings, not timed, so that a seed always ends in the same one. Some seconds. */
const SHRINK_COST = 500_000;

/** A schedule that broke an invariant. */
export interface Failure {
  readonly seed: number;
  readonly faults: readonly Fault[];
  /** The shortest schedule that was found, and how many commands the first one had. */
  readonly shortest: Schedule;
  readonly commands: number;
}

/** The schedule of a seed. */
export function scheduleOf(seed: number): Schedule {
  return fc.sample(schedules, { seed, numRuns: 1 })[0]!;
}

/** Runs the schedule of a seed; where it breaks an invariant, looks for the shortest one that breaks the same. */
async function search(seed: number): Promise<Failure | undefined> {
  const schedule = scheduleOf(seed);
  const [first] = check((await withoutStackTraces(() => simulate(schedule))).run);
  if (first === undefined) return undefined;
  const broken = async (candidate: Schedule): Promise<{ faults: readonly Fault[]; cost: number }> => {
    const { run, happened } = await simulate(candidate);
    return { faults: check(run).filter(({ invariant }) => invariant === first.invariant), cost: happened };
  };
  const shortest = await shrink(schedule, async (candidate) => {
    const { faults, cost } = await broken(candidate);
    return { fails: faults.length > 0, cost };
  }, SHRINK_COST);
  return { seed, faults: (await broken(shortest)).faults, shortest, commands: schedule.commands.length };
}

/** Nearly every schedule holds, and nobody reads where its errors came from: finding that out takes a seventh of its time. One that does not hold is run again. */
async function withoutStackTraces<Answer>(work: () => Promise<Answer>): Promise<Answer> {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return await work();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

/** The same with one seed after another. Stops at the first that breaks an invariant: the others would take long to shrink, and mostly show the same. */
export async function searchRange(first: number, last: number): Promise<Failure | undefined> {
  for (let seed = first; seed <= last; seed++) {
    const failure = await search(seed);
    if (failure !== undefined) return failure;
  }
  return undefined;
}

/** Faults that are printed of one schedule. */
const FAULTS_MAX = 5;

/** A failure for people. */
export function report({ seed, faults, shortest, commands }: Failure): string {
  return [
    `seed ${seed}: ${faults[0]!.invariant}`,
    ...faults.slice(0, FAULTS_MAX).map(({ invariant, who, what }) => `  ${invariant}: ${who}: ${what}`),
    ...(faults.length > FAULTS_MAX ? [`  and ${faults.length - FAULTS_MAX} more`] : []),
    `the shortest schedule that was found, ${shortest.commands.length} of ${commands} commands:`,
    describe(shortest),
    'the same for a test:',
    JSON.stringify(shortest),
  ].join('\n');
}
