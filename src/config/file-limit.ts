import { readFileSync } from 'node:fs';
import type { Logger } from '../runtime/logging/logger.ts';

/** Files that an instance opens besides its streams: requests, the database, Redis, Node's own. docs/capacity.md tells operators to leave as many. */
const OTHER_OPEN_FILES = 1_000;

/**
 * How many streams may be open at once: `wanted`, or fewer if the system lets this process open too few files; then it warns. A process
 * without a free file cuts every new connection, publishes and health checks included. A full instance still answers them.
 * @param limits The text of /proc/self/limits (proc_pid_limits(5)), in which Node has already raised the soft limit to the hard one. Only Linux has it.
 */
export function streamsThatFit(wanted: number, logger: Logger, limits = ownLimits()): number {
  const files = openFiles(limits);
  const need = wanted + OTHER_OPEN_FILES;
  if (files >= need) return wanted;
  const fit = Math.min(wanted, files - Math.min(OTHER_OPEN_FILES, Math.ceil(files / 2)));
  logger.warn({ files, need, streams: fit }, `MAX_STREAMS is ${wanted}, but the system lets this process open ${files} files only, so it takes ${fit} streams at most: raise "ulimit -n" to ${need}, or lower MAX_STREAMS`);
  return fit;
}

/** Files that the process itself keeps open: Node's, SQLite's, and the connections to Redis. Other connections come on top. */
const OWN_OPEN_FILES = 64;

/**
 * How many connections may be open at once: `wanted`, or as many as leave the files that the process itself needs.
 * @param others Connections to PostgreSQL and of the operations listener.
 */
export function connectionsThatFit(wanted: number, others: number, limits = ownLimits()): number {
  const files = openFiles(limits);
  return Math.min(wanted, Math.max(1, files - Math.min(OWN_OPEN_FILES + others, Math.ceil(files / 2))));
}

function openFiles(limits: string): number {
  return Number(/^Max open files +(\d+)/m.exec(limits)?.[1] ?? Infinity);
}

function ownLimits(): string {
  try {
    return readFileSync('/proc/self/limits', 'latin1');
  } catch {
    // This system has no such file.
    return '';
  }
}
