import type { Command, Schedule } from './schedule.ts';

/** Whether a schedule still fails, and what it cost to find out. */
export type Trial = (schedule: Schedule) => Promise<{ readonly fails: boolean; readonly cost: number }>;

/** What chance is drawn anew from, where a shorter schedule fails no more by that of the longer one: what is left out shifts when the rest happens. */
const CHANCES = 3;

/**
 * Looks for a short schedule that still fails: leaves out parts, large ones first, then makes what is left simpler, and again, until nothing more can go
 * or the search has cost so much. It draws nothing and looks at no clock, so that a failure always ends in the same schedule.
 */
export async function shrink(failing: Schedule, trial: Trial, costMax: number): Promise<Schedule> {
  let best = failing;
  let cost = 0;
  const accepts = async (candidate: Schedule): Promise<boolean> => {
    for (let index = 0; index < CHANCES && cost < costMax; index++) {
      const shifted = { ...candidate, chance: candidate.chance + index };
      const result = await trial(shifted);
      cost += result.cost;
      if (!result.fails) continue;
      best = shifted;
      return true;
    }
    return false;
  };

  for (let before: Schedule | undefined; before !== best && cost < costMax; ) {
    before = best;
    for (let size = Math.ceil(best.commands.length / 2); size >= 1; size = Math.floor(size / 2)) {
      // From the end: what comes last is needed least.
      for (let at = best.commands.length - size; at > -size; at -= size) {
        const start = Math.max(0, at);
        await accepts({ ...best, commands: best.commands.toSpliced(start, at + size - start) });
      }
    }
    for (const simpler of settings(best)) await accepts({ ...best, ...simpler });
    for (let index = best.commands.length - 1; index >= 0; index--) {
      for (const simpler of simplifications(best.commands[index]!)) {
        if (await accepts({ ...best, commands: best.commands.with(index, simpler) })) break;
      }
    }
  }
  return best;
}

/** What may be simpler in a schedule, one at a time. */
function settings({ instances, tailBytes, writeMs, bus }: Schedule): readonly Partial<Schedule>[] {
  return [
    ...(bus === 'good' ? [] : [{ bus: 'good' } as const]),
    ...(writeMs === 0 ? [] : [{ writeMs: 0 }]),
    ...(tailBytes === 1_000_000 ? [] : [{ tailBytes: 1_000_000 }]),
    ...[1, 2].filter((number) => number < instances).map((number) => ({ instances: number })),
  ];
}

/** What a command's details are where they say nothing. */
const PLAIN: readonly (readonly [name: string, value: unknown])[] = [
  ['wait', 0], ['times', 1], ['messages', 1], ['padding', 0], ['kind', 'plain'], ['capacity', 1_000_000], ['isHalfOpen', false],
];

/** The command with as much made plain as there is, and then with each detail alone. */
function simplifications(command: Command): readonly Command[] {
  const details = new Map<string, unknown>(Object.entries(command));
  const plain = PLAIN.filter(([name, value]) => details.has(name) && details.get(name) !== value);
  const simpler = plain.map((entry) => ({ ...command, ...Object.fromEntries([entry]) }));
  return plain.length > 1 ? [{ ...command, ...Object.fromEntries(plain) }, ...simpler] : simpler;
}
