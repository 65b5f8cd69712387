import type { Test } from 'tap';
import type { Bus } from '../../src/bus/bus.ts';
import { message, type Ear } from '../contract/bus.ts';
import { until } from './until.ts';

/** Publishes until something arrives: whatever was sent before on the same connection is there then too. */
export async function flows(bus: Bus, ear: Ear): Promise<void> {
  let seq = 1_000_000;
  const before = ear.commits.length;
  const marked = (): boolean => ear.commits.slice(before).some(([first]) => first!.seq >= 1_000_000);
  await until('messages flow', () => {
    if (!marked()) bus.publish([message(seq++)]);
    return marked();
  });
}

/** What a bus told the log of how it is, in order. */
export function states(lines: readonly string[]): (string | undefined)[] {
  return lines.map((line) => /is (up|degraded)/.exec(line)?.[1]);
}

/** Each change was told once, from being up to being up again, with so many losses between or more: a machine that stands still costs a connection too. */
export function toldOnce(t: Test, lines: readonly string[], losses: number): void {
  const told = states(lines);
  t.ok(told.length >= 2 * losses + 1, told.join());
  t.same(told, told.map((_, index) => (index % 2 === 0 ? 'up' : 'degraded')));
  t.equal(told.at(-1), 'up');
}
