import { setTimeout as sleep } from 'node:timers/promises';
import { Random } from '../support/fleet-random.ts';
import type { Fault } from './faults.ts';

const SECOND = 1_000;
const HOUR = 3_600 * SECOND;

/** One step in so many is of hours. */
const SELDOM = 8;
/** The smallest and the largest of the others. Milliseconds. */
const SMALL = SECOND;
const MIDDLE = 5 * 60 * SECOND;
/** Above the hour from which on a step pauses deletion by age, and below the day for which a key is remembered. Milliseconds. */
const LARGE = 2 * HOUR;
const LARGEST = 12 * HOUR;

/**
 * How long messages are kept in a run that lasts no longer than this less the largest of the small steps: nothing is ever too old, but by a clock
 * that is hours ahead everything at once.
 */
export const KEEP = LARGE / SECOND;

/** By how much a clock is wrong: ahead, or behind where it is negative. Small steps are as frequent as large ones, from a second to minutes. */
export function stepOf({ chance }: Pick<Fault, 'chance'>): number {
  const random = new Random(chance * 2 ** 32);
  const sign = random.below(2) === 0 ? 1 : -1;
  const size = random.below(SELDOM) === 0 ? LARGE + random.below(LARGEST - LARGE) : SMALL * (MIDDLE / SMALL) ** random.next();
  return sign * Math.round(size);
}

/** By how much a clock is ahead that is hours wrong. */
export function far({ chance }: Pick<Fault, 'chance'>): number {
  return Math.round(LARGE + chance * (LARGEST - LARGE));
}

/** A clock is stepped, and later set right again, which is a step too. */
export async function stepped(fault: Fault, set: (step: number) => Promise<void> | void): Promise<void> {
  await set(stepOf(fault));
  await sleep(fault.milliseconds);
  await set(0);
}
