import { readFileSync } from 'node:fs';
import type { Usage } from './types.ts';

/** The clock tick of /proc/<pid>/stat: 100 a second on every architecture that Node runs on. */
const TICKS_PER_SECOND = 100;
const KIB = 1024;

/**
 * What the processes of a server have used up to now. Fails when one of them has gone: what it had used is lost then,
 * and a difference would be wrong.
 */
export function usage(pids: readonly number[]): Usage {
  let cpuSeconds = 0;
  let rssBytes = 0;
  let pssBytes = 0;
  for (const pid of pids) {
    cpuSeconds += cpuOf(pid);
    rssBytes += kibibytes(read(pid, 'status'), 'VmRSS') * KIB;
    pssBytes += kibibytes(read(pid, 'smaps_rollup'), 'Pss') * KIB;
  }
  return { cpuSeconds, rssBytes, pssBytes };
}

/** CPU alone, which costs the server nothing to be asked for: the kernel walks through all its memory for the rest. */
export function cpuSeconds(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + cpuOf(pid), 0);
}

/**
 * User and system time of a process, of all its threads, those that have ended too, and of its children that have ended: PostgreSQL begins
 * and ends processes by itself. A tick is 10 ms, so a measurement
 * should take a second of CPU at least. The scheduler's own count in nanoseconds (`schedstat`) is no better here: it is
 * kept for each thread, and lost when the thread ends.
 */
function cpuOf(pid: number): number {
  const stat = read(pid, 'stat');
  // The command's name is in brackets and may hold spaces; the 14th to 17th fields of all are utime, stime, cutime and cstime.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) / TICKS_PER_SECOND;
}

function kibibytes(text: string, name: string): number {
  const found = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1];
  if (found === undefined) throw new Error(`${name} is not told`);
  return Number(found);
}

function read(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'latin1');
  } catch (error) {
    throw new Error(`process ${pid} of the server has ended`, { cause: error });
  }
}
