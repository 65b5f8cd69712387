import { readFileSync } from 'node:fs';
import type { Log } from './log.ts';

/** What an instance opens besides its streams: requests, the database, Redis, Node's own. As many as docs/deploy.md says to leave. */
const BESIDE_STREAMS = 1_000;

/**
 * Says so when the system lets this process open fewer files than its streams may need: connections beyond would be cut without an answer.
 * @param limits As in /proc/self/limits (proc_pid_limits(5)). Node has raised the soft limit to the hard one by now. Elsewhere than on Linux nothing is known.
 */
export function checkOpenFiles(maxStreams: number, log: Log, limits = ownLimits()): void {
  const limit = Number(/^Max open files +(\d+)/m.exec(limits)?.[1] ?? Infinity);
  const need = maxStreams + BESIDE_STREAMS;
  if (limit >= need) return;
  log.warn({ limit, need }, `MAX_STREAMS is ${maxStreams}, but the system lets this process open ${limit} files only: raise "ulimit -n" to ${need}, or lower MAX_STREAMS`);
}

function ownLimits(): string {
  try {
    return readFileSync('/proc/self/limits', 'latin1');
  } catch {
    // There is no such file.
    return '';
  }
}
