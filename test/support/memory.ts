import { readFileSync } from 'node:fs';

/** The memory that a process holds, as Linux counts it. Bytes. */
export function residentBytes(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  if (kib === undefined) throw new Error(`Process ${pid} has no memory`);
  return Number(kib) * 1024;
}

export function median(values: readonly number[]): number {
  if (values.length === 0) throw new Error('There is nothing to take the median of');
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

/** The most memory that a process has held so far, as Linux counts it. Bytes. */
export function peakResidentBytes(pid: number): number {
  const kib = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  if (kib === undefined) throw new Error(`Process ${pid} has no memory`);
  return Number(kib) * 1024;
}
