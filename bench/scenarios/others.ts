import { readFileSync } from 'node:fs';
import { cpuSeconds } from '../usage.ts';

/** What else goes on in the machine while something is measured: figures made beside a busy neighbour are not to be trusted. */

const TICKS_PER_SECOND = 100;

/**
 * Begins to watch, and gives what tells the share of one core that was used by anything but these processes and this
 * one, or was taken by the host. undefined when they are not the same processes any more.
 */
export function watchOthers(pids: () => readonly number[]): () => number | undefined {
  const processes = pids().toSorted().join();
  const begun = performance.now();
  const before = { machine: machineSeconds(), ours: ownSeconds(pids()) };
  return () => {
    if (pids().toSorted().join() !== processes) return undefined;
    const others = machineSeconds() - before.machine - (ownSeconds(pids()) - before.ours);
    return Math.max(0, others / ((performance.now() - begun) / 1000));
  };
}

/** User, nice, system and stolen time of all cores. Interrupts are left out: those of the loopback are nobody's. */
function machineSeconds(): number {
  const [user, nice, system, , , , , steal] = (/^cpu +(.*)$/m.exec(readFileSync('/proc/stat', 'latin1'))?.[1] ?? '').split(' ').map(Number);
  return ((user ?? 0) + (nice ?? 0) + (system ?? 0) + (steal ?? 0)) / TICKS_PER_SECOND;
}

function ownSeconds(pids: readonly number[]): number {
  const { user, system } = process.cpuUsage();
  return cpuSeconds(pids) + (user + system) / 1e6;
}
