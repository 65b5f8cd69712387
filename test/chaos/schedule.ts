import type { Random } from '../support/fleet-random.ts';
import type { Fault, possible } from './faults.ts';

/** What happens at one time, and after how many more messages. */
export interface Step {
  readonly messages: number;
  readonly faults: readonly Fault[];
}

export interface ScheduleOptions {
  readonly random: Random;
  readonly possible: ReturnType<typeof possible>;
  /** No fault lasts longer, whatever its kind allows. Milliseconds. */
  readonly longest: number;
}

/** The target of a fault that happens alone. */
export const EVERYTHING = 'everything';

/** One step in so many has a second fault on top of the first. */
const DOUBLE = 3;
/** Between two steps. */
const MESSAGES = 80;
const SHORTEST = 100;

/**
 * What goes wrong, step by step, for ever. Each kind comes once before any comes again, so that also a short run has
 * them all.
 */
export function* schedule({ random, possible, longest }: ScheduleOptions): Generator<Step, never> {
  let bag: typeof possible = [];
  const draw = (taken: readonly Fault[]): Fault => {
    if (bag.length === 0) bag = shuffled(possible, random);
    const [{ kind, targets, longest: own }, ...rest] = bag as [(typeof possible)[number], ...typeof bag];
    bag = rest;
    const free = targets.filter((target) => taken.every((other) => target !== other.target && target !== EVERYTHING));
    // Where its only target is taken it waits for the next fault, and the next of the bag comes first.
    if (free.length === 0) {
      const fault = draw(taken);
      bag = [{ kind, targets, longest: own }, ...bag];
      return fault;
    }
    const milliseconds = SHORTEST + random.below(Math.min(own, longest) - SHORTEST);
    return { kind, target: random.one(free), milliseconds, chance: random.next() };
  };
  for (;;) {
    const first = draw([]);
    const faults = first.target !== EVERYTHING && random.below(DOUBLE) === 0 ? [first, draw([first])] : [first];
    yield { messages: 1 + random.below(MESSAGES), faults };
  }
}

function shuffled<T>(values: readonly T[], random: Random): T[] {
  const all = [...values];
  for (let end = all.length; end > 1; end--) {
    const at = random.below(end);
    [all[at], all[end - 1]] = [all[end - 1]!, all[at]!];
  }
  return all;
}
