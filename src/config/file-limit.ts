import { readFileSync } from 'node:fs';
import type { Logger } from '../runtime/logger.ts';

/** What an instance opens besides its streams: requests, the database, Redis, Node's own. As many as docs/deploy.md says to leave. */
const BESIDE_STREAMS = 1_000;

/**
 * How many streams may be open at once: `wanted`, or fewer where the system lets this process open too few files, which it then says.
 * One that has no file left for a connection can only cut it, publishes and health checks among the rest; one that is full says so.
 * @param limits As in /proc/self/limits (proc_pid_limits(5)). Node has raised the soft limit to the hard one by now. Elsewhere than on Linux nothing is known.
 */
export function streamsThatFit(wanted: number, logger: Logger, limits = ownLimits()): number {
  const files = Number(/^Max open files +(\d+)/m.exec(limits)?.[1] ?? Infinity);
  const need = wanted + BESIDE_STREAMS;
  if (files >= need) return wanted;
  const fit = Math.min(wanted, files - Math.min(BESIDE_STREAMS, Math.ceil(files / 2)));
  logger.warn({ files, need, streams: fit }, `MAX_STREAMS is ${wanted}, but the system lets this process open ${files} files only, so it takes ${fit} streams at most: raise "ulimit -n" to ${need}, or lower MAX_STREAMS`);
  return fit;
}

function ownLimits(): string {
  try {
    return readFileSync('/proc/self/limits', 'latin1');
  } catch {
    // There is no such file.
    return '';
  }
}
